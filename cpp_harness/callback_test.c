/* What a host's callbacks may do, over the C ABI: callback_test FIXTURE_DIR (extract_blob.py). They
 * call the library again, take locks of the host, and threads call while they end. An alarm ends the
 * process where something waits for ever. */
#define _GNU_SOURCE /* recursive mutexes */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "c_api_fixture.h"

#define SECONDS 120

static const char *folder;
static Bytes blob;

static etvk_status create_with(etvk_named_data_get get, Named *named, etvk_delegate **out) {
  etvk_create_info info = fixture_create_info(blob, named);
  named->folder = folder;
  info.named_data_get = get;
  return etvk_delegate_create(&info, out);
}

static etvk_status create(etvk_delegate **out) {
  Named named = {NULL, NAMED_PRESENT, 0, 0};
  return create_with(fixture_named_get, &named, out);
}

static void check_run(etvk_delegate *delegate, int index) {
  Run run = fixture_run(folder, index);
  float *output = (float *)malloc(run.expected.size);
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor out = fixture_tensor(output, run.expected.size, &run.out_shape);
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, 1, &out, 1), ETVK_STATUS_OK);
  CHECK(fixture_wrong(output, &run.expected) == 0);
  free(output);
  fixture_run_free(&run);
}

/* A whole life of a delegate, and every kind of call beside it. */
static void call_everything(void) {
  const etvk_option wrong = {"no_such_option", "1"};
  etvk_process_memory memory;
  etvk_delegate *delegate = NULL;
  uint32_t count = 0;
  CHECK_STATUS(etvk_probe(NULL, 0), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_probe(&wrong, 1), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(etvk_memory_of_process(&memory), ETVK_STATUS_OK);
  CHECK_STATUS(create(&delegate), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_input_count(delegate, &count), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_report(delegate, NULL, 0, NULL), ETVK_STATUS_OK);
  check_run(delegate, 1);
  etvk_delegate_destroy(delegate);
  CHECK_STATUS(etvk_release_devices(), ETVK_STATUS_OK);
}

typedef struct Log {
  int records;
  int opened; /* records of a device that was opened */
  int busy;   /* in the callback */
} Log;

/* Calls everything from a record, the first few times: each takes a while. */
static void log_and_call(void *context, uint32_t level, const char *message) {
  Log *log = (Log *)context;
  (void)level;
  CHECK(!log->busy); /* what the calls below log is dropped */
  log->busy = 1;
  log->opened += strncmp(message, "device ", 7) == 0;
  if (++log->records <= 8 || strncmp(message, "device ", 7) == 0) {
    call_everything();
    CHECK_STATUS(etvk_set_log_callback(NULL, NULL, ETVK_LOG_OFF), ETVK_STATUS_INVALID_ARGUMENT);
  }
  log->busy = 0;
}

static void test_log_calls(void) {
  const etvk_option wrong = {"no_such_option", "1"};
  Log log = {0, 0, 0};
  etvk_delegate *delegate = NULL;
  CHECK_STATUS(etvk_set_log_callback(log_and_call, &log, ETVK_LOG_TRACE), ETVK_STATUS_OK);
  CHECK_STATUS(create(&delegate), ETVK_STATUS_OK);
  CHECK(log.opened == 1 && log.records > 3);
  check_run(delegate, 0);
  /* The message of a call outlives what the callback does. */
  CHECK_STATUS(etvk_probe(&wrong, 1), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(etvk_last_error(), "no_such_option") != NULL);
  CHECK_STATUS(etvk_probe(NULL, 0), ETVK_STATUS_OK);
  CHECK(etvk_last_error()[0] == '\0');
  etvk_delegate_destroy(delegate);
  CHECK_STATUS(etvk_set_log_callback(NULL, NULL, ETVK_LOG_OFF), ETVK_STATUS_OK);
}

static pthread_mutex_t mutex; /* of the host, recursive */

static void log_under_mutex(void *context, uint32_t level, const char *message) {
  (void)level;
  (void)message;
  CHECK(pthread_mutex_lock(&mutex) == 0);
  ++*(int *)context;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void *call_under_mutex(void *stop) {
  int done = 0;
  while (!done) {
    CHECK(pthread_mutex_lock(&mutex) == 0);
    CHECK(etvk_probe(NULL, 0) == ETVK_STATUS_OK);
    done = *(int *)stop;
    CHECK(pthread_mutex_unlock(&mutex) == 0);
  }
  return NULL;
}

/* One thread holds the host's mutex and wants what another has while it opens a device; the other's
 * records want the mutex. */
static void test_lock_order(void) {
  pthread_mutexattr_t attributes;
  pthread_t thread;
  int stop = 0, records = 0, i;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
  CHECK_STATUS(etvk_set_log_callback(log_under_mutex, &records, ETVK_LOG_TRACE), ETVK_STATUS_OK);
  CHECK(pthread_create(&thread, NULL, call_under_mutex, &stop) == 0);
  for (i = 0; i < 10; ++i) {
    etvk_delegate *delegate = NULL;
    CHECK_STATUS(create(&delegate), ETVK_STATUS_OK);
    etvk_delegate_destroy(delegate);
  }
  CHECK(pthread_mutex_lock(&mutex) == 0);
  stop = 1;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_STATUS(etvk_set_log_callback(NULL, NULL, ETVK_LOG_OFF), ETVK_STATUS_OK);
  CHECK(records > 10);
  pthread_mutex_destroy(&mutex);
}

static int32_t get_and_call(void *context, const char *key, const void **data, size_t *size_bytes,
                            void **token) {
  call_everything();
  return fixture_named_get(context, key, data, size_bytes, token);
}

static void test_named_data_calls(void) {
  Named named = {NULL, NAMED_PRESENT, 0, 0};
  etvk_delegate *delegate = NULL;
  CHECK_STATUS(create_with(get_and_call, &named, &delegate), ETVK_STATUS_OK);
  CHECK(named.got > 0 && named.got == named.released);
  CHECK(etvk_last_error()[0] == '\0');
  check_run(delegate, 2);
  etvk_delegate_destroy(delegate);
}

static pthread_key_t key;
static int late_calls;

/* Runs after the destructors of thread-local variables. */
static void call_late(void *value) {
  const etvk_option wrong = {"no_such_option", "1"};
  etvk_process_memory memory;
  (void)value;
  CHECK_STATUS(etvk_probe(&wrong, 1), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(etvk_last_error(), "no_such_option") != NULL);
  CHECK_STATUS(etvk_memory_of_process(&memory), ETVK_STATUS_OK);
  CHECK(etvk_last_error()[0] == '\0');
  call_everything();
  ++late_calls;
}

static void *end_late(void *before) {
  const etvk_option wrong = {"another_option", "1"};
  CHECK(pthread_setspecific(key, before) == 0);
  if (*(int *)before) {
    CHECK_STATUS(etvk_probe(&wrong, 1), ETVK_STATUS_INVALID_ARGUMENT);
  }
  return NULL;
}

/* Threads that call while they end, whether or not they called before; with a log and without. */
static void test_ending_threads(void) {
  int before[2] = {0, 1};
  int records = 0, i;
  CHECK(pthread_key_create(&key, call_late) == 0);
  CHECK(pthread_mutex_init(&mutex, NULL) == 0);
  for (i = 0; i < 4; ++i) {
    pthread_t thread;
    if (i == 2) {
      CHECK_STATUS(etvk_set_log_callback(log_under_mutex, &records, ETVK_LOG_TRACE), ETVK_STATUS_OK);
    }
    CHECK(pthread_create(&thread, NULL, end_late, &before[i % 2]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  CHECK_STATUS(etvk_set_log_callback(NULL, NULL, ETVK_LOG_OFF), ETVK_STATUS_OK);
  CHECK(late_calls == 4 && records > 2);
  pthread_key_delete(key);
  pthread_mutex_destroy(&mutex);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "callback_test FIXTURE_DIR\n");
    return 2;
  }
  alarm(SECONDS);
  folder = argv[1];
  blob = fixture_bytes(folder, "blob.bin");
  test_log_calls();
  test_lock_order();
  test_named_data_calls();
  test_ending_threads();
  free(blob.data);
  printf("callback_test: passed\n");
  return 0;
}
