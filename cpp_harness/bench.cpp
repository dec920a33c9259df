// etvk_bench: times stock cases in the stock ExecuTorch runtime, beside what others reach. A library
// that bench_launcher.c carries inside the program.
#include <executorch/runtime/backend/interface.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend.h"
#include "bench_measure.h"
#include "bench_table.h"
#include "runner_backend.h"
#include "runner_flags.h"
#include "runner_tensor.h"

namespace etvk_run {
namespace {

constexpr char kUsage[] =
    R"(etvk_bench FOLDER... [options]     a FOLDER is a case (manifest.json, model.pte) or holds cases

  --peers FILE       compare with these figures, for example of peers-h100.json
  --json FILE        also write one JSON object per case and a summary, a line each
  --only TEXT        only cases whose names contain this; may be repeated
  --budget BYTES     workspace budget; may be repeated: all cases run with each
  --option KEY=VALUE option of the backend
  --repeat N         measured runs at most (50); at least 3, and none begins after --seconds
  --seconds S        (3)
  --warm MS          runs before that, in milliseconds (250)
  --loads            also time loads that write and that read a pipeline cache, and one on a device
                     that was kept
  --driver-cache     let the driver keep compiled kernels on disk; off, so that loads are cold

Times are medians in milliseconds, sizes MiB. GPU: all dispatches, from timestamps. inner: without
the copies between the host's layout and the device's, which peers' figures leave out; ratio is of
this one. host: the runtime's execute, profile off; host/ is over ExecuTorch's own delegate. error
is over the largest expected value. Exit status 1 when a case fails or is off its tolerance.
)";

struct Arguments {
  std::vector<std::string> folders, only, budgets;
  std::string peers, json;
  BenchSettings settings;
  bool loads = false;
  bool driver_cache = false;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  Flags flags(argc, argv);
  while (flags.next()) {
    const std::string flag = flags.flag();
    if (flag == "--peers") {
      arguments.peers = flags.value();
    } else if (flag == "--json") {
      arguments.json = flags.value();
    } else if (flag == "--only") {
      arguments.only.push_back(flags.value());
    } else if (flag == "--budget") {
      arguments.budgets.push_back(flags.value());
    } else if (flag == "--option") {
      arguments.settings.options.push_back(flags.option());
    } else if (flag == "--repeat") {
      arguments.settings.repeat = std::max(3, static_cast<int>(flags.number()));
    } else if (flag == "--seconds") {
      arguments.settings.most_ms = 1e3 * flags.number();
    } else if (flag == "--warm") {
      arguments.settings.warm_ms = flags.number();
    } else if (flag == "--loads") {
      arguments.loads = true;
    } else if (flag == "--driver-cache") {
      arguments.driver_cache = true;
    } else if (flag.compare(0, 1, "-") == 0) {
      throw UsageError(flag + ": unknown option");
    } else {
      arguments.folders.push_back(flag);
    }
  }
  if (arguments.folders.empty()) {
    throw UsageError("no FOLDER is given");
  }
  return arguments;
}

std::vector<std::string> find_cases(const Arguments& arguments) {
  std::vector<std::string> cases;
  const auto add = [&](const std::filesystem::path& folder) {
    const std::string path = folder.string();
    const std::string name = folder.filename().empty() ? path : folder.filename().string();
    const auto& only = arguments.only;
    if (std::filesystem::is_regular_file(folder / "manifest.json") &&
        (only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& text) {
           return name.find(text) != std::string::npos;
         }))) {
      cases.push_back(path);
    }
  };
  for (const auto& folder : arguments.folders) {
    if (std::filesystem::is_regular_file(std::filesystem::path(folder) / "manifest.json")) {
      add(folder);
      continue;
    }
    std::vector<std::filesystem::path> inside;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      inside.push_back(entry.path());
    }
    std::sort(inside.begin(), inside.end());
    std::for_each(inside.begin(), inside.end(), add);
  }
  if (cases.empty()) {
    throw std::runtime_error("no cases found");
  }
  return cases;
}

// The C ABI as this library has it linked.
Backend linked_backend() {
  Backend backend;
  backend.version = etvk_version;
  backend.status_name = etvk_status_name;
  backend.last_error = etvk_last_error;
  backend.memory = etvk_delegate_memory;
  backend.convolution_count = etvk_delegate_convolution_count;
  backend.convolution = etvk_delegate_convolution;
  backend.report = etvk_delegate_report;
  backend.device_name = etvk_delegate_device_name;
  backend.delegate_count = etvk_backend_delegate_count;
  backend.delegate = etvk_backend_delegate;
  backend.backend_last_error = etvk_backend_last_error;
  if (etvk_register_backend() != 0) {
    throw std::runtime_error(etvk_backend_last_error());
  }
  return backend;
}

class Lines {
 public:
  explicit Lines(const std::string& path) {
    if (!path.empty() && (file_ = std::fopen(path.c_str(), "w")) == nullptr) {
      throw std::runtime_error(path + ": cannot be written");
    }
  }
  ~Lines() {
    if (file_ != nullptr) {
      std::fclose(file_);
    }
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  void write(const Json& row) {
    if (file_ != nullptr) {
      std::fprintf(file_, "%s\n", row.dump().c_str());
      std::fflush(file_);
    }
  }

 private:
  std::FILE* file_ = nullptr;
};

// All cases with one set of options. False when one failed.
bool run_set(const std::vector<std::string>& cases, const BenchSettings& settings,
             const Json& peers, const Backend& backend, Lines* lines) {
  const bool with_peers = !peers.is_null();
  std::printf("\n");
  for (const auto& option : settings.options) {
    std::printf("%s = %s\n", option.first.c_str(), option.second.c_str());
  }
  std::printf("%s", table_head(with_peers).c_str());
  std::vector<Json> rows;
  for (const auto& folder : cases) {
    Json row;
    try {
      row = measure(folder, settings, backend);
      add_peer(peers, &row);
    } catch (const std::exception& error) {
      row = Json::object();
      row.set("case", std::filesystem::path(folder).filename().string());
      row.set("error", error.what());
    }
    lines->write(row);
    std::printf("%s", table_line(row, with_peers).c_str());
    std::fflush(stdout);
    rows.push_back(std::move(row));
  }
  const Json sum = summary(rows);
  std::printf("\n%s", summary_text(sum).c_str());
  Json options = Json::object();
  for (const auto& option : settings.options) {
    options.set(option.first, option.second);
  }
  lines->write(Json::object().set("summary", sum).set("options", std::move(options)));
  return sum["failed"].number() == 0;
}

int run(int argc, char** argv) {
  Arguments arguments = parse_arguments(argc, argv);
  if (!arguments.driver_cache) {
    // NVIDIA's and Mesa's; what the caller has set stays.
    setenv("__GL_SHADER_DISK_CACHE", "0", 0);
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 0);
  }
  const auto cases = find_cases(arguments);
  Json peers;
  if (!arguments.peers.empty()) {
    const auto text = read_file(arguments.peers);
    peers = Json::parse(std::string(text.begin(), text.end()));
  }
  Lines lines(arguments.json);
  const Backend backend = linked_backend();
  const auto start = std::chrono::steady_clock::now();
  if (!executorch::runtime::get_backend_class("VulkanBackend")->is_available()) {
    throw std::runtime_error(backend.backend_last_error());
  }
  const std::chrono::duration<double, std::milli> started =
      std::chrono::steady_clock::now() - start;
  std::printf("etvk %s, %zu case(s); the driver started in %.0f ms\n", backend.version(),
              cases.size(), started.count());
  if (arguments.loads) {
    arguments.settings.cache =
        (std::filesystem::temp_directory_path() /
         ("etvk_bench_" + std::to_string(getpid()) + ".cache")).string();
  }
  bool passed = true;
  if (arguments.budgets.empty()) {
    passed = run_set(cases, arguments.settings, peers, backend, &lines);
  }
  for (const auto& budget : arguments.budgets) {
    BenchSettings settings = arguments.settings;
    settings.options.emplace_back("workspace_bytes", budget);
    passed = run_set(cases, settings, peers, backend, &lines) && passed;
  }
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace etvk_run

extern "C" __attribute__((visibility("default"))) int etvk_bench_main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(etvk_run::kUsage, stdout);
    return 0;
  }
  try {
    return etvk_run::run(argc, argv);
  } catch (const etvk_run::UsageError& error) {
    std::fprintf(stderr, "etvk_bench: %s\n\n%s", error.what(), etvk_run::kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "etvk_bench: %s\n", error.what());
    return 1;
  }
}
