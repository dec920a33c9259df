#include "backend_trace.h"

#include <executorch/runtime/core/event_tracer_hooks_delegate.h>
#include <executorch/runtime/platform/platform.h>

#include <cstring>
#include <string>
#include <vector>

namespace etvk_backend {
namespace {

using executorch::runtime::event_tracer_log_profiling_delegate;
using executorch::runtime::EventTracer;
using executorch::runtime::kUnsetDelegateDebugIntId;

// All that a node did. The profiler wants each identifier once per run.
struct NodeTime {
  uint32_t node;
  uint64_t start_ns, ns;
  std::string name;      // without a node, in place of the identifier
  std::string metadata;  // operator and kernels
};

std::vector<NodeTime> sum_by_node(const std::vector<etvk_profile_event>& events) {
  std::vector<NodeTime> nodes;
  for (const auto& event : events) {
    NodeTime* found = nullptr;
    for (auto& node : nodes) {
      if (node.node == event.node && (event.node != ETVK_NO_NODE || node.name == event.kernel)) {
        found = &node;
      }
    }
    if (found == nullptr) {
      nodes.push_back({event.node, event.start_ns, 0, event.kernel, event.operator_name});
      found = &nodes.back();
    }
    found->ns += event.end_ns - event.start_ns;
    if (found->metadata.find(event.kernel) == std::string::npos) {
      found->metadata += (found->metadata.empty() ? "" : " ") + std::string(event.kernel);
    }
  }
  return nodes;
}

}  // namespace

void log_profile(const etvk_delegate* delegate, et_timestamp_t begin, EventTracer* tracer) {
  uint32_t count = 0;
  if (etvk_delegate_profile(delegate, nullptr, 0, &count) != ETVK_STATUS_OK || count == 0) {
    return;
  }
  std::vector<etvk_profile_event> events(count);
  if (etvk_delegate_profile(delegate, events.data(), count, &count) != ETVK_STATUS_OK ||
      count > events.size()) {
    return;
  }
  events.resize(count);
  const et_tick_ratio_t ratio = et_pal_ticks_to_ns_multiplier();
  const auto ticks = [ratio](uint64_t ns) { return ns * ratio.denominator / ratio.numerator; };
  for (const auto& node : sum_by_node(events)) {
    const bool named = node.node == ETVK_NO_NODE;
    // The profiler wants an identifier or a name, not both.
    event_tracer_log_profiling_delegate(
        tracer, named ? node.name.c_str() : nullptr,
        named ? static_cast<uint32_t>(kUnsetDelegateDebugIntId) : node.node,
        begin + ticks(node.start_ns), begin + ticks(node.start_ns + node.ns),
        node.metadata.c_str(), node.metadata.size());
  }
}

}  // namespace etvk_backend
