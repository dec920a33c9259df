// One program in the stock ExecuTorch runtime.
#pragma once

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runner_backend.h"
#include "runner_tensor.h"

namespace etvk_run {

// What the runtime said when it would not load or run a program.
class RuntimeError : public std::runtime_error {
 public:
  RuntimeError(const std::string& message, executorch::runtime::Error code)
      : std::runtime_error(message), code_(code) {}
  // The backend understood the program and said that it does not do it.
  bool is_refusal() const {
    return code_ == executorch::runtime::Error::NotSupported ||
           code_ == executorch::runtime::Error::OperatorMissing;
  }

 private:
  executorch::runtime::Error code_;
};

struct ProgramFiles {
  std::string model;
  std::string method;  // "forward", or the first one, when empty
  std::vector<std::string> data;                             // .ptd
  std::vector<std::pair<std::string, std::string>> options;  // of the backend
};

struct InputMeta {
  executorch::aten::ScalarType dtype;
  std::vector<int32_t> dims;  // upper bounds when the program is dynamic
  std::vector<uint8_t> dim_order;
};

class Session {
 public:
  // Loads the program and its method; throws RuntimeError. The tracer gets the runtime's events.
  Session(const ProgramFiles& files, const Backend& backend,
          std::unique_ptr<executorch::runtime::EventTracer> tracer = nullptr);

  // Loads another method, which runs from now on; those before stay loaded.
  void use_method(const std::string& name);

  const std::string& method() const { return method_; }
  const std::vector<InputMeta>& inputs() const { return inputs_; }
  double load_ms() const { return load_ms_; }
  executorch::runtime::EventTracer* tracer() const { return module_->event_tracer(); }

  // Runs once. The outputs are copies. *ms gets the time of the runtime's execute alone.
  std::vector<HostTensor> run(const std::vector<HostTensor>& inputs, double* ms);

  // The steps of run(), for loops that measure. Inputs are the caller's until the next execute is
  // over; the runtime may copy them, and runs overwrite those copies: set them before every run.
  void set_inputs(const std::vector<HostTensor>& inputs);
  // Returns the time of the runtime's execute alone, in milliseconds.
  double execute();

 private:
  [[noreturn]] void fail(const std::string& what, executorch::runtime::Error error) const;

  const Backend& backend_;
  std::unique_ptr<executorch::extension::Module> module_;
  std::vector<executorch::extension::TensorPtr> tensors_;
  std::vector<executorch::runtime::EValue> results_;
  std::string model_;
  std::string method_;
  std::vector<InputMeta> inputs_;
  double load_ms_ = 0;
};

}  // namespace etvk_run
