#include "runner_session.h"

#include <executorch/runtime/backend/interface.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

namespace etvk_run {

using executorch::aten::Tensor;
using executorch::extension::Module;
using executorch::runtime::BackendOption;
using executorch::runtime::Error;
using executorch::runtime::EValue;

namespace {

double ms_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  return elapsed.count();
}

BackendOption backend_option(const std::string& key, const std::string& value) {
  BackendOption option;
  std::array<char, executorch::runtime::kMaxOptionValueLength> text{};
  if (key.size() >= sizeof(option.key) || value.size() >= text.size()) {
    throw std::runtime_error("option " + key + " is too long");
  }
  std::memcpy(option.key, key.data(), key.size());
  value.copy(text.data(), text.size() - 1);
  option.value = text;
  return option;
}

HostTensor copy_of(const Tensor& tensor) {
  HostTensor copy;
  copy.dtype = tensor.scalar_type();
  copy.dims.assign(tensor.sizes().begin(), tensor.sizes().end());
  copy.dim_order.assign(tensor.dim_order().begin(), tensor.dim_order().end());
  const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
  if (bytes != nullptr) {
    copy.bytes.assign(bytes, bytes + tensor.nbytes());
  }
  return copy;
}

}  // namespace

void Session::fail(const std::string& what, Error error) const {
  const std::string detail = backend_.backend_last_error();
  std::string message = what + ": " + executorch::runtime::to_string(error);
  if (!detail.empty()) {
    message += ": " + detail;
  }
  throw RuntimeError(message, error);
}

Session::Session(const ProgramFiles& files, const Backend& backend,
                 std::unique_ptr<executorch::runtime::EventTracer> tracer)
    : backend_(backend), model_(files.model) {
  std::vector<std::string> paths = files.data;
  paths.push_back(files.model);
  for (const auto& path : paths) {
    if (access(path.c_str(), R_OK) != 0) {
      throw std::runtime_error(path + ": cannot be opened");
    }
  }
  const auto start = std::chrono::steady_clock::now();
  // The runtime would ask too, but its error names no reason.
  if (!executorch::runtime::get_backend_class("VulkanBackend")->is_available()) {
    fail("VulkanBackend is not available", Error::NotFound);
  }
  module_ = std::make_unique<Module>(files.model, files.data, Module::LoadMode::Mmap,
                                     std::move(tracer));
  std::vector<BackendOption> options;
  for (const auto& option : files.options) {
    options.push_back(backend_option(option.first, option.second));
  }
  executorch::runtime::LoadBackendOptionsMap option_map;
  if (!options.empty()) {
    const Error error =
        option_map.set_options("VulkanBackend", {options.data(), options.size()});
    if (error != Error::Ok) {
      fail("options", error);
    }
  }
  Error error = module_->load(option_map);
  if (error != Error::Ok) {
    fail("load", error);
  }
  auto names = module_->method_names();
  if (!names.ok() || names->empty()) {
    fail("method names", names.ok() ? Error::InvalidProgram : names.error());
  }
  const bool has_forward = names->count("forward") != 0;
  use_method(!files.method.empty() ? files.method : has_forward ? "forward" : *names->begin());
  load_ms_ = ms_since(start);
}

void Session::use_method(const std::string& name) {
  const Error error = module_->load_method(name);
  if (error != Error::Ok) {
    fail("load", error);
  }
  auto meta = module_->method_meta(name);
  if (!meta.ok()) {
    fail("method meta", meta.error());
  }
  method_ = name;
  inputs_.clear();
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    auto input = meta->input_tensor_meta(i);
    if (!input.ok()) {
      fail("input " + std::to_string(i) + " is not a tensor", input.error());
    }
    inputs_.push_back({input->scalar_type(),
                       {input->sizes().begin(), input->sizes().end()},
                       {input->dim_order().begin(), input->dim_order().end()}});
  }
}

void Session::set_inputs(const std::vector<HostTensor>& inputs) {
  tensors_.clear();
  std::vector<EValue> values;
  for (const auto& input : inputs) {
    // The runtime takes a mutable pointer but only reads inputs.
    auto* data = const_cast<uint8_t*>(input.bytes.data());
    tensors_.push_back(executorch::extension::make_tensor_ptr(
        {input.dims.begin(), input.dims.end()}, data,
        {input.dim_order.begin(), input.dim_order.end()}, {}, input.dtype));
    values.emplace_back(*tensors_.back());
  }
  const Error error = module_->set_inputs(method_, values);
  if (error != Error::Ok) {
    fail("set inputs", error);
  }
}

double Session::execute() {
  const auto start = std::chrono::steady_clock::now();
  auto result = module_->execute(method_, std::vector<EValue>{});
  const double ms = ms_since(start);
  if (!result.ok()) {
    fail("execute", result.error());
  }
  results_ = std::move(result.get());
  return ms;
}

std::vector<HostTensor> Session::run(const std::vector<HostTensor>& inputs, double* ms) {
  set_inputs(inputs);
  *ms = execute();
  std::vector<HostTensor> outputs;
  for (const auto& value : results_) {
    if (!value.isTensor()) {
      throw std::runtime_error("output " + std::to_string(outputs.size()) + " is not a tensor");
    }
    outputs.push_back(copy_of(value.toTensor()));
  }
  return outputs;
}

}  // namespace etvk_run
