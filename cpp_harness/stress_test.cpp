// Delegates on many threads, or one for a long time, over the C ABI alone:
//
//   stress_test threads THREADS ROUNDS FIXTURE...   loads, runs and unloads of different programs
//   stress_test soak RUNS FIXTURE                   RUNS inferences; memory must not grow
//
// Fixtures are folders of extract_blob.py. On every thread: load one of the programs, run it at
// its sizes a few times, check each result, unload. All threads also use one delegate together,
// and destroy one while others use it: each call is serialised or refused, never undefined.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "c_api_fixture.h"

namespace {

std::atomic<int> failures{0};

void require(bool holds, const std::string& what) {
  if (!holds) {
    std::fprintf(stderr, "FAILED %s (last error: %s)\n", what.c_str(), etvk_last_error());
    if (++failures > 10) {
      std::_Exit(1);
    }
  }
}

// A program and its runs; read-only, so that threads share it.
struct Program {
  explicit Program(const char* path) : folder(path), blob(fixture_bytes(path, "blob.bin")) {
    for (int i = 0; i < 4; ++i) {
      const std::string name = folder + "/run" + std::to_string(i) + ".txt";
      FILE* file = std::fopen(name.c_str(), "r");
      if (file == nullptr) {
        break;
      }
      std::fclose(file);
      runs.push_back(fixture_run(path, i));
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    std::for_each(runs.begin(), runs.end(), [](Run& run) { fixture_run_free(&run); });
    std::free(blob.data);
  }

  etvk_delegate* create() const {
    Named named{folder.c_str(), NAMED_PRESENT, 0, 0};
    const etvk_create_info info = fixture_create_info(blob, &named);
    etvk_delegate* delegate = nullptr;
    require(etvk_delegate_create(&info, &delegate) == ETVK_STATUS_OK, folder + ": create");
    return delegate;
  }

  etvk_status resize(etvk_delegate* delegate, size_t index) const {
    const etvk_input_shape shape = fixture_input_shape(&runs[index].in_shape);
    return etvk_delegate_resize(delegate, &shape, 1);
  }

  etvk_status execute(etvk_delegate* delegate, size_t index, std::vector<float>* output) const {
    const Run& run = runs[index];
    output->assign(run.expected.size / sizeof(float), NAN);
    const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
    const etvk_tensor out = fixture_tensor(output->data(), run.expected.size, &run.out_shape);
    return etvk_delegate_execute(delegate, &in, 1, &out, 1);
  }

  bool right(size_t index, const std::vector<float>& output) const {
    return fixture_wrong(output.data(), &runs[index].expected) == 0;
  }

  std::string folder;
  Bytes blob;
  std::vector<Run> runs;
};

etvk_process_memory process_memory() {
  etvk_process_memory memory{};
  require(etvk_memory_of_process(&memory) == ETVK_STATUS_OK, "etvk_memory_of_process");
  return memory;
}

using Programs = std::vector<std::unique_ptr<Program>>;

struct Shared {
  const Programs& programs;
  etvk_delegate* together;               // of programs[0] at its first size, used by all
  std::atomic<etvk_delegate*> doomed;    // of programs[0]: whoever takes it destroys it
  std::atomic<uint64_t> inferences{0};
};

void work(Shared* shared, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  const Program& first = *shared->programs[0];
  std::vector<float> output;
  for (int round = 0; round < rounds; ++round) {
    const Program& program = *shared->programs[random() % shared->programs.size()];
    etvk_delegate* delegate = program.create();
    for (int i = 0; i < 4 && delegate != nullptr; ++i) {
      const size_t run = random() % program.runs.size();
      require(program.resize(delegate, run) == ETVK_STATUS_OK, program.folder + ": resize");
      require(program.execute(delegate, run, &output) == ETVK_STATUS_OK &&
                  program.right(run, output),
              program.folder + ": execute");
      ++shared->inferences;
      // Another delegate, which all threads use at once.
      require(first.execute(shared->together, 0, &output) == ETVK_STATUS_OK &&
                  first.right(0, output),
              "one delegate on many threads");
      ++shared->inferences;
      // One that others may be destroying: it works or it is refused.
      etvk_delegate* doomed = shared->doomed.load();
      const etvk_status status = first.execute(doomed, 0, &output);
      require(status == ETVK_STATUS_INVALID_ARGUMENT ||
                  (status == ETVK_STATUS_OK && first.right(0, output)),
              "a delegate that is being destroyed");
    }
    etvk_delegate_destroy(delegate);
    if (random() % 4 == 0) {
      etvk_delegate* fresh = first.create();
      require(first.resize(fresh, 0) == ETVK_STATUS_OK, "resize");
      etvk_delegate_destroy(shared->doomed.exchange(fresh));
    }
    (void)process_memory();
  }
}

int run_threads(int threads, int rounds, const Programs& programs) {
  const Program& first = *programs[0];
  Shared shared{programs, first.create(), {first.create()}};
  require(first.resize(shared.together, 0) == ETVK_STATUS_OK &&
              first.resize(shared.doomed, 0) == ETVK_STATUS_OK,
          "resize");
  const etvk_process_memory before = process_memory();
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back(work, &shared, static_cast<unsigned>(i + 1), rounds);
  }
  std::for_each(workers.begin(), workers.end(), [](std::thread& worker) { worker.join(); });
  const etvk_process_memory after = process_memory();
  require(after.driver_bytes == before.driver_bytes && after.delegates == 2 && after.devices == 1,
          "memory is not back to the start");
  etvk_delegate_destroy(shared.together);
  etvk_delegate_destroy(shared.doomed);
  const etvk_process_memory end = process_memory();
  require(end.driver_bytes == 0 && end.devices == 0, "something is left");
  std::printf("%d threads, %d loads, %llu inferences: %s\n", threads, threads * rounds,
              static_cast<unsigned long long>(shared.inferences.load()),
              failures == 0 ? "all right" : "FAILED");
  return failures == 0 ? 0 : 1;
}

// Of this process, from the kernel.
uint64_t resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long total = 0;
  unsigned long long resident = 0;
  if (file != nullptr) {
    if (std::fscanf(file, "%llu %llu", &total, &resident) != 2) {
      resident = 0;
    }
    std::fclose(file);
  }
  return resident * 4096;
}

// One delegate, resized now and then, and unloaded and loaded every 1000 runs.
int run_soak(uint64_t count, const Program& program) {
  constexpr double kMiB = 1 << 20;
  std::vector<float> output;
  etvk_delegate* delegate = program.create();
  const uint64_t driver = process_memory().driver_bytes;
  const uint64_t settled = count / 10;
  uint64_t resident = 0;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < count && failures == 0; ++i) {
    const size_t run = i / 100 % program.runs.size();
    if (i % 1000 == 999) {
      etvk_delegate_destroy(delegate);
      delegate = program.create();
    }
    if (i % 100 == 0 || i % 1000 == 999) {
      require(program.resize(delegate, run) == ETVK_STATUS_OK, "resize");
    }
    require(program.execute(delegate, run, &output) == ETVK_STATUS_OK &&
                program.right(run, output),
            "inference " + std::to_string(i));
    if (i == settled) {
      resident = resident_bytes();
    }
    if (i % (count / 10 + 1) == 0) {
      require(process_memory().driver_bytes == driver, "device memory changed");
      std::printf("%8llu inferences, resident %.1f MiB, device memory %.2f MiB\n",
                  static_cast<unsigned long long>(i), static_cast<double>(resident_bytes()) / kMiB,
                  static_cast<double>(driver) / kMiB);
      std::fflush(stdout);
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const uint64_t grown = std::max(resident_bytes(), resident) - resident;
  etvk_delegate_destroy(delegate);
  // Allocators keep some; a leak of 100 bytes per inference would be seen.
  require(grown < (2 << 20) + count * 50, "resident memory grew by " + std::to_string(grown));
  require(process_memory().driver_bytes == 0, "device memory is left");
  std::printf("%llu inferences in %.1f s, resident memory grew by %.2f MiB after the first tenth: %s\n",
              static_cast<unsigned long long>(count), took.count(),
              static_cast<double>(grown) / kMiB, failures == 0 ? "all right" : "FAILED");
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "threads" && argc > 4) {
    Programs programs;
    for (int i = 4; i < argc; ++i) {
      programs.push_back(std::make_unique<Program>(argv[i]));
    }
    return run_threads(std::atoi(argv[2]), std::atoi(argv[3]), programs);
  }
  if (mode == "soak" && argc == 4) {
    const Program program(argv[3]);
    return run_soak(std::strtoull(argv[2], nullptr, 10), program);
  }
  std::fprintf(stderr, "stress_test threads THREADS ROUNDS FIXTURE... | soak RUNS FIXTURE\n");
  return 2;
}
