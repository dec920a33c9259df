// The two libraries that the runner loads beside the stock runtime.
#pragma once

#include <string>
#include <vector>

#include "etvk.h"

namespace etvk_run {

// The functions of libexecutorch_backend_etvk.so that the reports need, found by name: the runner
// itself links nothing but the stock runtime.
struct Backend {
  decltype(&::etvk_version) version = nullptr;
  decltype(&::etvk_status_name) status_name = nullptr;
  decltype(&::etvk_last_error) last_error = nullptr;
  decltype(&::etvk_delegate_memory) memory = nullptr;
  decltype(&::etvk_delegate_convolution_count) convolution_count = nullptr;
  decltype(&::etvk_delegate_convolution) convolution = nullptr;
  decltype(&::etvk_delegate_report) report = nullptr;
  decltype(&::etvk_delegate_device_name) device_name = nullptr;
  uint32_t (*delegate_count)() = nullptr;
  etvk_delegate* (*delegate)(uint32_t) = nullptr;
  const char* (*backend_last_error)() = nullptr;
  std::string path;
  std::string cpu_kernels;  // path of the stock CPU kernels, empty when they are not there
};

// Loads the backend, which registers itself, and the stock CPU kernels if they are there. Looks
// beside this executable, then beside libexecutorch.so; `path` overrides the backend's place.
// Throws when the backend cannot be loaded.
Backend load_backend(const std::string& path);

// The folder of this program.
std::string executable_folder();

// Status errors of the functions above, as exceptions.
void check(const Backend& backend, etvk_status status);

}  // namespace etvk_run
