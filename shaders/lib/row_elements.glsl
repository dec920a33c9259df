// Where the elements of rows.glsl lie.
// x: element of the source, y: of the target.
ivec2 row_start(const uint row) {
  ivec2 at = ivec2(rows.outer_source.offset, rows.outer_target.offset);
  uint rest = row;
  for (int d = int(OUTER_RANK) - 1; d > 0; --d) {
    at += int(rest % rows.outer_sizes[d]) * ivec2(rows.outer_source.strides[d], rows.outer_target.strides[d]);
    rest /= rows.outer_sizes[d];
  }
  return at + int(rest) * ivec2(rows.outer_source.strides[0], rows.outer_target.strides[0]);
}

ivec2 row_element(const uint i) {
  ivec2 at = ivec2(0);
  uint rest = i;
  for (int d = int(INNER_RANK) - 1; d > 0; --d) {
    at += int(rest % rows.inner_sizes[d]) * ivec2(rows.inner_source[d], rows.inner_target[d]);
    rest /= rows.inner_sizes[d];
  }
  return at + int(rest) * ivec2(rows.inner_source[0], rows.inner_target[0]);
}

// Position of this invocation in arrays shared by the workgroup.
uint row_slot() {
  return gl_LocalInvocationID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}
