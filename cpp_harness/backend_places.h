// Which output of the program each output argument of the runtime is.
#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>

#include <vector>

#include "etvk.h"

namespace etvk_backend {

// The exporter lists an output once that the program returns several times: the arguments are the
// ports in order, some of them repeated later. Fills in the port of each argument; false when no
// assignment fits the arguments' types and sizes, or more than one does. The ports have their
// largest sizes still.
bool place_repeated(const executorch::runtime::Span<executorch::runtime::EValue*>& args,
                    const std::vector<etvk_port>& ports, std::vector<size_t>* places);

}  // namespace etvk_backend
