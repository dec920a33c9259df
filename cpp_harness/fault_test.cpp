// Lets every Vulkan call fail in turn, in one process:
//
//   fault_test LAYER_LIBRARY FIXTURE BYSTANDER_FIXTURE [FUNCTION]
//
// LAYER_LIBRARY is libetvk_allocation_layer.so under the path that the loader has; the environment
// switches the layer on (VK_INSTANCE_LAYERS). Fixtures are folders of extract_blob.py; FIXTURE's
// program must have dynamic sizes. For every function that can fail, every result that it can fail
// with and every call: create, resize, execute, resize, execute, report, destroy. The failure must
// come back as its status with a message, outputs stay as they were, the delegate works again when
// the failure is over (or says that its device is lost), and nothing leaks but what the device may
// still use because it cannot be waited for. Done twice: alone, where the device comes and goes with
// each delegate, and beside a delegate that must keep working.
#include <cstdio>
#include <cstdlib>
#include <map>

#include "fault_scenario.h"

namespace {

using etvk_faults::Bystander;
using etvk_faults::Config;
using etvk_faults::Layer;
using etvk_faults::Outcome;
using etvk_faults::Scenario;

// Milliseconds: much more than these programs take, and as long as a wait that never ends is watched.
constexpr const char* kTimeout = "5000";

// Names are for debuggers, and caches for speed: without them a call does its work as well.
bool ignorable(const std::string& function) {
  return function == "vkSetDebugUtilsObjectNameEXT" ||
         function == "vkGetPipelineCacheData" || function == "vkMergePipelineCaches";
}

etvk_status wanted_status(int32_t result) {
  switch (result) {
    case VK_ERROR_DEVICE_LOST:
      return ETVK_STATUS_DEVICE_LOST;
    case VK_ERROR_INITIALIZATION_FAILED:
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return ETVK_STATUS_NO_DEVICE;
    case VK_TIMEOUT:
      return ETVK_STATUS_TIMEOUT;
    default:
      return ETVK_STATUS_OUT_OF_MEMORY;
  }
}

// Calls to let fail: all of a few, else the first, the last and some between.
bool sampled(uint64_t call, uint64_t calls, bool thoroughly) {
  if (thoroughly && (calls <= 24 || call <= 8 || call + 4 > calls || call % 16 == 0)) {
    return true;
  }
  return call == 1 || call == calls || call == calls / 2;
}

class Faults {
 public:
  Faults(const Layer& layer, const Scenario& scenario, const char* only)
      : layer_(layer), scenario_(scenario), only_(only == nullptr ? "" : only) {}

  // `bystander` may be null.
  void run(const Config& config, Bystander* bystander) {
    layer_.disarm();
    const Outcome clean = scenario_.run(config, layer_);
    etvk_faults::require(clean.status == ETVK_STATUS_OK, "a run without faults: " + clean.message);
    const std::vector<uint64_t>& calls = clean.calls;
    for (uint32_t f = 0; f < calls.size(); ++f) {
      const std::string name = layer_.function(f);
      if (calls[f] == 0 || (!only_.empty() && only_ != name)) {
        continue;
      }
      int32_t result = 0;
      for (uint32_t r = 0; (result = layer_.result(f, r)) != VK_SUCCESS; ++r) {
        for (uint64_t call = 1; call <= calls[f]; ++call) {
          if (sampled(call, calls[f], r == 0 && !ignorable(name))) {
            one(config, bystander, f, call, result, ETVK_FAULT_ONCE);
          }
        }
        // Memory stays short, a lost device stays lost.
        one(config, bystander, f, (calls[f] + 1) / 2, result,
            r == 0 || result == VK_ERROR_DEVICE_LOST ? ETVK_FAULT_ALL : ETVK_FAULT_FROM_ON);
      }
      ++functions;
    }
  }

  int functions = 0;
  int failures = 0;
  // Objects that the device may still use.
  std::map<std::string, uint64_t> leaked;

 private:
  void one(const Config& config, Bystander* bystander, uint32_t function, uint64_t call,
           int32_t result, etvk_fault_mode mode) {
    const std::string name = layer_.function(function);
    const std::string when = name + " gives " + std::to_string(result) + " at call " +
                             std::to_string(call) + (mode == ETVK_FAULT_ONCE ? "" : " and on") +
                             (bystander == nullptr ? ", alone" : ", beside another") + ", " +
                             config.name;
    etvk_faults::context() = when;
    const auto before = layer_.live();
    layer_.arm(function, call, result, mode);
    const Outcome outcome = scenario_.run(config, layer_);
    const bool unwaited = name == "vkWaitForFences" && mode != ETVK_FAULT_ONCE;
    const bool early = result == VK_TIMEOUT && mode == ETVK_FAULT_ONCE;
    // A workspace image may have been remembered, so that there are fewer calls than at first. A
    // wait that ends before its time is taken up again.
    if (outcome.fired == 0 || early) {
      etvk_faults::require(outcome.status == ETVK_STATUS_OK, outcome.message);
    } else if (!(ignorable(name) && outcome.status == ETVK_STATUS_OK)) {
      const etvk_status wanted = wanted_status(result);
      // What cannot even be waited for counts as lost.
      const bool lost = unwaited && outcome.status == ETVK_STATUS_DEVICE_LOST;
      etvk_faults::require(outcome.status == wanted || lost,
                           std::string(etvk_status_name(outcome.status)) + " at " + outcome.step +
                               ", not " + etvk_status_name(wanted) + ": " + outcome.message);
      etvk_faults::require(!outcome.message.empty(), "no message");
      ++failures;
    }
    if (bystander != nullptr) {
      if (etvk_faults::loses_device(outcome.status) && bystander->lost()) {
        bystander->renew();
        etvk_faults::require(scenario_.run(config, layer_).status == ETVK_STATUS_OK,
                             "a fresh delegate after the loss");
      } else {
        bystander->check();
      }
    }
    check_leaks(before, unwaited && outcome.fired > 0);
  }

  // Compares what lives with what lived `before`. Where leaks are allowed, they are noted.
  void check_leaks(const std::map<std::string, uint64_t>& before, bool allowed) {
    for (const auto& kind : layer_.live()) {
      const auto found = before.find(kind.first);
      const uint64_t had = found == before.end() ? 0 : found->second;
      if (allowed) {
        leaked[kind.first] += kind.second - had;
      } else {
        etvk_faults::require(kind.first == "Instance" || kind.second == had,
                             "leaks " + kind.first + ": " + std::to_string(had) + " before, " +
                                 std::to_string(kind.second) + " after");
      }
    }
  }

  const Layer& layer_;
  const Scenario& scenario_;
  std::string only_;
};

// Instances, one plain and one with validation, are made once per process: before that, what makes
// them fails in every way.
int fail_instances(const Layer& layer, const std::vector<etvk_option>& options) {
  int failures = 0;
  for (const std::string name : {"vkCreateInstance", "vkCreateDebugUtilsMessengerEXT"}) {
    uint32_t f = 0;
    while (name != layer.function(f)) {
      ++f;
    }
    int32_t result = 0;
    for (uint32_t r = 0; (result = layer.result(f, r)) != VK_SUCCESS; ++r) {
      etvk_faults::context() = name + " gives " + std::to_string(result);
      layer.arm(f, 1, result, ETVK_FAULT_ONCE);
      const etvk_status status =
          etvk_probe(options.data(), static_cast<uint32_t>(options.size()));
      if (layer.fired() == 0) {
        // No messenger without validation, and perhaps no validation layer here.
        break;
      }
      etvk_faults::require(status == wanted_status(result) && etvk_last_error()[0] != '\0',
                           etvk_status_name(status));
      ++failures;
    }
  }
  layer.disarm();
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "fault_test LAYER_LIBRARY FIXTURE BYSTANDER_FIXTURE [FUNCTION]\n");
    return 2;
  }
  const Layer layer(argv[1]);
  const Scenario scenario(argv[2]);
  const Scenario beside(argv[3]);
  int failures = fail_instances(layer, {});
  etvk_faults::require(failures > 0, "the layer is not loaded");
  failures += fail_instances(layer, {{"validation", "1"}});
  Faults faults(layer, scenario, argc > 4 ? argv[4] : nullptr);
  const Config plain{"plain",
                     {{"profile", "1"},
                      {"warm_up", "1"},
                      {"memory_limit_bytes", "1000000000"},
                      {"timeout_ms", kTimeout}}};
  const Config images{"images",
                      {{"conv_algorithm", "im2col"},
                       {"scratch_storage", "texture2d"},
                       {"share_workspace", "1"},
                       {"timeout_ms", kTimeout}}};
  for (const Config& config : {plain, images}) {
    faults.run(config, nullptr);
    Bystander bystander(beside, config);
    // Pipelines stay with the device: all that there will be are made first.
    etvk_faults::require(scenario.run(config, layer).status == ETVK_STATUS_OK, "a first run");
    faults.run(config, &bystander);
  }
  for (const auto& kind : layer.live()) {
    etvk_faults::require(kind.first == "Instance" || kind.second == faults.leaked[kind.first],
                         "left over: " + kind.first);
  }
  failures += faults.failures;
  std::printf("%d failures of %d functions: each its status, nothing leaked\n", failures,
              faults.functions);
  return failures > 100 || argc > 4 ? 0 : 1;
}
