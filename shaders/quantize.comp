#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Integers that stand for scale * (integer - zero point), and the numbers they stand for: the value of
// one operand, or the sum of two, as a number or as another integer of that kind.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "float.glsl"

#pragma types LEFT: Element; RIGHT: Element; TARGET: Element; SUM: bool; RELU: bool
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint LEFT = 0;
layout(constant_id = 5) const uint RIGHT = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint SUM = 0;
layout(constant_id = 8) const uint RELU = 0;

INPUT(0, left, LEFT)
INPUT(1, right, RIGHT)
OUTPUT(2, target, TARGET)

const uint MAX_RANK = 5;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window left;
  Window right;
  Window target;
  float left_scale;
  int left_zero;
  float right_scale;
  int right_zero;
  float inverse_scale;
  int zero;
  int low;
  int high;
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  ivec3 at = ivec3(left.offset, right.offset, target.offset);
  for (int d = int(RANK) - 1; d >= 0; --d) {
    uint i = d > 0 ? rest % sizes[d] : rest;
    rest /= sizes[d];
    at += int(i) * ivec3(left.strides[d], right.strides[d], target.strides[d]);
  }
  precise float value = left_float(at.x);
  if (LEFT == I32) {
    value = float(left_int(at.x) - left_zero) * left_scale;
  }
  if (SUM == 1u) {
    precise float other = float(right_int(at.y) - right_zero) * right_scale;
    value = value + other;
  }
  if (RELU == 1u) {
    value = maximum(value, 0.0);
  }
  if (TARGET == I32) {
    // In floats until the range is known; both ends are exact there.
    float steps = roundEven(value * inverse_scale) + float(zero);
    target_set_int(at.z, int(clamp(steps, float(low), float(high))));
  } else {
    target_set_float(at.z, value);
  }
}
