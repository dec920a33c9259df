// The adapter on many threads: backend_stress FIXTURE_DIR THREADS ROUNDS. Each thread initialises,
// executes and destroys delegates of its own, executes one that all share, and sets and reads
// options meanwhile. Built with ThreadSanitizer by `make tsan`.
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/runtime.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "backend.h"
#include "backend_fixture.h"

namespace {

using executorch::extension::make_tensor_ptr;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInterface;
using executorch::runtime::BackendOptionContext;
using executorch::runtime::BackendOptions;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;

std::string folder;
std::atomic<int> failures{0};

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "FAILED %s: %s\n", what, etvk_backend_last_error());
    ++failures;
  }
}

DelegateHandle* init(BackendInterface* backend) {
  const FixtureData data(folder);
  bool freed = false;
  auto result = fixture_init(backend, folder, {&data, {}, {}}, &freed);
  require(result.ok() && freed && data.named.got == data.named.released, "init");
  return result.ok() ? result.get() : nullptr;
}

void execute(BackendInterface* backend, DelegateHandle* handle, const Run& run) {
  const std::vector<int> in_sizes(run.in_shape.dims, run.in_shape.dims + run.in_shape.rank);
  const std::vector<int> out_sizes(run.out_shape.dims, run.out_shape.dims + run.out_shape.rank);
  std::vector<float> output(run.expected.size / sizeof(float), NAN);
  auto in = make_tensor_ptr(in_sizes, reinterpret_cast<float*>(run.input.data));
  auto out = make_tensor_ptr(out_sizes, output.data());
  EValue in_value(*in);
  EValue out_value(*out);
  EValue* args[] = {&in_value, &out_value};
  BackendExecutionContext context;
  require(backend->execute(context, handle, {args, 2}) == Error::Ok, "execute");
  require(fixture_wrong(output.data(), &run.expected) == 0, "the result");
}

void work(BackendInterface* backend, DelegateHandle* shared, const std::vector<Run>* runs,
          int rounds) {
  for (int round = 0; round < rounds; ++round) {
    DelegateHandle* own = init(backend);
    for (const Run& run : *runs) {
      execute(backend, own, run);
      // Its sizes differ from call to call: resize and execute have to be one step.
      execute(backend, shared, run);
    }
    BackendOptionContext context;
    BackendOptions<1> options;
    require(options.set_option("workspace_bytes", (1 + round) << 20) == Error::Ok &&
                backend->set_option(context, options.view()) == Error::Ok &&
                backend->is_available(),
            "set_option");
    auto view = options.view();
    require(backend->get_option(context, view) == Error::Ok, "get_option");
    require(etvk_backend_delegate_count() > 0 && etvk_backend_delegate(0) != nullptr, "delegates");
    backend->destroy(own);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "backend_stress FIXTURE_DIR THREADS ROUNDS\n");
    return 2;
  }
  folder = argv[1];
  executorch::runtime::runtime_init();
  require(etvk_register_backend() == 0, "register");
  auto* backend = executorch::runtime::get_backend_class("VulkanBackend");
  std::vector<Run> runs;
  for (int i = 0; i < 4; ++i) {
    runs.push_back(fixture_run(argv[1], i));
  }
  DelegateHandle* shared = init(backend);
  std::vector<std::thread> threads;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    threads.emplace_back(work, backend, shared, &runs, std::atoi(argv[3]));
  }
  for (auto& thread : threads) {
    thread.join();
  }
  backend->destroy(shared);
  require(etvk_backend_delegate_count() == 0, "delegates are left");
  for (auto& run : runs) {
    fixture_run_free(&run);
  }
  std::printf("backend_stress: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
