#include "c_api_fixture.h"

#include <stdio.h>
#include <stdlib.h>
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
