#include "runner_backend.h"

#include <dlfcn.h>
#include <executorch/runtime/backend/interface.h>
#include <unistd.h>

#include <climits>
#include <stdexcept>

namespace etvk_run {
namespace {

constexpr char kBackend[] = "libexecutorch_backend_etvk.so";
constexpr char kCpuKernels[] = "libexecutorch_kernels_optimized.so";

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string runtime_folder() {
  Dl_info info{};
  const auto* symbol = reinterpret_cast<const void*>(&executorch::runtime::get_backend_class);
  return dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? folder_of(info.dli_fname) : ".";
}

std::string find(const char* name) {
  for (const std::string& folder : {executable_folder(), runtime_folder()}) {
    const std::string path = folder + "/" + name;
    if (access(path.c_str(), R_OK) == 0) {
      return path;
    }
  }
  return "";
}

template <typename Function>
void resolve(void* library, const char* name, Function* function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw std::runtime_error(std::string(kBackend) + " does not export " + name);
  }
  *function = reinterpret_cast<Function>(symbol);
}

}  // namespace

std::string executable_folder() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  return length <= 0 ? "." : folder_of(std::string(path, static_cast<size_t>(length)));
}

Backend load_backend(const std::string& given_path) {
  Backend backend;
  backend.path = given_path.empty() ? find(kBackend) : given_path;
  if (backend.path.empty()) {
    throw std::runtime_error(std::string(kBackend) + " is neither beside etvk_run nor beside " +
                             "libexecutorch.so");
  }
  // Never closed: the runtime keeps a pointer to the registered backend.
  void* library = dlopen(backend.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(dlerror());
  }
  resolve(library, "etvk_version", &backend.version);
  resolve(library, "etvk_status_name", &backend.status_name);
  resolve(library, "etvk_last_error", &backend.last_error);
  resolve(library, "etvk_delegate_memory", &backend.memory);
  resolve(library, "etvk_delegate_convolution_count", &backend.convolution_count);
  resolve(library, "etvk_delegate_convolution", &backend.convolution);
  resolve(library, "etvk_delegate_report", &backend.report);
  resolve(library, "etvk_delegate_device_name", &backend.device_name);
  resolve(library, "etvk_backend_delegate_count", &backend.delegate_count);
  resolve(library, "etvk_backend_delegate", &backend.delegate);
  resolve(library, "etvk_backend_last_error", &backend.backend_last_error);
  if (executorch::runtime::get_backend_class("VulkanBackend") == nullptr) {
    throw std::runtime_error(backend.path + " did not register VulkanBackend");
  }
  const std::string kernels = find(kCpuKernels);
  if (!kernels.empty() && dlopen(kernels.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) {
    backend.cpu_kernels = kernels;
  }
  return backend;
}

void check(const Backend& backend, etvk_status status) {
  if (status != ETVK_STATUS_OK) {
    throw std::runtime_error(std::string(backend.status_name(status)) + ": " +
                             backend.last_error());
  }
}

}  // namespace etvk_run
