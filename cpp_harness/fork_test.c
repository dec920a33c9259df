/* Processes that fork, over the C ABI: fork_test FIXTURE_DIR (extract_blob.py). A child of a process
 * that uses a device gets an error from every call, and none hangs. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "c_api_fixture.h"

enum { kSeconds = 60 }; /* that a child may take; a hang takes for ever */

static const char *folder;
static Bytes blob;
static Run run;

static etvk_status create(etvk_delegate **out) {
  Named named = {NULL, NAMED_PRESENT, 0, 0};
  etvk_create_info info = fixture_create_info(blob, &named);
  named.folder = folder;
  return etvk_delegate_create(&info, out);
}

static etvk_status resize(etvk_delegate *delegate) {
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  return etvk_delegate_resize(delegate, &shape, 1);
}

static etvk_status execute(etvk_delegate *delegate, float *output) {
  const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor out = fixture_tensor(output, run.expected.size, &run.out_shape);
  return etvk_delegate_execute(delegate, &in, 1, &out, 1);
}

static void check_run(etvk_delegate *delegate) {
  float *output = (float *)malloc(run.expected.size);
  CHECK_STATUS(resize(delegate), ETVK_STATUS_OK);
  CHECK_STATUS(execute(delegate, output), ETVK_STATUS_OK);
  CHECK(fixture_wrong(output, &run.expected) == 0);
  free(output);
}

/* A whole life of a delegate. */
static void works(etvk_delegate *none) {
  etvk_delegate *delegate;
  CHECK(none == NULL);
  CHECK_STATUS(create(&delegate), ETVK_STATUS_OK);
  check_run(delegate);
  etvk_delegate_destroy(delegate);
}

/* Every call fails, and says why; `delegate` is the parent's, or null. */
static void fails(etvk_delegate *delegate) {
  float *output = (float *)calloc(1, run.expected.size);
  etvk_delegate *own = NULL;
  etvk_process_memory memory;
  uint32_t count = 7;
  size_t i;
  CHECK(etvk_abi_version() == ETVK_ABI_VERSION && etvk_last_error()[0] == 0);
  CHECK_STATUS(etvk_probe(NULL, 0), ETVK_STATUS_NO_DEVICE);
  CHECK(strstr(etvk_last_error(), "forked from process") != NULL);
  CHECK_STATUS(create(&own), ETVK_STATUS_NO_DEVICE);
  CHECK(own == NULL);
  CHECK_STATUS(etvk_memory_of_process(&memory), ETVK_STATUS_NO_DEVICE);
  CHECK_STATUS(etvk_delegate_input_count(delegate, &count), ETVK_STATUS_NO_DEVICE);
  CHECK_STATUS(resize(delegate), ETVK_STATUS_NO_DEVICE);
  CHECK_STATUS(execute(delegate, output), ETVK_STATUS_NO_DEVICE);
  CHECK_STATUS(etvk_release_devices(), ETVK_STATUS_NO_DEVICE);
  etvk_delegate_destroy(delegate);
  for (i = 0; i < run.expected.size / sizeof(float); ++i) {
    CHECK(output[i] == 0);
  }
  CHECK(count == 7);
  free(output);
}

/* Runs `body` in a child. */
static void in_child(void (*body)(etvk_delegate *), etvk_delegate *delegate) {
  int status = -1;
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(kSeconds);
    body(delegate);
    _exit(0); /* what the parent holds is not the child's to free */
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv) {
  etvk_delegate *delegate;
  if (argc != 2) {
    fprintf(stderr, "fork_test FIXTURE_DIR\n");
    return 2;
  }
  folder = argv[1];
  blob = fixture_bytes(folder, "blob.bin");
  run = fixture_run(folder, 0);
  /* Nothing of the parent's but the log has been used yet. */
  CHECK_STATUS(etvk_set_log_callback(NULL, NULL, ETVK_LOG_WARN), ETVK_STATUS_OK);
  in_child(works, NULL);
  CHECK_STATUS(create(&delegate), ETVK_STATUS_OK);
  check_run(delegate);
  in_child(fails, delegate);
  check_run(delegate);
  etvk_delegate_destroy(delegate);
  /* The instance stays, and so do the driver's threads. */
  in_child(fails, NULL);
  works(NULL);
  fixture_run_free(&run);
  free(blob.data);
  printf("fork_test: passed\n");
  return 0;
}
