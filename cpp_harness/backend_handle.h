// One initialised delegate: what ExecuTorch holds as DelegateHandle.
#pragma once

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/event_tracer.h>

#include <mutex>
#include <string>
#include <vector>

#include "backend_convert.h"
#include "backend_places.h"
#include "etvk.h"

namespace etvk_backend {

// Remembers the message for etvk_backend_last_error, logs it and returns `error`.
executorch::runtime::Error fail(executorch::runtime::Error error, const char* what,
                                const char* message);
// The same with the status' name and etvk_last_error().
executorch::runtime::Error fail_status(etvk_status status, Phase phase, const char* what);
void clear_last_error();

// Owns the etvk_delegate. Its mutex makes resize and execute one step.
class Handle {
 public:
  // program: what delegates of one program have in common, and of different ones not.
  Handle(etvk_delegate* delegate, const void* program);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Asks the delegate for its inputs and outputs as they are now.
  executorch::runtime::Error read_ports();

  // args: the inputs, then the outputs. tracer: may be null.
  executorch::runtime::Error execute(
      executorch::runtime::Span<executorch::runtime::EValue*> args,
      executorch::runtime::EventTracer* tracer);

 private:
  using Error = executorch::runtime::Error;
  using EValue = executorch::runtime::EValue;

  Error gather_input(size_t index, const EValue& arg);
  Error resize_if_changed();
  // Finds out what the arguments are; once, for the runtime passes the same ones always.
  Error place(const executorch::runtime::Span<EValue*>& args);
  // Refuses what delegates that ran before and this one have in common and cannot share.
  Error check_beside_others();
  Error gather_output(size_t index, EValue* arg);
  Error gather_output_as(size_t index, EValue* arg, const std::string& place, etvk_tensor* out);
  // Fills in integers, and the arguments whose output another argument has received.
  Error copy_repeated(const executorch::runtime::Span<EValue*>& args);
  Error write_integer_output(size_t index, EValue* arg);
  Error tensor_of(const EValue& arg, const etvk_port& port, const std::string& place,
                  etvk_tensor* tensor);

  etvk_delegate* delegate_;
  std::mutex mutex_;
  bool device_lost_ = false;
  bool placed_ = false;  // places_ says what placed_args_ arguments are
  size_t placed_args_ = 0;
  bool ran_ = false;
  bool integers_set_ = false;  // false until the first resize that passed integers succeeded
  std::vector<etvk_port> input_ports_, output_ports_;
  Places places_;
  std::vector<etvk_tensor> inputs_, outputs_;       // of the execute that runs
  std::vector<etvk_input_shape> shapes_;            // of the execute that runs
  std::vector<int64_t> integers_;                   // last accepted, one per input
  std::vector<int64_t> integer_inputs_, integer_outputs_;
};

}  // namespace etvk_backend
