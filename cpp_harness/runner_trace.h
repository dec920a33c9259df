// Files for profilers: a trace that Perfetto opens, and ExecuTorch's ETDump.
#pragma once

#include <executorch/runtime/core/event_tracer.h>

#include <memory>
#include <string>

#include "runner_backend.h"
#include "runner_json.h"

namespace etvk_run {

// Chrome's trace event format: one track of the host's runs, and one per delegate of what each
// dispatch took on the GPU. Where in a run the GPU began is not known: its events stand one after
// another from the run's begin, delegates in order of creation.
class Trace {
 public:
  // Adds the run that just ended: what every delegate's report says of it.
  void add_run(const Backend& backend, double ms);
  // Throws std::runtime_error.
  void write(const std::string& path) const;

 private:
  void add(const std::string& name, int track, double start_us, double us, Json arguments);

  Json events_ = Json::array();
  double now_us_ = 0;  // end of the last run
  bool named_ = false;
};

// A tracer for Module; throws std::runtime_error where the runtime's ETDump is not there.
std::unique_ptr<executorch::runtime::EventTracer> new_etdump();
void write_etdump(executorch::runtime::EventTracer* tracer, const std::string& path);

}  // namespace etvk_run
