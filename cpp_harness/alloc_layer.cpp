// VK_LAYER_ETVK_allocations: an explicit Vulkan layer that counts from outside what the library
// asks the driver for. Test equipment.
//
//   ETVK_LAYER_REPORT=FILE        where the JSON goes, whenever an instance ends and at exit
//   ETVK_LAYER_FAIL=FUNCTION:N    the N-th call (from 1) of FUNCTION returns
//                                 VK_ERROR_OUT_OF_DEVICE_MEMORY, for vkAllocateMemory and vkCreate...
//
// The report: "live_bytes", "peak_bytes" and "peak_allocations" of device memory; "objects" with
// created, destroyed and the most that lived at once per kind; "memory" with every allocation: size_bytes, name, allocated_at
// and freed_at (numbers of a common clock, freed_at is null while it lives), and the buffers bound
// to it. Names are those of vkSetDebugUtilsObjectNameEXT.
#include "alloc_layer_state.h"

#include <vulkan/vk_layer.h>

namespace {

using etvk_layer::State;

// Objects made by vkCreate<Name>(device, info, callbacks, out), ended by vkDestroy<Name>.
#define ETVK_LAYER_OBJECTS(X)                                                                  \
  X(Image) X(ImageView) X(BufferView) X(ShaderModule) X(PipelineCache) X(PipelineLayout)       \
  X(DescriptorSetLayout) X(DescriptorPool) X(CommandPool) X(Fence) X(Semaphore) X(Event)       \
  X(QueryPool) X(Sampler)

// Functions with a body of their own below.
#define ETVK_LAYER_FUNCTIONS(X)                                                                 \
  X(DestroyDevice) X(GetDeviceProcAddr) X(AllocateMemory) X(FreeMemory) X(CreateBuffer)         \
  X(DestroyBuffer) X(BindBufferMemory) X(BindBufferMemory2) X(BindBufferMemory2KHR)             \
  X(CreateComputePipelines) X(DestroyPipeline) X(SetDebugUtilsObjectNameEXT)

// Instances, devices and their children share the first word of the handle: the loader's table.
void* key_of(const void* dispatchable) { return *static_cast<void* const*>(dispatchable); }

State& state() {
  static State instance;
  return instance;
}

template <typename Function>
Function next(VkDevice device, const char* name) {
  std::lock_guard<std::mutex> lock(state().mutex);
  return reinterpret_cast<Function>(state().devices.at(key_of(device))(device, name));
}

bool should_fail(const char* function) {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().should_fail(function);
}

template <typename Handle>
void count(const char* kind, bool made, Handle handle) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (handle != VK_NULL_HANDLE) {
    made ? state().created(kind) : state().destroyed(kind);
  }
}

#define ETVK_LAYER_DEFINE_OBJECT(Name)                                                       \
  VKAPI_ATTR VkResult VKAPI_CALL Create##Name(                                               \
      VkDevice device, const Vk##Name##CreateInfo* info, const VkAllocationCallbacks* calls, \
      Vk##Name* out) {                                                                       \
    if (should_fail("vkCreate" #Name)) {                                                     \
      return VK_ERROR_OUT_OF_DEVICE_MEMORY;                                                  \
    }                                                                                        \
    const VkResult result =                                                                  \
        next<PFN_vkCreate##Name>(device, "vkCreate" #Name)(device, info, calls, out);        \
    if (result == VK_SUCCESS) {                                                              \
      count(#Name, true, *out);                                                              \
    }                                                                                        \
    return result;                                                                           \
  }                                                                                          \
  VKAPI_ATTR void VKAPI_CALL Destroy##Name(VkDevice device, Vk##Name handle,                 \
                                           const VkAllocationCallbacks* calls) {             \
    count(#Name, false, handle);                                                             \
    next<PFN_vkDestroy##Name>(device, "vkDestroy" #Name)(device, handle, calls);             \
  }
ETVK_LAYER_OBJECTS(ETVK_LAYER_DEFINE_OBJECT)

VKAPI_ATTR VkResult VKAPI_CALL AllocateMemory(VkDevice device, const VkMemoryAllocateInfo* info,
                                              const VkAllocationCallbacks* calls,
                                              VkDeviceMemory* out) {
  if (should_fail("vkAllocateMemory")) {
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  const VkResult result =
      next<PFN_vkAllocateMemory>(device, "vkAllocateMemory")(device, info, calls, out);
  if (result == VK_SUCCESS) {
    count("DeviceMemory", true, *out);
    std::lock_guard<std::mutex> lock(state().mutex);
    state().allocated(*out, info->allocationSize);
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL FreeMemory(VkDevice device, VkDeviceMemory memory,
                                      const VkAllocationCallbacks* calls) {
  count("DeviceMemory", false, memory);
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().freed(memory);
  }
  next<PFN_vkFreeMemory>(device, "vkFreeMemory")(device, memory, calls);
}

VKAPI_ATTR VkResult VKAPI_CALL CreateBuffer(VkDevice device, const VkBufferCreateInfo* info,
                                            const VkAllocationCallbacks* calls, VkBuffer* out) {
  if (should_fail("vkCreateBuffer")) {
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  const VkResult result =
      next<PFN_vkCreateBuffer>(device, "vkCreateBuffer")(device, info, calls, out);
  if (result == VK_SUCCESS) {
    count("Buffer", true, *out);
    std::lock_guard<std::mutex> lock(state().mutex);
    state().buffer_created(*out, info->size);
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL DestroyBuffer(VkDevice device, VkBuffer buffer,
                                         const VkAllocationCallbacks* calls) {
  count("Buffer", false, buffer);
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().buffer_destroyed(buffer);
  }
  next<PFN_vkDestroyBuffer>(device, "vkDestroyBuffer")(device, buffer, calls);
}

VKAPI_ATTR VkResult VKAPI_CALL BindBufferMemory(VkDevice device, VkBuffer buffer,
                                                VkDeviceMemory memory, VkDeviceSize offset) {
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().bound(buffer, memory);
  }
  return next<PFN_vkBindBufferMemory>(device, "vkBindBufferMemory")(device, buffer, memory, offset);
}

VkResult bind_all(VkDevice device, uint32_t bind_count, const VkBindBufferMemoryInfo* infos,
                  const char* name) {
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    for (uint32_t i = 0; i < bind_count; ++i) {
      state().bound(infos[i].buffer, infos[i].memory);
    }
  }
  return next<PFN_vkBindBufferMemory2>(device, name)(device, bind_count, infos);
}

VKAPI_ATTR VkResult VKAPI_CALL BindBufferMemory2(VkDevice device, uint32_t bind_count,
                                                 const VkBindBufferMemoryInfo* infos) {
  return bind_all(device, bind_count, infos, "vkBindBufferMemory2");
}

VKAPI_ATTR VkResult VKAPI_CALL BindBufferMemory2KHR(VkDevice device, uint32_t bind_count,
                                                    const VkBindBufferMemoryInfo* infos) {
  return bind_all(device, bind_count, infos, "vkBindBufferMemory2KHR");
}

VKAPI_ATTR VkResult VKAPI_CALL CreateComputePipelines(VkDevice device, VkPipelineCache cache,
                                                      uint32_t info_count,
                                                      const VkComputePipelineCreateInfo* infos,
                                                      const VkAllocationCallbacks* calls,
                                                      VkPipeline* out) {
  if (should_fail("vkCreateComputePipelines")) {
    for (uint32_t i = 0; i < info_count; ++i) {
      out[i] = VK_NULL_HANDLE;
    }
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  const VkResult result = next<PFN_vkCreateComputePipelines>(device, "vkCreateComputePipelines")(
      device, cache, info_count, infos, calls, out);
  for (uint32_t i = 0; i < info_count; ++i) {
    count("Pipeline", true, out[i]);
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL DestroyPipeline(VkDevice device, VkPipeline pipeline,
                                           const VkAllocationCallbacks* calls) {
  count("Pipeline", false, pipeline);
  next<PFN_vkDestroyPipeline>(device, "vkDestroyPipeline")(device, pipeline, calls);
}

VKAPI_ATTR VkResult VKAPI_CALL
SetDebugUtilsObjectNameEXT(VkDevice device, const VkDebugUtilsObjectNameInfoEXT* info) {
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().named(*info);
  }
  const auto function = next<PFN_vkSetDebugUtilsObjectNameEXT>(device, "vkSetDebugUtilsObjectNameEXT");
  return function == nullptr ? VK_SUCCESS : function(device, info);
}

// The loader's link to the next layer, in the pNext chain of a create info.
template <typename Link>
Link* find_link(const void* chain, VkStructureType type) {
  auto* link = static_cast<Link*>(const_cast<void*>(chain));
  while (link != nullptr && !(link->sType == type && link->function == VK_LAYER_LINK_INFO)) {
    link = static_cast<Link*>(const_cast<void*>(link->pNext));
  }
  return link;
}

VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo* info,
                                              const VkAllocationCallbacks* calls,
                                              VkInstance* out) {
  auto* link = find_link<VkLayerInstanceCreateInfo>(
      info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (link == nullptr) {
    return VK_ERROR_INITIALIZATION_FAILED;
  }
  const auto get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create =
      reinterpret_cast<PFN_vkCreateInstance>(get(VK_NULL_HANDLE, "vkCreateInstance"));
  const VkResult result = create(info, calls, out);
  if (result == VK_SUCCESS) {
    count("Instance", true, *out);
    std::lock_guard<std::mutex> lock(state().mutex);
    state().instances[key_of(*out)] = get;
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL DestroyInstance(VkInstance instance,
                                           const VkAllocationCallbacks* calls) {
  if (instance == VK_NULL_HANDLE) {
    return;
  }
  count("Instance", false, instance);
  PFN_vkDestroyInstance destroy = nullptr;
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    const auto found = state().instances.find(key_of(instance));
    destroy =
        reinterpret_cast<PFN_vkDestroyInstance>(found->second(instance, "vkDestroyInstance"));
    state().instances.erase(found);
    state().write_report();
  }
  destroy(instance, calls);
}

VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice physical_device,
                                            const VkDeviceCreateInfo* info,
                                            const VkAllocationCallbacks* calls, VkDevice* out) {
  auto* link = find_link<VkLayerDeviceCreateInfo>(info->pNext,
                                                  VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (link == nullptr) {
    return VK_ERROR_INITIALIZATION_FAILED;
  }
  const auto get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  const auto get_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create =
      reinterpret_cast<PFN_vkCreateDevice>(get_instance(VK_NULL_HANDLE, "vkCreateDevice"));
  const VkResult result = create(physical_device, info, calls, out);
  if (result == VK_SUCCESS) {
    count("Device", true, *out);
    std::lock_guard<std::mutex> lock(state().mutex);
    state().devices[key_of(*out)] = get_device;
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL DestroyDevice(VkDevice device, const VkAllocationCallbacks* calls) {
  if (device == VK_NULL_HANDLE) {
    return;
  }
  count("Device", false, device);
  const auto destroy = next<PFN_vkDestroyDevice>(device, "vkDestroyDevice");
  {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().devices.erase(key_of(device));
  }
  destroy(device, calls);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char* name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance instance,
                                                             const char* name);

struct Intercepted {
  const char* name;
  PFN_vkVoidFunction function;
};

#define ETVK_LAYER_FUNCTION_ENTRY(Name) {"vk" #Name, reinterpret_cast<PFN_vkVoidFunction>(Name)},
#define ETVK_LAYER_OBJECT_ENTRY(Name)                                      \
  {"vkCreate" #Name, reinterpret_cast<PFN_vkVoidFunction>(Create##Name)}, \
      {"vkDestroy" #Name, reinterpret_cast<PFN_vkVoidFunction>(Destroy##Name)},
const Intercepted kDeviceFunctions[] = {ETVK_LAYER_FUNCTIONS(ETVK_LAYER_FUNCTION_ENTRY)
                                            ETVK_LAYER_OBJECTS(ETVK_LAYER_OBJECT_ENTRY)};
const Intercepted kInstanceFunctions[] = {
    ETVK_LAYER_FUNCTION_ENTRY(GetInstanceProcAddr) ETVK_LAYER_FUNCTION_ENTRY(CreateInstance)
        ETVK_LAYER_FUNCTION_ENTRY(DestroyInstance) ETVK_LAYER_FUNCTION_ENTRY(CreateDevice)};

template <size_t N>
PFN_vkVoidFunction find(const Intercepted (&table)[N], const char* name) {
  for (const auto& entry : table) {
    if (std::strcmp(entry.name, name) == 0) {
      return entry.function;
    }
  }
  return nullptr;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char* name) {
  const auto below = next<PFN_vkVoidFunction>(device, name);
  const auto own = find(kDeviceFunctions, name);
  // A function that is not there below must not appear to be.
  return own != nullptr && below != nullptr ? own : below;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance instance,
                                                             const char* name) {
  auto own = find(kInstanceFunctions, name);
  own = own == nullptr ? find(kDeviceFunctions, name) : own;
  if (own != nullptr || instance == VK_NULL_HANDLE) {
    return own;
  }
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().instances.at(key_of(instance))(instance, name);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* negotiation) {
  if (negotiation->loaderLayerInterfaceVersion < 2) {
    return VK_ERROR_INITIALIZATION_FAILED;
  }
  negotiation->loaderLayerInterfaceVersion = 2;
  negotiation->pfnGetInstanceProcAddr = GetInstanceProcAddr;
  negotiation->pfnGetDeviceProcAddr = GetDeviceProcAddr;
  negotiation->pfnGetPhysicalDeviceProcAddr = nullptr;
  return VK_SUCCESS;
}
