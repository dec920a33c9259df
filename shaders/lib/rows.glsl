// Rows: an outer loop over rows, an inner loop over the elements of a row, both over windows `source`
// and `target`. A workgroup is X rows by Y invocations that share each row; Y is a power of two.
// A kernel's push constants begin with `Rows rows`; row_elements.glsl walks over them.
const uint ROWS_RANK = 4u;
#define MAX_RANK ROWS_RANK
#include "strided.glsl"

layout(constant_id = 3) const uint OUTER_RANK = 1;
layout(constant_id = 4) const uint INNER_RANK = 1;

struct Rows {
  uint outer_count;
  uint outer_sizes[ROWS_RANK];
  Window outer_source;
  Window outer_target;
  uint inner_count;
  uint inner_sizes[ROWS_RANK];
  int inner_source[ROWS_RANK];
  int inner_target[ROWS_RANK];
};

// Invocations per workgroup, at most.
const uint ROWS_LIMIT = 128u;
