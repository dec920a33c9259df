#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Copies a window to a window of the same dims, converting the element type as PyTorch does.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

#pragma types SOURCE: Element; TARGET: Element
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint NARROW = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)
#include "narrow.glsl"

const uint MAX_RANK = 8;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window source;
  Window target;
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int from = source.offset;
  int to = target.offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    uint at = rest % sizes[d];
    rest /= sizes[d];
    from += int(at) * source.strides[d];
    to += int(at) * target.strides[d];
  }
  from += int(rest) * source.strides[0];
  to += int(rest) * target.strides[0];
  if (NARROW == NARROW_BOOL) {
    bool set = SOURCE == I32 ? source_int(from) != 0 : source_float(from) != 0.0;
    target_set_int(to, set ? 1 : 0);
  } else if (TARGET == I32) {
    target_set_int(to, narrowed(source_int(from)));
  } else {
    target_set_float(to, source_float(from));
  }
}
