/* Drives the C ABI alone, with no ExecuTorch: c_api_test FIXTURE_DIR (written by extract_blob.py).
 * Compiled as C99 and as C++, run under AddressSanitizer. */
#include <string.h>

#include "c_api_fixture.h"

uint32_t header_twice_a(void);

static const char *folder;
static Bytes blob;

static Named named_data(NamedMode mode) {
  Named named;
  named.folder = folder;
  named.mode = mode;
  named.got = 0;
  named.released = 0;
  return named;
}

static etvk_status create(const void *data, size_t size, Named *named, etvk_delegate **out) {
  etvk_create_info info = fixture_create_info(blob, named);
  info.blob = data;
  info.blob_size_bytes = size;
  *out = NULL;
  return etvk_delegate_create(&info, out);
}

/* Sets the run's shape and executes; the result must be PyTorch's. */
static void check_run(etvk_delegate *delegate, int index) {
  Run run = fixture_run(folder, index);
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  float *output = (float *)malloc(run.expected.size);
  const etvk_tensor in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor out = fixture_tensor(output, run.expected.size, &run.out_shape);
  etvk_port port;
  CHECK(output != NULL);
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_output(delegate, 0, &port), ETVK_STATUS_OK);
  CHECK(port.rank == run.out_shape.rank && port.size_bytes == run.expected.size);
  CHECK(memcmp(port.dims, run.out_shape.dims, port.rank * sizeof(uint32_t)) == 0);
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, 1, &out, 1), ETVK_STATUS_OK);
  CHECK(fixture_wrong(output, &run.expected) == 0);
  free(output);
  fixture_run_free(&run);
}

static void test_names(void) {
  int32_t status;
  CHECK(etvk_abi_version() == ETVK_ABI_VERSION);
  CHECK(header_twice_a() == 1);
  CHECK(etvk_version() != NULL && strlen(etvk_version()) >= 5);
  CHECK(strcmp(etvk_status_name(ETVK_STATUS_OK), "ETVK_STATUS_OK") == 0);
  for (status = -3; status < 40; ++status) {
    CHECK(etvk_status_name((etvk_status)status) != NULL);
  }
  CHECK(etvk_last_error() != NULL);
  CHECK(etvk_dtype_fits(ETVK_DTYPE_INT64, ETVK_DTYPE_INT32) == 1);
  CHECK(etvk_dtype_fits(ETVK_DTYPE_FLOAT64, ETVK_DTYPE_FLOAT16) == 1);
  CHECK(etvk_dtype_fits(ETVK_DTYPE_INT8, ETVK_DTYPE_UINT8) == 0);
  CHECK(etvk_dtype_fits(8, 8) == 0 && etvk_dtype_fits(UINT32_MAX, ETVK_DTYPE_BOOL) == 0);
}

static void test_nulls(etvk_delegate *delegate) {
  const etvk_status bad = ETVK_STATUS_INVALID_ARGUMENT;
  const Bytes none = {NULL, 0};
  etvk_create_info info = fixture_create_info(none, NULL);
  etvk_delegate *made = NULL;
  etvk_port port;
  etvk_memory memory;
  etvk_convolution conv;
  uint32_t count;
  size_t needed;
  CHECK_STATUS(etvk_delegate_create(NULL, &made), bad);
  CHECK_STATUS(etvk_delegate_create(&info, NULL), bad);
  CHECK_STATUS(etvk_delegate_create(&info, &made), bad);
  CHECK(made == NULL);
  CHECK_STATUS(etvk_probe(NULL, 1), bad);
  etvk_delegate_destroy(NULL);
  CHECK_STATUS(etvk_delegate_input_count(NULL, &count), bad);
  CHECK_STATUS(etvk_delegate_input_count(delegate, NULL), bad);
  CHECK_STATUS(etvk_delegate_output_count(NULL, &count), bad);
  CHECK_STATUS(etvk_delegate_output_count(delegate, NULL), bad);
  CHECK_STATUS(etvk_delegate_input(NULL, 0, &port), bad);
  CHECK_STATUS(etvk_delegate_input(delegate, 0, NULL), bad);
  CHECK_STATUS(etvk_delegate_input(delegate, 1, &port), bad);
  CHECK_STATUS(etvk_delegate_input(delegate, UINT32_MAX, &port), bad);
  CHECK_STATUS(etvk_delegate_output(NULL, 0, &port), bad);
  CHECK_STATUS(etvk_delegate_output(delegate, 0, NULL), bad);
  CHECK_STATUS(etvk_delegate_output(delegate, UINT32_MAX, &port), bad);
  CHECK_STATUS(etvk_delegate_resize(NULL, NULL, 0), bad);
  CHECK_STATUS(etvk_delegate_resize(delegate, NULL, 1), bad);
  CHECK_STATUS(etvk_delegate_resize(delegate, NULL, 0), bad);
  CHECK_STATUS(etvk_delegate_execute(NULL, NULL, 0, NULL, 0), bad);
  CHECK_STATUS(etvk_delegate_execute(delegate, NULL, 1, NULL, 1), bad);
  CHECK_STATUS(etvk_delegate_execute(delegate, NULL, 0, NULL, 0), bad);
  CHECK_STATUS(etvk_delegate_memory(NULL, &memory), bad);
  CHECK_STATUS(etvk_delegate_memory(delegate, NULL), bad);
  CHECK_STATUS(etvk_delegate_convolution_count(NULL, &count), bad);
  CHECK_STATUS(etvk_delegate_convolution_count(delegate, NULL), bad);
  CHECK_STATUS(etvk_delegate_convolution(NULL, 0, &conv), bad);
  CHECK_STATUS(etvk_delegate_convolution(delegate, 0, NULL), bad);
  CHECK_STATUS(etvk_delegate_convolution(delegate, UINT32_MAX, &conv), bad);
  CHECK_STATUS(etvk_delegate_report(NULL, NULL, 0, &needed), bad);
  CHECK_STATUS(etvk_delegate_report(delegate, NULL, 0, NULL), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_report(delegate, NULL, 8, &needed), bad);
  CHECK_STATUS(etvk_delegate_device_name(NULL, NULL, 0, &needed), bad);
  CHECK_STATUS(etvk_delegate_device_name(delegate, NULL, 0, NULL), ETVK_STATUS_OK);
}

static void test_options(void) {
  static const etvk_option kBad[] = {{"no_such_option", "1"}, {NULL, "1"},
                                     {"workspace_bytes", NULL}, {"workspace_bytes", ""},
                                     {"workspace_bytes", "many"}, {"workspace_bytes", "-1"},
                                     {"workspace_bytes", "99999999999999999999999"},
                                     {"workspace_bytes", "\xff\xfe"}};
  Named named = named_data(NAMED_PRESENT);
  etvk_create_info info = fixture_create_info(blob, &named);
  etvk_delegate *delegate = NULL;
  size_t i;
  for (i = 0; i < sizeof(kBad) / sizeof(kBad[0]); ++i) {
    CHECK_STATUS(etvk_probe(&kBad[i], 1), ETVK_STATUS_INVALID_ARGUMENT);
    info.options = &kBad[i];
    info.option_count = 1;
    CHECK_STATUS(etvk_delegate_create(&info, &delegate), ETVK_STATUS_INVALID_ARGUMENT);
    CHECK(delegate == NULL);
  }
  info.options = NULL;
  info.option_count = 3;
  CHECK_STATUS(etvk_delegate_create(&info, &delegate), ETVK_STATUS_INVALID_ARGUMENT);
  info.option_count = 0;
  info.struct_size = 0;
  CHECK_STATUS(etvk_delegate_create(&info, &delegate), ETVK_STATUS_INVALID_ARGUMENT);
  info.struct_size = 7;
  CHECK_STATUS(etvk_delegate_create(&info, &delegate), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK(delegate == NULL && named.got == named.released);
  CHECK_STATUS(etvk_probe(NULL, 0), ETVK_STATUS_OK);
}

/* Every length short of the whole blob is refused, and read no further than it is long. */
static void test_truncated(void) {
  size_t size;
  for (size = 0; size < blob.size; size += size < 64 ? 1 : 13) {
    Named named = named_data(NAMED_PRESENT);
    etvk_delegate *delegate;
    unsigned char *copy = (unsigned char *)malloc(size == 0 ? 1 : size);
    etvk_status status;
    CHECK(copy != NULL);
    memcpy(copy, blob.data, size);
    status = create(copy, size, &named, &delegate);
    /* Only padding may be missing. */
    if (status == ETVK_STATUS_OK && blob.size - size < 16) {
      etvk_delegate_destroy(delegate);
    } else {
      CHECK(status == ETVK_STATUS_INVALID_BLOB || status == ETVK_STATUS_INVALID_ARGUMENT);
      CHECK(delegate == NULL);
    }
    CHECK(named.got == named.released);
    free(copy);
  }
}

/* Any damage gives a status or a delegate, never a crash or a leak. */
static void test_corrupt(void) {
  uint32_t state = 0x5eed1234u;
  int round;
  for (round = 0; round < 300; ++round) {
    Named named = named_data(NAMED_PRESENT);
    etvk_delegate *delegate;
    unsigned char *copy = (unsigned char *)malloc(blob.size);
    int flips = 1 + round % 3;
    CHECK(copy != NULL);
    memcpy(copy, blob.data, blob.size);
    while (flips-- > 0) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      copy[state % blob.size] ^= (unsigned char)(1u << (state >> 29));
    }
    if (create(copy, blob.size, &named, &delegate) == ETVK_STATUS_OK) {
      etvk_delegate_destroy(delegate);
    } else {
      CHECK(delegate == NULL && etvk_last_error()[0] != '\0');
    }
    CHECK(named.got == named.released);
    free(copy);
  }
}

static void test_missing_constants(void) {
  etvk_delegate *delegate = NULL;
  Named named = named_data(NAMED_ABSENT);
  etvk_create_info info = fixture_create_info(blob, NULL);
  CHECK_STATUS(create(blob.data, blob.size, &named, &delegate), ETVK_STATUS_MISSING_DATA);
  info.named_data_get = NULL;
  CHECK_STATUS(etvk_delegate_create(&info, &delegate), ETVK_STATUS_MISSING_DATA);
  named = named_data(NAMED_TRUNCATED);
  CHECK(create(blob.data, blob.size, &named, &delegate) != ETVK_STATUS_OK);
  CHECK(delegate == NULL && named.got == named.released);
  named = named_data(NAMED_NULL);
  CHECK(create(blob.data, blob.size, &named, &delegate) != ETVK_STATUS_OK);
  CHECK(delegate == NULL && named.got == named.released);
}

/* One thing wrong at a time; the output must stay as it was. */
static void test_bad_execute(etvk_delegate *delegate) {
  static const uint8_t kRepeated[] = {0, 0, 2, 3};
  static const uint8_t kTooLarge[] = {0, 1, 2, 200};
  const etvk_status bad = ETVK_STATUS_INVALID_ARGUMENT;
  Run run = fixture_run(folder, 1);
  const etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  unsigned char *output = (unsigned char *)malloc(run.expected.size);
  const etvk_tensor good_in = fixture_tensor(run.input.data, run.input.size, &run.in_shape);
  const etvk_tensor good_out = fixture_tensor(output, run.expected.size, &run.out_shape);
  etvk_tensor in = good_in;
  etvk_tensor out = good_out;
  size_t i;
  CHECK(output != NULL);
  memset(output, 0xAB, run.expected.size);
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_OK);
#define CHECK_BAD(change)                                             \
  change;                                                             \
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, 1, &out, 1), bad); \
  in = good_in;                                                       \
  out = good_out
  CHECK_BAD(in.data = NULL);
  CHECK_BAD(out.data = NULL);
  CHECK_BAD(in.size_bytes -= 1);
  CHECK_BAD(in.size_bytes = 0);
  CHECK_BAD(out.size_bytes = SIZE_MAX);
  CHECK_BAD(in.dtype = 99);
  CHECK_BAD(in.dtype = UINT32_MAX);
  CHECK_BAD(in.dtype = ETVK_DTYPE_INT8);
  CHECK_BAD(out.dtype = ETVK_DTYPE_BOOL);
  CHECK_BAD(in.rank = 3);
  CHECK_BAD(in.rank = UINT32_MAX);
  CHECK_BAD(in.dims[3] += 1);
  CHECK_BAD(out.dims[0] = UINT32_MAX);
  CHECK_BAD(in.dim_order = kRepeated);
  CHECK_BAD(out.dim_order = kTooLarge);
#undef CHECK_BAD
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, 0, &out, 1), bad);
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, 1, &out, 0), bad);
  CHECK_STATUS(etvk_delegate_execute(delegate, &in, UINT32_MAX, &out, 1), bad);
  for (i = 0; i < run.expected.size && output[i] == 0xAB; ++i) {
  }
  CHECK(i == run.expected.size);
  free(output);
  fixture_run_free(&run);
}

static void test_bad_resize(etvk_delegate *delegate) {
  Run run = fixture_run(folder, 0);
  etvk_input_shape shape = fixture_input_shape(&run.in_shape);
  const etvk_input_shape good = shape;
  etvk_port before, after;
  memset(&before, 0, sizeof(before));
  memset(&after, 0, sizeof(after));
  CHECK_STATUS(etvk_delegate_resize(delegate, &good, 1), ETVK_STATUS_OK);
  CHECK_STATUS(etvk_delegate_input(delegate, 0, &before), ETVK_STATUS_OK);
  shape.dims[2] = before.max_dims[2] + 1;
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_INVALID_ARGUMENT);
  shape.dims[2] = UINT32_MAX;
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_INVALID_ARGUMENT);
  shape = good;
  shape.rank = 3;
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_INVALID_ARGUMENT);
  shape.rank = UINT32_MAX;
  CHECK_STATUS(etvk_delegate_resize(delegate, &shape, 1), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(etvk_delegate_resize(delegate, &good, 2), ETVK_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(etvk_delegate_input(delegate, 0, &after), ETVK_STATUS_OK);
  CHECK(memcmp(before.dims, after.dims, sizeof(before.dims)) == 0);
  fixture_run_free(&run);
}

typedef etvk_status (*TextFunction)(const etvk_delegate *, char *, size_t, size_t *);

static void check_text(TextFunction text, const etvk_delegate *delegate) {
  size_t needed = 0;
  size_t again = 0;
  char *buffer;
  CHECK_STATUS(text(delegate, NULL, 0, &needed), ETVK_STATUS_OK);
  CHECK(needed > 1);
  buffer = (char *)malloc(needed);
  CHECK(buffer != NULL);
  CHECK_STATUS(text(delegate, buffer, needed, &again), ETVK_STATUS_OK);
  CHECK(again == needed && strlen(buffer) == needed - 1);
  /* A short buffer is cut, and ends with the NUL. */
  memset(buffer, 'x', needed);
  CHECK_STATUS(text(delegate, buffer, needed / 2, &again), ETVK_STATUS_OK);
  CHECK(again == needed && strlen(buffer) < needed / 2 && buffer[needed - 1] == 'x');
  free(buffer);
}

static void test_reports(etvk_delegate *delegate) {
  etvk_memory memory;
  etvk_convolution conv;
  uint32_t count = 0;
  memset(&memory, 0, sizeof(memory));
  memset(&conv, 'x', sizeof(conv));
  check_text(etvk_delegate_report, delegate);
  check_text(etvk_delegate_device_name, delegate);
  CHECK_STATUS(etvk_delegate_memory(delegate, &memory), ETVK_STATUS_OK);
  CHECK(memory.workspace_bytes <= memory.workspace_budget_bytes);
  CHECK(memory.weight_bytes > 0 && memory.staging_bytes > 0 && memory.driver_allocations > 0);
  CHECK_STATUS(etvk_delegate_convolution_count(delegate, &count), ETVK_STATUS_OK);
  CHECK(count == 1);
  CHECK_STATUS(etvk_delegate_convolution(delegate, 0, &conv), ETVK_STATUS_OK);
  CHECK(conv.c_in == 64 && conv.c_out == 32 && conv.kernel[0] == 3 && conv.kernel[1] == 3);
  CHECK(conv.workspace_bytes <= memory.workspace_budget_bytes);
  CHECK(memchr(conv.reason, 0, sizeof(conv.reason)) != NULL);
}

int main(int argc, char **argv) {
  Named named, second_named;
  etvk_delegate *delegate, *second;
  if (argc != 2) {
    fprintf(stderr, "c_api_test FIXTURE_DIR\n");
    return 2;
  }
  folder = argv[1];
  blob = fixture_bytes(folder, "blob.bin");
  named = named_data(NAMED_PRESENT);
  second_named = named;
  test_names();
  CHECK_STATUS(create(blob.data, blob.size, &named, &delegate), ETVK_STATUS_OK);
  CHECK(etvk_last_error()[0] == '\0');
  test_nulls(delegate);
  check_run(delegate, 0);
  check_run(delegate, 1);
  test_bad_execute(delegate);
  test_bad_resize(delegate);
  check_run(delegate, 2);
  test_reports(delegate);
  test_options();
  test_missing_constants();
  test_truncated();
  test_corrupt();
  /* After all those failures the next init works, beside the first delegate. */
  CHECK_STATUS(create(blob.data, blob.size, &second_named, &second), ETVK_STATUS_OK);
  check_run(second, 3);
  check_run(delegate, 3);
  etvk_delegate_destroy(delegate);
  check_run(second, 0);
  etvk_delegate_destroy(second);
  CHECK(named.got > 0 && named.got == named.released);
  CHECK(second_named.got == second_named.released);
  free(blob.data);
  printf("c_api_test: passed\n");
  return 0;
}
