#include "c_api_fixture.h"

#include <math.h>
#include <string.h>

static int read_path(const char *path, Bytes *bytes) {
  FILE *file = fopen(path, "rb");
  long size = -1;
  bytes->data = NULL;
  bytes->size = 0;
  if (file == NULL) {
    return 0;
  }
  if (fseek(file, 0, SEEK_END) == 0) {
    size = ftell(file);
  }
  if (size >= 0 && fseek(file, 0, SEEK_SET) == 0) {
    /* Exactly as large as the file, so that a read past the end is seen. */
    bytes->data = (unsigned char *)malloc(size == 0 ? 1 : (size_t)size);
    if (bytes->data != NULL) {
      bytes->size = fread(bytes->data, 1, (size_t)size, file);
    }
  }
  fclose(file);
  return bytes->data != NULL && bytes->size == (size_t)size;
}

Bytes fixture_bytes(const char *folder, const char *name) {
  char path[1024];
  Bytes bytes;
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  if (!read_path(path, &bytes)) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(2);
  }
  return bytes;
}

static int read_shape(FILE *file, Shape *shape) {
  uint32_t i;
  memset(shape, 0, sizeof(*shape));
  if (fscanf(file, "%u", &shape->rank) != 1 || shape->rank > ETVK_MAX_RANK) {
    return 0;
  }
  for (i = 0; i < shape->rank; ++i) {
    if (fscanf(file, "%u", &shape->dims[i]) != 1) {
      return 0;
    }
  }
  return 1;
}

Run fixture_run(const char *folder, int index) {
  char path[1024];
  char name[64];
  FILE *file;
  Run run;
  snprintf(path, sizeof(path), "%s/run%d.txt", folder, index);
  file = fopen(path, "r");
  if (file == NULL || !read_shape(file, &run.in_shape) || !read_shape(file, &run.out_shape)) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(2);
  }
  fclose(file);
  snprintf(name, sizeof(name), "run%d_in0.bin", index);
  run.input = fixture_bytes(folder, name);
  snprintf(name, sizeof(name), "run%d_out0.bin", index);
  run.expected = fixture_bytes(folder, name);
  return run;
}

void fixture_run_free(Run *run) {
  free(run->input.data);
  free(run->expected.data);
}

void fixture_check_status(etvk_status got, etvk_status wanted, const char *what, const char *file,
                          int line) {
  if (got != wanted) {
    fprintf(stderr, "%s:%d: %s: it is %s; last error: %s\n", file, line, what,
            etvk_status_name(got), etvk_last_error());
    _Exit(1);
  }
  if (got != ETVK_STATUS_OK && etvk_last_error()[0] == '\0') {
    fprintf(stderr, "%s:%d: %s: without a message\n", file, line, what);
    _Exit(1);
  }
}

etvk_tensor fixture_tensor(void *data, size_t size_bytes, const Shape *shape) {
  etvk_tensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.size_bytes = size_bytes;
  tensor.dtype = ETVK_DTYPE_FLOAT32;
  tensor.rank = shape->rank;
  memcpy(tensor.dims, shape->dims, sizeof(tensor.dims));
  return tensor;
}

etvk_input_shape fixture_input_shape(const Shape *shape) {
  etvk_input_shape result;
  memset(&result, 0, sizeof(result));
  result.rank = shape->rank;
  memcpy(result.dims, shape->dims, sizeof(result.dims));
  return result;
}

etvk_create_info fixture_create_info(Bytes blob, Named *named) {
  etvk_create_info info;
  memset(&info, 0, sizeof(info));
  info.struct_size = (uint32_t)sizeof(info);
  info.blob = blob.data;
  info.blob_size_bytes = blob.size;
  info.named_data_get = fixture_named_get;
  info.named_data_release = fixture_named_release;
  info.named_data_context = named;
  return info;
}

size_t fixture_wrong(const float *got, const Bytes *expected) {
  const float *want = (const float *)(const void *)expected->data;
  const size_t count = expected->size / sizeof(float);
  float largest = 0;
  size_t wrong = 0;
  size_t i;
  for (i = 0; i < count; ++i) {
    largest = fabsf(want[i]) > largest ? fabsf(want[i]) : largest;
  }
  for (i = 0; i < count; ++i) {
    /* The negation also counts NaN. */
    wrong += !(fabsf(got[i] - want[i]) <= 1e-4f * largest + 1e-3f * fabsf(want[i]));
  }
  return wrong;
}

int32_t fixture_named_get(void *context, const char *key, const void **data, size_t *size_bytes,
                          void **token) {
  Named *named = (Named *)context;
  char path[1024];
  Bytes bytes;
  if (named->mode == NAMED_ABSENT) {
    return 1;
  }
  snprintf(path, sizeof(path), "%s/named/%s", named->folder, key);
  if (!read_path(path, &bytes)) {
    return 1;
  }
  *data = named->mode == NAMED_NULL ? NULL : bytes.data;
  *size_bytes = named->mode == NAMED_TRUNCATED ? bytes.size - 1 : bytes.size;
  *token = bytes.data;
  ++named->got;
  return 0;
}

void fixture_named_release(void *context, void *token) {
  ++((Named *)context)->released;
  free(token);
}
