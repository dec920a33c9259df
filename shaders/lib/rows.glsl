// Rows: an outer loop over rows, an inner loop over the elements of a row, both over windows `source`
// and `target`. A workgroup is X rows by Y invocations that share each row; Y is a power of two.
// The including file declares ROWS_EXTRA: push constants of its own, or nothing.
layout(constant_id = 3) const uint OUTER_RANK = 1;
layout(constant_id = 4) const uint INNER_RANK = 1;

layout(push_constant) uniform Push {
  uint outer_count;
  int source_offset;
  int target_offset;
  uint outer_sizes[4];
  int outer_source[4];
  int outer_target[4];
  uint inner_count;
  uint inner_sizes[4];
  int inner_source[4];
  int inner_target[4];
  ROWS_EXTRA
};

// Invocations per workgroup, at most.
const uint ROWS_LIMIT = 128u;

// x: element of the source, y: of the target.
ivec2 row_start(const uint row) {
  ivec2 at = ivec2(source_offset, target_offset);
  uint rest = row;
  for (int d = int(OUTER_RANK) - 1; d > 0; --d) {
    at += int(rest % outer_sizes[d]) * ivec2(outer_source[d], outer_target[d]);
    rest /= outer_sizes[d];
  }
  return at + int(rest) * ivec2(outer_source[0], outer_target[0]);
}

ivec2 row_element(const uint i) {
  ivec2 at = ivec2(0);
  uint rest = i;
  for (int d = int(INNER_RANK) - 1; d > 0; --d) {
    at += int(rest % inner_sizes[d]) * ivec2(inner_source[d], inner_target[d]);
    rest /= inner_sizes[d];
  }
  return at + int(rest) * ivec2(inner_source[0], inner_target[0]);
}

// Position of this invocation in arrays shared by the workgroup.
uint row_slot() {
  return gl_LocalInvocationID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}
