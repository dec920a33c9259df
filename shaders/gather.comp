#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Copies elements whose position along one axis comes from a tensor of indices. Negative indices
// count from the end; beyond that they are clamped, so that nothing outside is read.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

#pragma types SOURCE: Element; TARGET: Element
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;

INPUT(0, indices, I32)
INPUT(1, source, SOURCE)
OUTPUT(2, target, TARGET)

const uint MAX_RANK = 6;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window indices;
  Window source;
  Window target;
  int axis_size;
  int axis_stride;
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  ivec3 at = ivec3(indices.offset, source.offset, target.offset);
  for (int d = int(RANK) - 1; d >= 0; --d) {
    uint i = d > 0 ? rest % sizes[d] : rest;
    rest /= sizes[d];
    at += int(i) * ivec3(indices.strides[d], source.strides[d], target.strides[d]);
  }
  int index = indices_int(at.x);
  index = clamp(index < 0 ? index + axis_size : index, 0, axis_size - 1);
  int from = at.y + index * axis_stride;
  if (TARGET == I32) {
    target_set_int(at.z, source_int(from));
  } else {
    target_set_float(at.z, source_float(from));
  }
}
