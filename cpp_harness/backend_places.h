// Which input or output of the program each argument of the runtime is.
#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>

#include <vector>

#include "etvk.h"

namespace etvk_backend {

// What the arguments of a call are.
struct Places {
  std::vector<size_t> inputs;   // of each input port: the argument
  size_t first_output = 0;      // the first argument that is an output
  std::vector<size_t> outputs;  // of each argument from there on: the output port
};

// The exporter does not list an input that its passes left unread (what a copy overwrites), and lists
// an output once that the program returns several times. So the arguments are the input ports in
// order, with unread ones anywhere between, and then the output ports in order, some of them repeated
// later. False when no such assignment fits the arguments' types and sizes, or more than one does.
// Outputs have their largest sizes still.
bool place_arguments(const executorch::runtime::Span<executorch::runtime::EValue*>& args,
                     const std::vector<etvk_port>& inputs, const std::vector<etvk_port>& outputs,
                     Places* places);

}  // namespace etvk_backend
