#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// (x - mean) / sqrt(variance + epsilon) * weight + bias, each per channel.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

#pragma types SOURCE: Element; TARGET: Element; WEIGHT: Element; BIAS: Element; MEAN: Element; VARIANCE: Element
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint WEIGHT = 0;
layout(constant_id = 7) const uint BIAS = 0;
layout(constant_id = 8) const uint MEAN = 0;
layout(constant_id = 9) const uint VARIANCE = 0;
// Bits of HAS; a buffer without its bit is not touched.
const uint HAS_WEIGHT = 1u;
const uint HAS_BIAS = 2u;
layout(constant_id = 10) const uint HAS = 0;

INPUT(0, source, SOURCE)
INPUT(1, weight, WEIGHT)
INPUT(2, bias, BIAS)
INPUT(3, mean, MEAN)
INPUT(4, variance, VARIANCE)
OUTPUT(5, target, TARGET)

const uint MAX_RANK = 6;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window channel;
  Window source;
  Window target;
  float epsilon;
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  ivec3 at = ivec3(channel.offset, source.offset, target.offset);
  for (int d = int(RANK) - 1; d >= 0; --d) {
    uint i = d > 0 ? rest % sizes[d] : rest;
    rest /= sizes[d];
    at += int(i) * ivec3(channel.strides[d], source.strides[d], target.strides[d]);
  }
  float y = (source_float(at.y) - mean_float(at.x)) * inversesqrt(variance_float(at.x) + epsilon);
  if ((HAS & HAS_WEIGHT) != 0u) {
    y *= weight_float(at.x);
  }
  if ((HAS & HAS_BIAS) != 0u) {
    y += bias_float(at.x);
  }
  target_set_float(at.z, y);
}
