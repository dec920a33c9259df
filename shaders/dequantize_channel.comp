#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// The numbers that integers stand for, with a scale and a zero point for each channel.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

#pragma types SCALES: Element; TARGET: Element; HAS_ZEROS: bool
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SCALES = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint HAS_ZEROS = 0;

INPUT(0, source, I32)
INPUT(1, scales, SCALES)
INPUT(2, zeros, I32)
OUTPUT(3, target, TARGET)

const uint MAX_RANK = 5;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window source;
  Window scales;
  Window zeros;
  Window target;
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  ivec4 at = ivec4(source.offset, scales.offset, zeros.offset, target.offset);
  for (int d = int(RANK) - 1; d >= 0; --d) {
    uint i = d > 0 ? rest % sizes[d] : rest;
    rest /= sizes[d];
    at += int(i) * ivec4(source.strides[d], scales.strides[d], zeros.strides[d], target.strides[d]);
  }
  int zero = HAS_ZEROS == 1u ? zeros_int(at.z) : 0;
  target_set_float(at.w, float(source_int(at.x) - zero) * scales_float(at.y));
}
