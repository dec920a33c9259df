// GPU times as events of ExecuTorch's profiler.
#pragma once

#include <executorch/runtime/core/event_tracer.h>

#include "etvk.h"

namespace etvk_backend {

// Tells the tracer what each node of the run that just ended took on the GPU; nothing unless the
// option profile is on. begin: the runtime's clock when the run began. Durations and order are the
// GPU's; where the GPU began within the run is not known, so events are told as from its begin.
void log_profile(const etvk_delegate* delegate, et_timestamp_t begin,
                 executorch::runtime::EventTracer* tracer);

}  // namespace etvk_backend
