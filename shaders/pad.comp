#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// A window with a border of one value around it. One invocation = one element of a loop of RANK
// sizes over the target.
#include "workgroup.glsl"
#include "element.glsl"

#pragma types SOURCE: Element; TARGET: Element
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)

const uint MAX_RANK = 5;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  // Bits of a float, or of an int where the target holds those.
  uint value;
  uint sizes[MAX_RANK];
  Window source;
  Window target;
  // Border before the source, and the source's size.
  uint before[MAX_RANK];
  uint source_sizes[MAX_RANK];
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int from = source.offset;
  int to = target.offset;
  bool inside = true;
  for (int d = int(RANK) - 1; d >= 0; --d) {
    uint i = d > 0 ? rest % sizes[d] : rest;
    rest /= sizes[d];
    to += int(i) * target.strides[d];
    // Wraps to a large number before the source.
    i -= before[d];
    inside = inside && i < source_sizes[d];
    from += int(i) * source.strides[d];
  }
  if (TARGET == I32) {
    int x = int(value);
    if (inside) {
      x = source_int(from);
    }
    target_set_int(to, x);
  } else {
    float x = uintBitsToFloat(value);
    if (inside) {
      x = source_float(from);
    }
    target_set_float(to, x);
  }
}
