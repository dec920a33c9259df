/* What extract_blob.py wrote, in memory, and a named data map over it that counts. */
#ifndef ETVK_C_API_FIXTURE_H
#define ETVK_C_API_FIXTURE_H

#include "etvk.h"

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

int32_t fixture_named_get(void *context, const char *key, const void **data, size_t *size_bytes,
                          void **token);
void fixture_named_release(void *context, void *token);

#ifdef __cplusplus
}
#endif

#endif
