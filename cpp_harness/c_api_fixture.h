/* What extract_blob.py wrote, in memory, a named data map over it that counts, and what the tests in
 * C and C++ need to run it and to compare. */
#ifndef ETVK_C_API_FIXTURE_H
#define ETVK_C_API_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "etvk.h"

/* Ends the process with a message unless `condition` holds. */
#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "%s:%d: %s is false; last error: %s\n", __FILE__, __LINE__, #condition, \
              etvk_last_error());                                                          \
      _Exit(1);                                                                            \
    }                                                                                      \
  } while (0)

/* The same unless `call` ends with the status `wanted`, and with a message when it is a failure. */
#define CHECK_STATUS(call, wanted) \
  fixture_check_status(call, wanted, #call " is " #wanted, __FILE__, __LINE__)

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Bytes {
  unsigned char *data;
  size_t size;
} Bytes;

typedef struct Shape {
  uint32_t rank;
  uint32_t dims[ETVK_MAX_RANK];
} Shape;

/* One run: float32 input and expected output. */
typedef struct Run {
  Shape in_shape, out_shape;
  Bytes input, expected;
} Run;

typedef enum NamedMode {
  NAMED_PRESENT,
  NAMED_ABSENT,    /* every key is refused */
  NAMED_TRUNCATED, /* one byte too short */
  NAMED_NULL       /* says yes and gives null */
} NamedMode;

typedef struct Named {
  const char *folder;
  NamedMode mode;
  int got, released;
} Named;

/* Both end the process with a message when the file is not there. */
Bytes fixture_bytes(const char *folder, const char *name);
Run fixture_run(const char *folder, int index);
void fixture_run_free(Run *run);

void fixture_check_status(etvk_status got, etvk_status wanted, const char *what, const char *file,
                          int line);

/* A contiguous float32 tensor over that memory, and the shape for a resize to it. */
etvk_tensor fixture_tensor(void *data, size_t size_bytes, const Shape *shape);
etvk_input_shape fixture_input_shape(const Shape *shape);

/* A create info with these three set; named may be null. */
etvk_create_info fixture_create_info(Bytes blob, Named *named);

/* How many of the values are off by more than the manifests of the programs allow: 1e-4 of the
 * largest value plus 1e-3 of the value. NaN is off. */
size_t fixture_wrong(const float *got, const Bytes *expected);

int32_t fixture_named_get(void *context, const char *key, const void **data, size_t *size_bytes,
                          void **token);
void fixture_named_release(void *context, void *token);

#ifdef __cplusplus
}
#endif

#endif
