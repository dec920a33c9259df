#include "alloc_layer_state.h"

#include <cstdio>

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
