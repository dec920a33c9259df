/* Delegates on a Vulkan device that the host opened: host_device_test FIXTURE_DIR (extract_blob.py).
 * Under the validation layer, which tells of unlocked queues and of what is left on the device. */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <vulkan/vulkan.h>

#include "c_api_fixture.h"

static const char *folder;
static Bytes blob;
static Run run;
static unsigned messages; /* of the validation layer */

/* A Vulkan function by its name. */
#define LOAD(name) PFN_##name name = (PFN_##name)get(host->instance, #name)

typedef struct Host {
  VkInstance instance;
  VkPhysicalDevice physical;
  VkDevice device;
  VkQueue queue;
  uint32_t family;
  VkPhysicalDevice16BitStorageFeatures features; /* of the device, as a chain */
  VkDebugUtilsMessengerEXT messenger;
  pthread_mutex_t mutex; /* of the queue */
  unsigned locked, unlocked;
  int stop; /* guarded by the mutex */
} Host;

static PFN_vkGetInstanceProcAddr get;

static VKAPI_ATTR VkBool32 VKAPI_CALL
on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
           const VkDebugUtilsMessengerCallbackDataEXT *data, void *context) {
  (void)severity;
  (void)context;
  if ((types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT) != 0) {
    fprintf(stderr, "validation: %s\n", data->pMessage);
    ++messages;
  }
  return VK_FALSE;
}

static void open_host(Host *host) {
  static const char *const kExtensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
  const float priority = 1;
  VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO};
  VkInstanceCreateInfo instance = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  VkDebugUtilsMessengerCreateInfoEXT messenger = {
      VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
  VkPhysicalDeviceFeatures2 offered = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  VkDeviceCreateInfo device = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
  VkQueueFamilyProperties families[16];
  uint32_t count = 1;
  PFN_vkCreateInstance vkCreateInstance = (PFN_vkCreateInstance)get(NULL, "vkCreateInstance");
  memset(host, 0, sizeof(*host));
  pthread_mutex_init(&host->mutex, NULL);
  application.apiVersion = VK_API_VERSION_1_1;
  messenger.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                              VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  messenger.pfnUserCallback = on_message;
  instance.pNext = &messenger;
  instance.pApplicationInfo = &application;
  instance.enabledExtensionCount = 1;
  instance.ppEnabledExtensionNames = kExtensions;
  CHECK(vkCreateInstance(&instance, NULL, &host->instance) == VK_SUCCESS);
  {
    LOAD(vkCreateDebugUtilsMessengerEXT);
    LOAD(vkEnumeratePhysicalDevices);
    LOAD(vkGetPhysicalDeviceQueueFamilyProperties);
    LOAD(vkGetPhysicalDeviceFeatures2);
    LOAD(vkCreateDevice);
    LOAD(vkGetDeviceQueue);
    CHECK(vkCreateDebugUtilsMessengerEXT(host->instance, &messenger, NULL, &host->messenger) ==
          VK_SUCCESS);
    CHECK(vkEnumeratePhysicalDevices(host->instance, &count, &host->physical) >= 0 && count == 1);
    count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(host->physical, &count, families);
    while (host->family < count && (families[host->family].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) {
      ++host->family;
    }
    CHECK(host->family < count);
    host->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    offered.pNext = &host->features;
    vkGetPhysicalDeviceFeatures2(host->physical, &offered);
    queue.queueFamilyIndex = host->family;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    device.pNext = &host->features;
    device.queueCreateInfoCount = 1;
    device.pQueueCreateInfos = &queue;
    CHECK(vkCreateDevice(host->physical, &device, NULL, &host->device) == VK_SUCCESS);
    vkGetDeviceQueue(host->device, host->family, 0, &host->queue);
  }
}

static void close_host(Host *host) {
  LOAD(vkDestroyDevice);
  LOAD(vkDestroyDebugUtilsMessengerEXT);
  LOAD(vkDestroyInstance);
  vkDestroyDevice(host->device, NULL);
  CHECK(messages == 0); /* such as one about an object that is left */
  vkDestroyDebugUtilsMessengerEXT(host->instance, host->messenger, NULL);
  vkDestroyInstance(host->instance, NULL);
  pthread_mutex_destroy(&host->mutex);
}

/* For the host's own use. */
static void hold_queue(Host *host) {
  CHECK(pthread_mutex_lock(&host->mutex) == 0);
  ++host->locked;
}

static void release_queue(Host *host) {
  ++host->unlocked;
  CHECK(host->locked == host->unlocked);
  CHECK(pthread_mutex_unlock(&host->mutex) == 0);
}

/* Inside of both the library must not be called, and says so. */
static void call_back(void) {
  etvk_process_memory memory;
  CHECK(etvk_memory_of_process(&memory) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(etvk_last_error(), "callback") != NULL);
}

static void lock_queue(void *context) {
  hold_queue((Host *)context);
  call_back();
}

static void unlock_queue(void *context) {
  call_back();
  release_queue((Host *)context);
}

static etvk_host_device info_of(Host *host) {
  etvk_host_device info;
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  info.api_version = VK_API_VERSION_1_1;
  memcpy(&info.get_instance_proc_addr, &get, sizeof(get));
  info.instance = host->instance;
  info.physical_device = host->physical;
  info.device = host->device;
  info.queue = host->queue;
  info.queue_family = host->family;
  info.features = &host->features;
  info.lock_queue = lock_queue;
  info.unlock_queue = unlock_queue;
  info.queue_context = host;
  return info;
}

static etvk_status create(const char *host_device, const char *index, etvk_delegate **out) {
  Named named = {NULL, NAMED_PRESENT, 0, 0};
  etvk_create_info info = fixture_create_info(blob, &named);
  etvk_option options[2];
  uint32_t count = 0;
  named.folder = folder;
  if (host_device != NULL) {
    options[count].key = "host_device";
    options[count++].value = host_device;
  }
  if (index != NULL) {
    options[count].key = "device_index";
    options[count++].value = index;
  }
  info.options = options;
  info.option_count = count;
  return etvk_delegate_create(&info, out);
}

static void check_run(etvk_delegate *delegate) {
  float *output = (float *)malloc(run.expected.size);
  const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor out = fixture_tensor(output, run.expected.size, &run.out_shape);
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  CHECK(etvk_delegate_resize(delegate, &shape, 1) == ETVK_STATUS_OK);
  CHECK(etvk_delegate_execute(delegate, &in, 1, &out, 1) == ETVK_STATUS_OK);
  CHECK(fixture_wrong(output, &run.expected) == 0);
  free(output);
}

/* The host's own work on the queue, while delegates run. */
static void *submit(void *context) {
  Host *host = (Host *)context;
  LOAD(vkQueueSubmit);
  int stop = 0;
  while (!stop) {
    hold_queue(host);
    CHECK(vkQueueSubmit(host->queue, 0, NULL, VK_NULL_HANDLE) == VK_SUCCESS);
    stop = host->stop;
    release_queue(host);
  }
  return NULL;
}

static void test_wrong(Host *host) {
  etvk_host_device info = info_of(host);
  uint32_t id = 77;
  CHECK(etvk_host_device_add(NULL, &id) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(etvk_host_device_add(&info, NULL) == ETVK_STATUS_INVALID_ARGUMENT);
#define WRONG(member, value, status)                    \
  info.member = value;                                  \
  CHECK(etvk_host_device_add(&info, &id) == status);    \
  CHECK(strstr(etvk_last_error(), #member) != NULL);    \
  info = info_of(host)
  WRONG(struct_size, 0, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(instance, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(physical_device, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(device, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(queue, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(get_instance_proc_addr, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(unlock_queue, NULL, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(reserved, 1, ETVK_STATUS_INVALID_ARGUMENT);
  WRONG(api_version, VK_API_VERSION_1_0, ETVK_STATUS_NO_DEVICE);
#undef WRONG
  info.queue_family = 1000;
  CHECK(etvk_host_device_add(&info, &id) == ETVK_STATUS_NO_DEVICE);
  CHECK(strstr(etvk_last_error(), "queue family 1000") != NULL && id == 77);
}

int main(int argc, char **argv) {
  Host host;
  etvk_host_device info;
  etvk_delegate *on_host, *second, *own = NULL;
  void *vulkan;
  pthread_t thread;
  char number[16];
  uint32_t id = 0;
  int i;
  if (argc != 2) {
    fprintf(stderr, "host_device_test FIXTURE_DIR\n");
    return 2;
  }
  folder = argv[1];
  blob = fixture_bytes(folder, "blob.bin");
  run = fixture_run(folder, 0);
  vulkan = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  CHECK(vulkan != NULL);
  *(void **)(&get) = dlsym(vulkan, "vkGetInstanceProcAddr");
  CHECK(get != NULL);
  open_host(&host);
  test_wrong(&host);
  info = info_of(&host);
  CHECK(create("1", NULL, &on_host) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(etvk_host_device_add(&info, &id) == ETVK_STATUS_OK);
  sprintf(number, "%u", (unsigned)id);
  CHECK(create(number, "0", &on_host) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(create(number, NULL, &on_host) == ETVK_STATUS_OK && host.locked > 0);
  CHECK(create(number, NULL, &second) == ETVK_STATUS_OK);
  CHECK(create(NULL, NULL, &own) == ETVK_STATUS_OK);
  CHECK(pthread_create(&thread, NULL, submit, &host) == 0);
  for (i = 0; i < 20; ++i) {
    check_run(on_host);
    check_run(own);
    check_run(second);
  }
  hold_queue(&host);
  host.stop = 1;
  release_queue(&host);
  CHECK(pthread_join(thread, NULL) == 0);
  etvk_delegate_destroy(second);
  CHECK(etvk_host_device_remove(id) == ETVK_STATUS_INVALID_ARGUMENT);
  check_run(on_host);
  etvk_delegate_destroy(on_host);
  /* Nothing is kept; the next delegate starts anew. */
  CHECK(create(number, NULL, &on_host) == ETVK_STATUS_OK);
  check_run(on_host);
  etvk_delegate_destroy(on_host);
  CHECK(etvk_host_device_remove(id) == ETVK_STATUS_OK);
  CHECK(etvk_host_device_remove(id) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(create(number, NULL, &on_host) == ETVK_STATUS_INVALID_ARGUMENT);
  close_host(&host);
  check_run(own);
  etvk_delegate_destroy(own);
  CHECK(messages == 0);
  fixture_run_free(&run);
  free(blob.data);
  printf("host_device_test: passed\n");
  return 0;
}
