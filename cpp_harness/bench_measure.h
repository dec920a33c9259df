// What the benchmark measures of one stock case.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runner_backend.h"
#include "runner_json.h"

namespace etvk_run {

struct BenchSettings {
  std::vector<std::pair<std::string, std::string>> options;  // of the backend, without `profile`
  int repeat = 50;          // measured runs at most
  double warm_ms = 250;     // run for as long first: GPUs that idle are slow
  double most_ms = 3000;    // no further run is begun after as long; three runs at least
  std::string cache;        // file for the option pipeline_cache; empty: no loads with it
};

// Loads the case's program, compares its first run with the manifest, then times runs from host to
// host (option `profile` off) and, in a second load, dispatches on the GPU. Throws when the program
// cannot be loaded or run; outputs that are off are told in the result. Times are medians, in
// milliseconds unless the name says otherwise:
//   load_ms            the runtime's load of program and method; a device is opened in it
//   load_new_cache_ms, load_cached_ms   the same, writing and then reading a pipeline cache
//   load_again_ms      once more, where an earlier delegate asked to keep the device
//   load_phases, load_cached_phases   parts of the first and of the third of these, by the library
//   host_ms, host_least_ms   the runtime's execute: host memory to host memory
//   host_parts         of a few more runs: to staging, the device's part, from staging
//   set_inputs_ms      the runtime's own copy of the inputs, before it
//   gpu_ms             all dispatches; null where the device has no timestamps
//   gpu_inner_ms       without the copies between the host's layout and the device's
//   dispatches         kernel, node, workgroups, gpu_us, edge: is one of those copies
//   workspace_bytes, driver_bytes   device memory
//   largest_error, error_scale      of all outputs; the largest |want|
Json measure(const std::string& folder, const BenchSettings& settings, const Backend& backend);

}  // namespace etvk_run
