// VK_LAYER_ETVK_allocations: an explicit Vulkan layer that counts from outside what the library
// asks the driver for. Test equipment.
//
//   ETVK_LAYER_REPORT=FILE        where the JSON goes, whenever an instance ends and at exit
//   ETVK_LAYER_FAIL=FUNCTION:N    the N-th call (from 1) of FUNCTION, one of alloc_layer_faults.h,
//                                 returns VK_ERROR_OUT_OF_DEVICE_MEMORY
//
// A test in the same process lets calls fail, and counts, through fault_layer.h.
//
// The report: "live_bytes", "peak_bytes" and "peak_allocations" of device memory; "objects" with
// created, destroyed and the most that lived at once per kind; "memory" with every allocation: size_bytes, name, allocated_at
// and freed_at (numbers of a common clock, freed_at is null while it lives), and the buffers bound
// to it. Names are those of vkSetDebugUtilsObjectNameEXT.
#include "alloc_layer_state.h"

#include <vulkan/vk_layer.h>

#include <algorithm>

namespace {

using etvk_layer::state;

// Objects made by vkCreate<Name>(device, info, callbacks, out), ended by vkDestroy<Name>.
#define ETVK_LAYER_OBJECTS(X)                                                                  \
  X(Image) X(ImageView) X(BufferView) X(ShaderModule) X(PipelineCache) X(PipelineLayout)       \
  X(DescriptorSetLayout) X(DescriptorPool) X(CommandPool) X(Fence) X(Semaphore) X(Event)       \
  X(QueryPool) X(Sampler)

// Device functions with a body of their own below.
#define ETVK_LAYER_FUNCTIONS(X)                                                                 \
  X(DestroyDevice) X(GetDeviceProcAddr) X(AllocateMemory) X(FreeMemory) X(CreateBuffer)         \
  X(DestroyBuffer) X(BindBufferMemory) X(BindBufferMemory2) X(BindBufferMemory2KHR)             \
  X(CreateComputePipelines) X(DestroyPipeline) X(SetDebugUtilsObjectNameEXT)

// Instances, devices and their children share the first word of the handle: the loader's table.
void* key_of(const void* dispatchable) { return *static_cast<void* const*>(dispatchable); }

// The function below, of the device or instance that `handle` belongs to; null when it has none.
template <typename Function>
Function next(const void* handle, const char* name) {
  std::lock_guard<std::mutex> lock(state().mutex);
  const auto device = state().devices.find(key_of(handle));
  if (device != state().devices.end()) {
    return reinterpret_cast<Function>(device->second.find(name));
  }
  return reinterpret_cast<Function>(state().instances.at(key_of(handle)).find(name));
}

VkResult fault(uint32_t function) {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().faults.next(function);
}

// Ends the calling function when it is to fail.
#define ETVK_LAYER_FAULT(Name)                                                        \
  if (const VkResult injected = fault(etvk_layer::k##Name); injected != VK_SUCCESS) { \
    return injected;                                                                  \
  }

// Passes a function on that the layer has nothing to count of, unless it is to fail.
template <typename Function>
struct Forward;
template <typename Handle, typename... Rest>
struct Forward<VkResult(VKAPI_PTR*)(Handle, Rest...)> {
  template <uint32_t function>
  static VKAPI_ATTR VkResult VKAPI_CALL call(Handle handle, Rest... rest) {
    const VkResult injected = fault(function);
    // A lost device runs nothing any more, but the one below does.
    const bool ends = injected == VK_ERROR_DEVICE_LOST && etvk_layer::waits(function);
    if (injected != VK_SUCCESS && !ends) {
      return injected;
    }
    const char* name = etvk_layer::fallible(function).name;
    const VkResult result =
        next<VkResult(VKAPI_PTR*)(Handle, Rest...)>(handle, name)(handle, rest...);
    return ends ? injected : result;
  }
};

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
    ETVK_LAYER_FAULT(Create##Name)                                                           \
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
  ETVK_LAYER_FAULT(AllocateMemory)
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
  ETVK_LAYER_FAULT(CreateBuffer)
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
  ETVK_LAYER_FAULT(BindBufferMemory)
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
  ETVK_LAYER_FAULT(BindBufferMemory2)
  return bind_all(device, bind_count, infos, "vkBindBufferMemory2");
}

VKAPI_ATTR VkResult VKAPI_CALL BindBufferMemory2KHR(VkDevice device, uint32_t bind_count,
                                                    const VkBindBufferMemoryInfo* infos) {
  ETVK_LAYER_FAULT(BindBufferMemory2KHR)
  return bind_all(device, bind_count, infos, "vkBindBufferMemory2KHR");
}

VKAPI_ATTR VkResult VKAPI_CALL CreateComputePipelines(VkDevice device, VkPipelineCache cache,
                                                      uint32_t info_count,
                                                      const VkComputePipelineCreateInfo* infos,
                                                      const VkAllocationCallbacks* calls,
                                                      VkPipeline* out) {
  if (const VkResult injected = fault(etvk_layer::kCreateComputePipelines);
      injected != VK_SUCCESS) {
    std::fill_n(out, info_count, VkPipeline{VK_NULL_HANDLE});
    return injected;
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
  ETVK_LAYER_FAULT(SetDebugUtilsObjectNameEXT)
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

template <typename Handle, typename Get>
std::map<std::string, PFN_vkVoidFunction> functions_below(Handle handle, Get get);

VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo* info,
                                              const VkAllocationCallbacks* calls,
                                              VkInstance* out) {
  ETVK_LAYER_FAULT(CreateInstance)
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
    state().instances[key_of(*out)] = {*out, get, functions_below(*out, get)};
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
        reinterpret_cast<PFN_vkDestroyInstance>(found->second.find("vkDestroyInstance"));
    state().instances.erase(found);
    state().write_report();
  }
  destroy(instance, calls);
}

VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice physical_device,
                                            const VkDeviceCreateInfo* info,
                                            const VkAllocationCallbacks* calls, VkDevice* out) {
  ETVK_LAYER_FAULT(CreateDevice)
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
    state().devices[key_of(*out)] = {*out, get_device, functions_below(*out, get_device)};
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
#define ETVK_LAYER_FORWARD_ENTRY(Name, ...)          \
  {"vk" #Name, reinterpret_cast<PFN_vkVoidFunction>( \
                   Forward<PFN_vk##Name>::call<etvk_layer::k##Name>)},
const Intercepted kFunctions[] = {ETVK_LAYER_FUNCTIONS(ETVK_LAYER_FUNCTION_ENTRY)
                                      ETVK_LAYER_OBJECTS(ETVK_LAYER_OBJECT_ENTRY)
                                          ETVK_LAYER_FORWARDED(ETVK_LAYER_FORWARD_ENTRY)};
// Those that the loader asks for before there is anything below.
const Intercepted kFirstFunctions[] = {
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

template <typename Handle, typename Get>
std::map<std::string, PFN_vkVoidFunction> functions_below(Handle handle, Get get) {
  std::map<std::string, PFN_vkVoidFunction> result;
  for (const auto& entry : kFunctions) {
    result[entry.name] = get(handle, entry.name);
  }
  result["vkDestroyInstance"] = get(handle, "vkDestroyInstance");
  return result;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char* name) {
  const auto below = next<PFN_vkVoidFunction>(device, name);
  const auto own = find(kFunctions, name);
  // A function that is not there below must not appear to be.
  return own != nullptr && below != nullptr ? own : below;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance instance,
                                                             const char* name) {
  const auto first = find(kFirstFunctions, name);
  if (first != nullptr || instance == VK_NULL_HANDLE) {
    return first;
  }
  const auto below = next<PFN_vkVoidFunction>(instance, name);
  const auto own = find(kFunctions, name);
  return own != nullptr && below != nullptr ? own : below;
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
