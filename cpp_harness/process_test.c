/* What belongs to the whole process, over the C ABI: process_test FIXTURE_DIR (extract_blob.py).
 * Device memory before, during and after; the limit of it; the device that stays; the log; when Vulkan
 * is loaded; GPU times. */
#include <string.h>

#include "c_api_fixture.h"

static const char *folder;
static Bytes blob;

static etvk_status create(const etvk_option *options, uint32_t count, etvk_delegate **out) {
  Named named = {NULL, NAMED_PRESENT, 0, 0};
  etvk_create_info info = fixture_create_info(blob, &named);
  etvk_status status;
  named.folder = folder;
  info.options = options;
  info.option_count = count;
  status = etvk_delegate_create(&info, out);
  CHECK(named.got == named.released);
  return status;
}

static etvk_process_memory process(void) {
  etvk_process_memory memory;
  CHECK(etvk_memory_of_process(&memory) == ETVK_STATUS_OK);
  CHECK(memory.driver_bytes == memory.workspace_bytes + memory.activation_bytes +
                                   memory.weight_bytes + memory.staging_bytes);
  CHECK(memory.peak_driver_bytes >= memory.driver_bytes);
  return memory;
}

static void check_empty(void) {
  const etvk_process_memory memory = process();
  CHECK(memory.driver_bytes == 0 && memory.driver_allocations == 0);
  CHECK(memory.delegates == 0 && memory.devices == 0);
}

static void check_run(etvk_delegate *delegate) {
  Run run = fixture_run(folder, 0);
  float *output = (float *)malloc(run.expected.size);
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor out = fixture_tensor(output, run.expected.size, &run.out_shape);
  CHECK(etvk_delegate_resize(delegate, &shape, 1) == ETVK_STATUS_OK);
  CHECK(etvk_delegate_execute(delegate, &in, 1, &out, 1) == ETVK_STATUS_OK);
  CHECK(fixture_wrong(output, &run.expected) == 0);
  free(output);
  fixture_run_free(&run);
}

static void test_memory(void) {
  etvk_delegate *first, *second;
  etvk_memory own;
  etvk_process_memory one, both;
  check_empty();
  CHECK(create(NULL, 0, &first) == ETVK_STATUS_OK);
  CHECK(etvk_delegate_memory(first, &own) == ETVK_STATUS_OK);
  one = process();
  CHECK(one.driver_bytes == own.driver_bytes && one.driver_allocations == own.driver_allocations);
  CHECK(one.weight_bytes == own.weight_bytes && one.staging_bytes == own.staging_bytes);
  CHECK(one.delegates == 1 && one.devices == 1);
  CHECK(create(NULL, 0, &second) == ETVK_STATUS_OK);
  both = process();
  CHECK(both.driver_bytes == 2 * one.driver_bytes && both.delegates == 2 && both.devices == 1);
  check_run(second);
  etvk_delegate_destroy(second);
  CHECK(process().driver_bytes == one.driver_bytes && process().devices == 1);
  etvk_delegate_destroy(first);
  check_empty();
}

/* The limit is on all delegates together, and the message names what is needed. */
static void test_limit(void) {
  etvk_delegate *delegate, *second = NULL;
  etvk_memory own;
  char text[32], need[32];
  etvk_option limit;
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_OK);
  CHECK(etvk_delegate_memory(delegate, &own) == ETVK_STATUS_OK);
  limit.key = "memory_limit_bytes";
  limit.value = text;
  snprintf(need, sizeof(need), "%llu bytes", (unsigned long long)own.driver_bytes);
  snprintf(text, sizeof(text), "%llu", (unsigned long long)(2 * own.driver_bytes - 1));
  CHECK(create(&limit, 1, &second) == ETVK_STATUS_OUT_OF_MEMORY && second == NULL);
  CHECK(strstr(etvk_last_error(), need) != NULL);
  CHECK(process().driver_bytes == own.driver_bytes && process().delegates == 1);
  check_run(delegate);
  snprintf(text, sizeof(text), "%llu", (unsigned long long)(2 * own.driver_bytes));
  CHECK(create(&limit, 1, &second) == ETVK_STATUS_OK);
  check_run(second);
  etvk_delegate_destroy(delegate);
  etvk_delegate_destroy(second);
  snprintf(text, sizeof(text), "%llu", (unsigned long long)(own.driver_bytes - 1));
  CHECK(create(&limit, 1, &delegate) == ETVK_STATUS_OUT_OF_MEMORY);
  snprintf(text, sizeof(text), "%llu", (unsigned long long)own.driver_bytes);
  CHECK(create(&limit, 1, &delegate) == ETVK_STATUS_OK);
  CHECK(process().driver_bytes == own.driver_bytes);
  check_run(delegate);
  etvk_delegate_destroy(delegate);
  check_empty();
}

static void test_kept_device(void) {
  etvk_option options[2] = {{"keep_device", "1"}, {"warm_up", "1"}};
  etvk_delegate *delegate;
  CHECK(create(options, 2, &delegate) == ETVK_STATUS_OK);
  check_run(delegate);
  etvk_delegate_destroy(delegate);
  CHECK(process().devices == 1 && process().delegates == 0 && process().driver_bytes == 0);
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_OK);
  CHECK(process().devices == 1);
  CHECK(etvk_release_devices() == ETVK_STATUS_OK);
  CHECK(process().devices == 1);
  check_run(delegate);
  etvk_delegate_destroy(delegate);
  check_empty();
}

typedef struct Seen {
  int records;
  int highest;
  int named_error;
} Seen;

static void on_record(void *context, uint32_t level, const char *message) {
  Seen *seen = (Seen *)context;
  ++seen->records;
  seen->highest = (int)level > seen->highest ? (int)level : seen->highest;
  seen->named_error += strstr(message, "no_such_option") != NULL;
}

static void test_log(void) {
  Seen seen = {0, 0, 0};
  Seen before;
  etvk_delegate *delegate;
  const etvk_option wrong = {"no_such_option", "1"};
  const etvk_option loud = {"log", "debug"};
  CHECK(etvk_set_log_callback(on_record, &seen, 6) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(etvk_set_log_callback(on_record, &seen, ETVK_LOG_INFO) == ETVK_STATUS_OK);
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_OK);
  etvk_delegate_destroy(delegate);
  CHECK(seen.records > 0 && seen.highest == ETVK_LOG_INFO);
  CHECK(create(&wrong, 1, &delegate) == ETVK_STATUS_INVALID_ARGUMENT && seen.named_error == 0);
  /* The option sets the level; refusals are records of level debug. */
  CHECK(etvk_probe(&loud, 1) == ETVK_STATUS_OK);
  CHECK(create(&wrong, 1, &delegate) == ETVK_STATUS_INVALID_ARGUMENT && seen.named_error == 1);
  CHECK(etvk_set_log_callback(on_record, &seen, ETVK_LOG_OFF) == ETVK_STATUS_OK);
  before = seen;
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_OK);
  CHECK(etvk_set_log_callback(NULL, NULL, ETVK_LOG_OFF) == ETVK_STATUS_OK);
  etvk_delegate_destroy(delegate);
  CHECK(memcmp(&before, &seen, sizeof(seen)) == 0);
}

/* Whether the Vulkan loader is in this process. */
static int vulkan_is_loaded(void) {
  char line[4096];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  while (!found && fgets(line, sizeof(line), maps) != NULL) {
    found = strstr(line, "libvulkan") != NULL;
  }
  fclose(maps);
  return found;
}

/* Nothing of Vulkan is touched before the first call that needs a device, nor for wrong blobs. */
static void test_deferred(void) {
  const etvk_option wrong = {"no_such_option", "1"};
  const Bytes whole = blob;
  etvk_delegate *delegate = NULL;
  CHECK(etvk_abi_version() == ETVK_ABI_VERSION && etvk_version() != NULL);
  CHECK(etvk_probe(&wrong, 1) == ETVK_STATUS_INVALID_ARGUMENT);
  check_empty();
  blob.size = 8;
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_INVALID_BLOB);
  blob = whole;
  CHECK(!vulkan_is_loaded());
  CHECK(etvk_probe(NULL, 0) == ETVK_STATUS_OK && vulkan_is_loaded());
}

static void test_profile(void) {
  const etvk_option on = {"profile", "1"};
  etvk_profile_event events[64];
  etvk_delegate *delegate;
  uint32_t count = 7, again = 7, i;
  CHECK(create(NULL, 0, &delegate) == ETVK_STATUS_OK);
  check_run(delegate);
  CHECK(etvk_delegate_profile(delegate, NULL, 0, &count) == ETVK_STATUS_OK && count == 0);
  etvk_delegate_destroy(delegate);
  CHECK(create(&on, 1, &delegate) == ETVK_STATUS_OK);
  CHECK(etvk_delegate_profile(delegate, NULL, 0, &count) == ETVK_STATUS_OK && count == 0);
  check_run(delegate);
  CHECK(etvk_delegate_profile(delegate, NULL, 0, &count) == ETVK_STATUS_OK);
  CHECK(count > 0 && count <= 64);
  CHECK(etvk_delegate_profile(delegate, NULL, 1, &count) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(etvk_delegate_profile(delegate, events, 1, NULL) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(etvk_delegate_profile(NULL, events, 1, &again) == ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(again == 7);
  /* No more than there is room for. */
  memset(events, 'x', sizeof(events));
  CHECK(etvk_delegate_profile(delegate, events, count - 1, &again) == ETVK_STATUS_OK);
  CHECK(again == count && events[count - 1].kernel[0] == 'x');
  CHECK(etvk_delegate_profile(delegate, events, 64, &again) == ETVK_STATUS_OK && again == count);
  for (i = 0; i < count; ++i) {
    CHECK(events[i].start_ns == (i == 0 ? 0 : events[i - 1].end_ns));
    CHECK(events[i].end_ns >= events[i].start_ns && events[i].workgroups[0] > 0);
    CHECK(memchr(events[i].kernel, 0, ETVK_NAME_SIZE) != NULL && events[i].kernel[0] != 0);
    CHECK(memchr(events[i].operator_name, 0, ETVK_NAME_SIZE) != NULL);
    CHECK((events[i].node == ETVK_NO_NODE) == (events[i].operator_name[0] == 0));
  }
  etvk_delegate_destroy(delegate);
  check_empty();
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "process_test FIXTURE_DIR\n");
    return 2;
  }
  folder = argv[1];
  blob = fixture_bytes(folder, "blob.bin");
  CHECK(etvk_memory_of_process(NULL) == ETVK_STATUS_INVALID_ARGUMENT);
  test_deferred();
  test_memory();
  test_limit();
  test_kept_device();
  test_log();
  test_profile();
  free(blob.data);
  printf("process_test: passed\n");
  return 0;
}
