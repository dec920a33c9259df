#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Copies a window to a window of the same dims, converting the element type as PyTorch does.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
// What integers narrow to: 0 nothing, 1 bool, 2 uint8, 3 int8.
layout(constant_id = 6) const uint NARROW = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)
INPUT_BITS(0, source, SOURCE)
OUTPUT_BITS(1, target, TARGET)

layout(push_constant) uniform Push {
  uint count;
  int source_offset;
  int target_offset;
  uint sizes[8];
  int source_strides[8];
  int target_strides[8];
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int from = source_offset;
  int to = target_offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    uint at = rest % sizes[d];
    rest /= sizes[d];
    from += int(at) * source_strides[d];
    to += int(at) * target_strides[d];
  }
  from += int(rest) * source_strides[0];
  to += int(rest) * target_strides[0];
  if (NARROW == 1u) {
    target_set_int(to, source_is_zero(from) ? 0 : 1);
  } else if (SOURCE == TARGET && NARROW == 0u) {
    target_set_bits(to, source_bits(from));
  } else if (TARGET == I32) {
    int x = source_int(from);
    if (NARROW == 2u) {
      x = x & 255;
    } else if (NARROW == 3u) {
      x = bitfieldExtract(x, 0, 8);
    }
    target_set_int(to, x);
  } else {
    target_set_float(to, source_float(from));
  }
}
