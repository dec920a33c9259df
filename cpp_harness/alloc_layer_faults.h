// Which Vulkan functions can fail, with what, and the failure that a test has asked for.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "fault_layer.h"

namespace etvk_layer {

// Results that the specification lists for a function and that are faults, not answers. Timeout is
// a success code there; here a wait ends with it before its time.
#define ETVK_HOST VK_ERROR_OUT_OF_HOST_MEMORY
#define ETVK_BOTH VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY
#define ETVK_LOSE ETVK_BOTH, VK_ERROR_DEVICE_LOST

// Functions that are passed on as they are. The first parameter is the dispatchable handle.
#define ETVK_LAYER_FORWARDED(X)                                                             \
  X(EnumeratePhysicalDevices, ETVK_BOTH, VK_ERROR_INITIALIZATION_FAILED)                    \
  X(EnumerateDeviceExtensionProperties, ETVK_BOTH)                                          \
  X(GetPhysicalDeviceImageFormatProperties, ETVK_BOTH)                                      \
  X(GetPhysicalDeviceImageFormatProperties2, ETVK_BOTH)                                     \
  X(CreateDebugUtilsMessengerEXT, ETVK_HOST)                                                \
  X(MapMemory, ETVK_BOTH, VK_ERROR_MEMORY_MAP_FAILED)                                       \
  X(FlushMappedMemoryRanges, ETVK_BOTH)                                                     \
  X(InvalidateMappedMemoryRanges, ETVK_BOTH)                                                \
  X(BindImageMemory, ETVK_BOTH)                                                             \
  X(BindImageMemory2, ETVK_BOTH)                                                            \
  X(AllocateDescriptorSets, ETVK_BOTH, VK_ERROR_FRAGMENTED_POOL, VK_ERROR_OUT_OF_POOL_MEMORY) \
  X(ResetDescriptorPool, ETVK_BOTH)                                                         \
  X(AllocateCommandBuffers, ETVK_BOTH)                                                      \
  X(BeginCommandBuffer, ETVK_BOTH)                                                          \
  X(EndCommandBuffer, ETVK_BOTH)                                                            \
  X(ResetCommandBuffer, ETVK_BOTH)                                                          \
  X(ResetCommandPool, ETVK_BOTH)                                                            \
  X(ResetFences, ETVK_BOTH)                                                                 \
  X(WaitForFences, ETVK_LOSE, VK_TIMEOUT)                                                   \
  X(GetFenceStatus, ETVK_LOSE)                                                              \
  X(WaitSemaphores, ETVK_LOSE, VK_TIMEOUT)                                                  \
  X(SignalSemaphore, ETVK_BOTH)                                                             \
  X(QueueSubmit, ETVK_LOSE)                                                                 \
  X(QueueSubmit2, ETVK_LOSE)                                                                \
  X(QueueSubmit2KHR, ETVK_LOSE)                                                             \
  X(QueueBindSparse, ETVK_LOSE)                                                             \
  X(QueueWaitIdle, ETVK_LOSE)                                                               \
  X(DeviceWaitIdle, ETVK_LOSE)                                                              \
  X(GetPipelineCacheData, ETVK_BOTH)                                                        \
  X(MergePipelineCaches, ETVK_BOTH)                                                         \
  X(GetQueryPoolResults, ETVK_LOSE)

// Functions that the layer counts as well.
#define ETVK_LAYER_COUNTED(X)                                                               \
  X(CreateInstance, ETVK_BOTH, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_INCOMPATIBLE_DRIVER) \
  X(CreateDevice, ETVK_LOSE, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_TOO_MANY_OBJECTS)     \
  X(AllocateMemory, ETVK_BOTH, VK_ERROR_TOO_MANY_OBJECTS)                                   \
  X(CreateBuffer, ETVK_BOTH)                                                                \
  X(BindBufferMemory, ETVK_BOTH)                                                            \
  X(BindBufferMemory2, ETVK_BOTH)                                                           \
  X(BindBufferMemory2KHR, ETVK_BOTH)                                                        \
  X(CreateComputePipelines, ETVK_BOTH)                                                      \
  X(SetDebugUtilsObjectNameEXT, ETVK_BOTH)                                                  \
  X(CreateImage, ETVK_BOTH)                                                                 \
  X(CreateImageView, ETVK_BOTH)                                                             \
  X(CreateBufferView, ETVK_BOTH)                                                            \
  X(CreateShaderModule, ETVK_BOTH)                                                          \
  X(CreatePipelineCache, ETVK_BOTH)                                                         \
  X(CreatePipelineLayout, ETVK_BOTH)                                                        \
  X(CreateDescriptorSetLayout, ETVK_BOTH)                                                   \
  X(CreateDescriptorPool, ETVK_BOTH, VK_ERROR_FRAGMENTATION)                                \
  X(CreateCommandPool, ETVK_BOTH)                                                           \
  X(CreateFence, ETVK_BOTH)                                                                 \
  X(CreateSemaphore, ETVK_BOTH)                                                             \
  X(CreateEvent, ETVK_BOTH)                                                                 \
  X(CreateQueryPool, ETVK_BOTH)                                                             \
  X(CreateSampler, ETVK_BOTH, VK_ERROR_TOO_MANY_OBJECTS)

#define ETVK_LAYER_FALLIBLE(X) ETVK_LAYER_FORWARDED(X) ETVK_LAYER_COUNTED(X)

enum Function : uint32_t {
#define ETVK_LAYER_NUMBER(Name, ...) k##Name,
  ETVK_LAYER_FALLIBLE(ETVK_LAYER_NUMBER)
#undef ETVK_LAYER_NUMBER
      kFunctions
};

struct Fallible {
  const char* name;
  VkResult results[6];  // VK_SUCCESS where there is no further one
};

inline const Fallible& fallible(uint32_t function) {
  static constexpr Fallible kTable[] = {
#define ETVK_LAYER_ROW(Name, ...) {"vk" #Name, {__VA_ARGS__}},
      ETVK_LAYER_FALLIBLE(ETVK_LAYER_ROW)
#undef ETVK_LAYER_ROW
  };
  return kTable[function];
}

inline bool can_give(uint32_t function, VkResult result) {
  for (const VkResult known : fallible(function).results) {
    if (known == result) {
      return true;
    }
  }
  return false;
}

// Whether the function waits for the device.
inline bool waits(uint32_t function) {
  return function == kWaitForFences || function == kWaitSemaphores || function == kQueueWaitIdle ||
         function == kDeviceWaitIdle;
}

// Counts calls and fails the one that was asked for. Guarded by State::mutex.
class Faults {
 public:
  Faults() {
    // FUNCTION:N of the environment.
    const char* wanted = std::getenv("ETVK_LAYER_FAIL");
    const char* colon = wanted == nullptr ? nullptr : std::strchr(wanted, ':');
    for (uint32_t i = 0; colon != nullptr && i < kFunctions; ++i) {
      const size_t length = std::strlen(fallible(i).name);
      if (static_cast<size_t>(colon - wanted) == length &&
          std::strncmp(wanted, fallible(i).name, length) == 0) {
        arm(i, std::strtoull(colon + 1, nullptr, 10), VK_ERROR_OUT_OF_DEVICE_MEMORY,
            ETVK_FAULT_ONCE);
      }
    }
  }

  void arm(uint32_t function, uint64_t ordinal, VkResult result, etvk_fault_mode mode) {
    std::memset(calls_, 0, sizeof(calls_));
    function_ = function;
    ordinal_ = ordinal;
    result_ = result;
    mode_ = mode;
    fired_ = 0;
  }

  uint64_t calls(uint32_t function) const { return calls_[function]; }
  uint64_t fired() const { return fired_; }

  // VK_SUCCESS where the call is to go through.
  VkResult next(uint32_t function) {
    const uint64_t call = ++calls_[function];
    bool fails = ordinal_ != 0 && function == function_ && call == ordinal_;
    if (!fails && fired_ > 0 && mode_ != ETVK_FAULT_ONCE) {
      fails = mode_ == ETVK_FAULT_ALL ? can_give(function, result_) : function == function_;
    }
    fired_ += fails ? 1 : 0;
    return fails ? result_ : VK_SUCCESS;
  }

 private:
  uint64_t calls_[kFunctions] = {};
  uint32_t function_ = 0;
  uint64_t ordinal_ = 0;  // 0: nothing is asked for
  VkResult result_ = VK_SUCCESS;
  etvk_fault_mode mode_ = ETVK_FAULT_ONCE;
  uint64_t fired_ = 0;
};

}  // namespace etvk_layer
