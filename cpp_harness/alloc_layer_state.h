// What the counting layer knows: every allocation, buffer and object, and the report of them.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "alloc_layer_faults.h"

namespace etvk_layer {

struct Buffer {
  uint64_t size_bytes = 0;
  std::string name;
};

struct Memory {
  uint64_t size_bytes = 0;
  uint64_t allocated_at = 0;
  uint64_t freed_at = 0;  // 0 while it lives
  std::string name;
  std::vector<size_t> buffers;  // indices into State::buffers
};

struct Count {
  uint64_t created = 0;
  uint64_t destroyed = 0;
  uint64_t peak = 0;  // most that lived at one time
};

// What is below the layer. The functions are looked up when the instance or device is new: later
// the loader may answer with those above.
template <typename Handle, typename Get>
struct Link {
  Handle handle;
  Get get;
  std::map<std::string, PFN_vkVoidFunction> functions;

  PFN_vkVoidFunction find(const char* name) const {
    const auto found = functions.find(name);
    return found == functions.end() ? get(handle, name) : found->second;
  }
};

template <typename Handle>
uint64_t number_of(Handle handle) {
  uint64_t number = 0;
  std::memcpy(&number, &handle, sizeof(handle));
  return number;
}

// All of it is guarded by `mutex`, which the callers lock.
class State {
 public:
  ~State() { write_report(); }

  std::mutex mutex;
  std::map<void*, Link<VkInstance, PFN_vkGetInstanceProcAddr>> instances;
  std::map<void*, Link<VkDevice, PFN_vkGetDeviceProcAddr>> devices;
  Faults faults;

  void created(const char* kind) {
    Count& count = objects_[kind];
    const uint64_t live = ++count.created - count.destroyed;
    count.peak = live > count.peak ? live : count.peak;
  }
  void destroyed(const char* kind) { ++objects_[kind].destroyed; }

  void allocated(VkDeviceMemory handle, uint64_t size_bytes) {
    live_bytes_ += size_bytes;
    peak_bytes_ = live_bytes_ > peak_bytes_ ? live_bytes_ : peak_bytes_;
    recent_peak_bytes_ = live_bytes_ > recent_peak_bytes_ ? live_bytes_ : recent_peak_bytes_;
    memory_of_[number_of(handle)] = memory_.size();
    memory_.push_back({size_bytes, ++clock_, 0, "", {}});
    peak_allocations_ =
        memory_of_.size() > peak_allocations_ ? memory_of_.size() : peak_allocations_;
  }

  void freed(VkDeviceMemory handle) {
    const auto found = memory_of_.find(number_of(handle));
    if (found != memory_of_.end()) {
      live_bytes_ -= memory_[found->second].size_bytes;
      memory_[found->second].freed_at = ++clock_;
      memory_of_.erase(found);
    }
  }

  void buffer_created(VkBuffer handle, uint64_t size_bytes) {
    buffer_of_[number_of(handle)] = buffers_.size();
    buffers_.push_back({size_bytes, ""});
  }

  void buffer_destroyed(VkBuffer handle) { buffer_of_.erase(number_of(handle)); }

  void bound(VkBuffer buffer, VkDeviceMemory memory) {
    const auto to = memory_of_.find(number_of(memory));
    const auto from = buffer_of_.find(number_of(buffer));
    if (to != memory_of_.end() && from != buffer_of_.end()) {
      memory_[to->second].buffers.push_back(from->second);
    }
  }

  void named(const VkDebugUtilsObjectNameInfoEXT& info) {
    const std::string name = info.pObjectName == nullptr ? "" : info.pObjectName;
    if (info.objectType == VK_OBJECT_TYPE_DEVICE_MEMORY) {
      const auto found = memory_of_.find(info.objectHandle);
      if (found != memory_of_.end()) {
        memory_[found->second].name = name;
      }
    } else if (info.objectType == VK_OBJECT_TYPE_BUFFER) {
      const auto found = buffer_of_.find(info.objectHandle);
      if (found != buffer_of_.end()) {
        buffers_[found->second].name = name;
      }
    }
  }

  const std::map<std::string, Count>& objects() const { return objects_; }
  uint64_t live_bytes() const { return live_bytes_; }
  // The most since the last call.
  uint64_t take_peak_bytes() {
    const uint64_t peak = recent_peak_bytes_;
    recent_peak_bytes_ = live_bytes_;
    return peak;
  }

  // Writes the report to the file of ETVK_LAYER_REPORT, if that is set.
  void write_report() const;

 private:
  std::string report() const;

  std::map<std::string, Count> objects_;
  std::vector<Memory> memory_;
  std::vector<Buffer> buffers_;
  std::map<uint64_t, size_t> memory_of_, buffer_of_;  // live handles only: drivers reuse them
  uint64_t live_bytes_ = 0;
  uint64_t peak_bytes_ = 0;
  uint64_t recent_peak_bytes_ = 0;
  size_t peak_allocations_ = 0;
  uint64_t clock_ = 0;
};

// The one state of the process.
State& state();

}  // namespace etvk_layer
