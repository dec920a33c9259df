// VK_LAYER_ETVK_limits: an explicit Vulkan layer that reports a smaller device than there is. Test
// equipment: a validation layer above it then checks that what is reported is kept.
//
//   ETVK_LAYER_LIMITS="storage_range=262144 allocation=2097152"
//
// storage_range   maxStorageBufferRange, bytes
// allocation      maxMemoryAllocationSize, bytes
// alignment       minStorageBufferOffsetAlignment, bytes
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

struct Below {
  PFN_vkGetInstanceProcAddr get;
  PFN_vkDestroyInstance destroy;
  PFN_vkGetPhysicalDeviceProperties properties;
  PFN_vkGetPhysicalDeviceProperties2 properties2;
};

std::mutex mutex;
std::map<void*, Below> instances;

// Instances and their physical devices share the first word of the handle: the loader's table.
void* key_of(const void* dispatchable) { return *static_cast<void* const*>(dispatchable); }

Below below(const void* dispatchable) {
  std::lock_guard<std::mutex> lock(mutex);
  return instances.at(key_of(dispatchable));
}

// The number after `key=`; what the device has where there is none.
template <typename Number>
void lower(Number& limit, const char* key) {
  const char* text = std::getenv("ETVK_LAYER_LIMITS");
  const std::string all = std::string(" ") + (text == nullptr ? "" : text);
  const std::string wanted = std::string(" ") + key + "=";
  const size_t at = all.find(wanted);
  if (at != std::string::npos) {
    const auto number = std::strtoull(all.c_str() + at + wanted.size(), nullptr, 10);
    limit = static_cast<Number>(number);
  }
}

void lower_all(VkPhysicalDeviceLimits& limits) {
  lower(limits.maxStorageBufferRange, "storage_range");
  lower(limits.minStorageBufferOffsetAlignment, "alignment");
}

VKAPI_ATTR void VKAPI_CALL GetPhysicalDeviceProperties(VkPhysicalDevice device,
                                                       VkPhysicalDeviceProperties* out) {
  below(device).properties(device, out);
  lower_all(out->limits);
}

VKAPI_ATTR void VKAPI_CALL GetPhysicalDeviceProperties2(VkPhysicalDevice device,
                                                        VkPhysicalDeviceProperties2* out) {
  below(device).properties2(device, out);
  lower_all(out->properties.limits);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr;
       next = next->pNext) {
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES) {
      auto* found = reinterpret_cast<VkPhysicalDeviceMaintenance3Properties*>(next);
      lower(found->maxMemoryAllocationSize, "allocation");
    }
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES) {
      auto* found = reinterpret_cast<VkPhysicalDeviceVulkan11Properties*>(next);
      lower(found->maxMemoryAllocationSize, "allocation");
    }
  }
}

VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo* info,
                                              const VkAllocationCallbacks* calls,
                                              VkInstance* out) {
  auto* link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(info->pNext));
  while (link != nullptr && !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO &&
                              link->function == VK_LAYER_LINK_INFO)) {
    link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(link->pNext));
  }
  if (link == nullptr) {
    return VK_ERROR_INITIALIZATION_FAILED;
  }
  const auto get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create =
      reinterpret_cast<PFN_vkCreateInstance>(get(VK_NULL_HANDLE, "vkCreateInstance"));
  const VkResult result = create(info, calls, out);
  if (result == VK_SUCCESS) {
    // Asked for now: later the loader answers with the top of the chain.
    const auto find = [&](const char* name) { return get(*out, name); };
    std::lock_guard<std::mutex> lock(mutex);
    instances[key_of(*out)] = {
        get, reinterpret_cast<PFN_vkDestroyInstance>(find("vkDestroyInstance")),
        reinterpret_cast<PFN_vkGetPhysicalDeviceProperties>(
            find("vkGetPhysicalDeviceProperties")),
        reinterpret_cast<PFN_vkGetPhysicalDeviceProperties2>(
            find("vkGetPhysicalDeviceProperties2"))};
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL DestroyInstance(VkInstance instance,
                                           const VkAllocationCallbacks* calls) {
  if (instance == VK_NULL_HANDLE) {
    return;
  }
  PFN_vkDestroyInstance destroy = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex);
    const auto found = instances.find(key_of(instance));
    destroy = found->second.destroy;
    instances.erase(found);
  }
  destroy(instance, calls);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance instance,
                                                             const char* name) {
  const struct {
    const char* name;
    PFN_vkVoidFunction function;
  } own[] = {
      {"vkGetInstanceProcAddr", reinterpret_cast<PFN_vkVoidFunction>(GetInstanceProcAddr)},
      {"vkCreateInstance", reinterpret_cast<PFN_vkVoidFunction>(CreateInstance)},
      {"vkDestroyInstance", reinterpret_cast<PFN_vkVoidFunction>(DestroyInstance)},
      {"vkGetPhysicalDeviceProperties",
       reinterpret_cast<PFN_vkVoidFunction>(GetPhysicalDeviceProperties)},
      {"vkGetPhysicalDeviceProperties2",
       reinterpret_cast<PFN_vkVoidFunction>(GetPhysicalDeviceProperties2)},
      {"vkGetPhysicalDeviceProperties2KHR",
       reinterpret_cast<PFN_vkVoidFunction>(GetPhysicalDeviceProperties2)},
  };
  for (const auto& entry : own) {
    if (std::strcmp(entry.name, name) == 0) {
      return entry.function;
    }
  }
  return instance == VK_NULL_HANDLE ? nullptr : below(instance).get(instance, name);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* negotiation) {
  negotiation->loaderLayerInterfaceVersion =
      std::min(negotiation->loaderLayerInterfaceVersion, 2u);
  negotiation->pfnGetInstanceProcAddr = GetInstanceProcAddr;
  negotiation->pfnGetDeviceProcAddr = nullptr;
  negotiation->pfnGetPhysicalDeviceProcAddr = nullptr;
  return VK_SUCCESS;
}
