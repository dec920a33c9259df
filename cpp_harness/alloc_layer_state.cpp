#include "alloc_layer_state.h"

#include <cstdio>
#include <cstdlib>

namespace etvk_layer {
namespace {

void append_string(std::string* out, const std::string& text) {
  *out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      *out += '\\';
    }
    *out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  *out += '"';
}

}  // namespace

State& state() {
  static State instance;
  return instance;
}

void State::write_report() const {
  const char* path = std::getenv("ETVK_LAYER_REPORT");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
  if (file == nullptr) {
    return;
  }
  const std::string text = report();
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
}

std::string State::report() const {
  std::string out = "{\"live_bytes\": " + std::to_string(live_bytes_) +
                    ", \"peak_bytes\": " + std::to_string(peak_bytes_) +
                    ", \"peak_allocations\": " + std::to_string(peak_allocations_) +
                    ",\n \"objects\": {";
  const char* separator = "";
  for (const auto& entry : objects_) {
    out += separator;
    append_string(&out, entry.first);
    out += ": {\"created\": " + std::to_string(entry.second.created) +
           ", \"destroyed\": " + std::to_string(entry.second.destroyed) +
           ", \"peak\": " + std::to_string(entry.second.peak) + "}";
    separator = ", ";
  }
  out += "},\n \"memory\": [";
  separator = "\n  ";
  for (const auto& memory : memory_) {
    out += separator;
    out += "{\"size_bytes\": " + std::to_string(memory.size_bytes) + ", \"name\": ";
    append_string(&out, memory.name);
    out += ", \"allocated_at\": " + std::to_string(memory.allocated_at) + ", \"freed_at\": " +
           (memory.freed_at == 0 ? std::string("null") : std::to_string(memory.freed_at)) +
           ", \"buffers\": [";
    const char* comma = "";
    for (const size_t index : memory.buffers) {
      out += comma;
      out += "{\"size_bytes\": " + std::to_string(buffers_[index].size_bytes) + ", \"name\": ";
      append_string(&out, buffers_[index].name);
      out += "}";
      comma = ", ";
    }
    out += "]}";
    separator = ",\n  ";
  }
  return out + "]}\n";
}

}  // namespace etvk_layer

using etvk_layer::state;

#define ETVK_LAYER_EXPORT extern "C" __attribute__((visibility("default")))

ETVK_LAYER_EXPORT const char* etvk_layer_function(uint32_t function) {
  return function < etvk_layer::kFunctions ? etvk_layer::fallible(function).name : nullptr;
}

ETVK_LAYER_EXPORT int32_t etvk_layer_result(uint32_t function, uint32_t index) {
  const auto& results = etvk_layer::fallible(function).results;
  return index < sizeof(results) / sizeof(results[0]) ? results[index] : VK_SUCCESS;
}

ETVK_LAYER_EXPORT uint64_t etvk_layer_calls(uint32_t function) {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().faults.calls(function);
}

ETVK_LAYER_EXPORT void etvk_layer_arm(uint32_t function, uint64_t ordinal, int32_t result,
                                      etvk_fault_mode mode) {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().faults.arm(function, ordinal, static_cast<VkResult>(result), mode);
}

ETVK_LAYER_EXPORT uint64_t etvk_layer_fired() {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().faults.fired();
}

ETVK_LAYER_EXPORT const char* etvk_layer_objects(uint32_t index, uint64_t* live) {
  std::lock_guard<std::mutex> lock(state().mutex);
  const auto& objects = state().objects();
  if (index >= objects.size()) {
    return nullptr;
  }
  const auto& entry = *std::next(objects.begin(), index);
  *live = entry.second.created - entry.second.destroyed;
  return entry.first.c_str();
}

ETVK_LAYER_EXPORT void etvk_layer_memory(uint64_t* live_bytes, uint64_t* peak_bytes) {
  std::lock_guard<std::mutex> lock(state().mutex);
  *live_bytes = state().live_bytes();
  *peak_bytes = state().take_peak_bytes();
}
