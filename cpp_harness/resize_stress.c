/* Resizes one delegate thousands of times over the C ABI and runs it each time:

     resize_stress FIXTURE COUNT LIMIT [fresh]

   FIXTURE is a folder of extract_blob.py whose program has one input [n, c, h, w]; h and w are
   random, at most LIMIT and the program's bound. The bits of a size must be the same whenever it
   comes up, and with `fresh` those of a delegate that was made for this one run. A size that the
   program cannot run at must be an error that changes nothing. */
#include "c_api_fixture.h"

#include <inttypes.h>
#include <string.h>

#define MAX_SIDE 512 /* of a program's bound */

static Bytes blob;
static Named named;

static void fail(const char *what, int step) {
  fprintf(stderr, "FAILED step %d: %s: %s\n", step, what, etvk_last_error());
  exit(1);
}

static uint32_t random_below(uint64_t *state, uint32_t below) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((*state >> 33) % below);
}

/* From 1 to `most`; above `round`, a multiple of it. */
static uint32_t side(uint64_t *state, uint32_t most, uint32_t round) {
  const uint32_t any = 1 + random_below(state, most);
  return any < round ? any : any / round * round;
}

static etvk_delegate *create(void) {
  etvk_delegate *delegate = NULL;
  const etvk_create_info info = fixture_create_info(blob, &named);
  if (etvk_delegate_create(&info, &delegate) != ETVK_STATUS_OK) {
    fail("create", 0);
  }
  return delegate;
}

static etvk_status resize(etvk_delegate *delegate, const etvk_port *input, uint32_t h, uint32_t w) {
  etvk_input_shape shape;
  memset(&shape, 0, sizeof(shape));
  shape.rank = input->rank;
  memcpy(shape.dims, input->max_dims, sizeof(shape.dims));
  shape.dims[2] = h;
  shape.dims[3] = w;
  return etvk_delegate_resize(delegate, &shape, 1);
}

/* Runs at the delegate's present size with a ramp as input; the hash of the output's bytes. */
static uint64_t run(etvk_delegate *delegate, int step) {
  etvk_port in_port, out_port;
  etvk_tensor in, out;
  uint64_t hash = UINT64_C(14695981039346656037);
  size_t i;
  float *input;
  unsigned char *output;
  if (etvk_delegate_input(delegate, 0, &in_port) != ETVK_STATUS_OK ||
      etvk_delegate_output(delegate, 0, &out_port) != ETVK_STATUS_OK) {
    fail("ports", step);
  }
  input = (float *)malloc(in_port.size_bytes);
  output = (unsigned char *)malloc(out_port.size_bytes);
  if (input == NULL || output == NULL) {
    fail("out of memory", step);
  }
  for (i = 0; i < in_port.size_bytes / sizeof(float); ++i) {
    input[i] = (float)((i * 37) % 101) / 50.0f - 1.0f;
  }
  memset(output, 0xA5, out_port.size_bytes);
  memset(&in, 0, sizeof(in));
  memset(&out, 0, sizeof(out));
  in.data = input;
  in.size_bytes = in_port.size_bytes;
  in.dtype = in_port.dtype;
  in.rank = in_port.rank;
  memcpy(in.dims, in_port.dims, sizeof(in.dims));
  out.data = output;
  out.size_bytes = out_port.size_bytes;
  out.dtype = out_port.dtype;
  out.rank = out_port.rank;
  memcpy(out.dims, out_port.dims, sizeof(out.dims));
  if (etvk_delegate_execute(delegate, &in, 1, &out, 1) != ETVK_STATUS_OK) {
    fail("execute", step);
  }
  for (i = 0; i < out_port.size_bytes; ++i) {
    hash = (hash ^ output[i]) * UINT64_C(1099511628211);
  }
  free(input);
  free(output);
  return hash;
}

int main(int argc, char **argv) {
  static uint64_t seen[MAX_SIDE + 1][MAX_SIDE + 1];
  etvk_delegate *delegate;
  etvk_memory before, after;
  etvk_port input;
  uint64_t state = 1;
  uint32_t h_max, w_max, limit, h, w;
  int count, step, fresh, shapes = 0, refused = 0;
  if (argc < 4) {
    fprintf(stderr, "resize_stress FIXTURE COUNT LIMIT [fresh]\n");
    return 2;
  }
  count = atoi(argv[2]);
  limit = (uint32_t)atoi(argv[3]);
  fresh = argc > 4 && strcmp(argv[4], "fresh") == 0;
  blob = fixture_bytes(argv[1], "blob.bin");
  named.folder = argv[1];
  named.mode = NAMED_PRESENT;
  delegate = create();
  if (etvk_delegate_input(delegate, 0, &input) != ETVK_STATUS_OK || input.rank != 4 ||
      etvk_delegate_memory(delegate, &before) != ETVK_STATUS_OK) {
    fail("the program has no input of 4 dims", 0);
  }
  h = input.max_dims[2];
  w = input.max_dims[3];
  if (h > MAX_SIDE || w > MAX_SIDE || limit == 0) {
    fail("the bound or the limit", 0);
  }
  h_max = input.max_dims[2] < limit ? input.max_dims[2] : limit;
  w_max = input.max_dims[3] < limit ? input.max_dims[3] : limit;
  for (step = 0; step < count; ++step) {
    /* Mostly what networks with strides take: multiples of 4. */
    const uint32_t round = random_below(&state, 4) == 0 ? 1 : 4;
    const uint32_t next_h = side(&state, h_max, round);
    const uint32_t next_w = side(&state, w_max, round);
    uint64_t hash;
    if (step % 50 == 0 && resize(delegate, &input, input.max_dims[2] + 1, next_w) == ETVK_STATUS_OK) {
      fail("a size above the bound was taken", step);
    }
    if (resize(delegate, &input, next_h, next_w) == ETVK_STATUS_OK) {
      h = next_h;
      w = next_w;
    } else if (etvk_last_error()[0] == '\0') {
      fail("an error without a message", step);
    } else {
      ++refused;
    }
    hash = run(delegate, step);
    if (seen[h][w] == 0) {
      ++shapes;
      seen[h][w] = hash;
      if (fresh) {
        etvk_delegate *other = create();
        if (resize(other, &input, h, w) != ETVK_STATUS_OK) {
          fail("a fresh delegate refuses the size", step);
        }
        seen[h][w] = run(other, step);
        etvk_delegate_destroy(other);
      }
    }
    if (seen[h][w] != hash) {
      fprintf(stderr, "FAILED step %d: other bits at %" PRIu32 " x %" PRIu32 "\n", step, h, w);
      return 1;
    }
  }
  if (etvk_delegate_memory(delegate, &after) != ETVK_STATUS_OK ||
      memcmp(&before, &after, sizeof(after)) != 0) {
    fail("device memory changed", count);
  }
  etvk_delegate_destroy(delegate);
  free(blob.data);
  printf("%d resizes, %d sizes ran, %d refusals\n", count, shapes, refused);
  return 0;
}
