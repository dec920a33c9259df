#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target = condition ? left : right over windows broadcast to the same dims.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"

layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint CONDITION = 2;
layout(constant_id = 5) const uint LEFT = 0;
layout(constant_id = 6) const uint RIGHT = 0;
layout(constant_id = 7) const uint TARGET = 0;

INPUT(0, condition, CONDITION)
INPUT(1, left, LEFT)
INPUT(2, right, RIGHT)
OUTPUT(3, target, TARGET)

layout(push_constant) uniform Push {
  uint count;
  int condition_offset;
  int left_offset;
  int right_offset;
  int target_offset;
  uint sizes[5];
  int condition_strides[5];
  int left_strides[5];
  int right_strides[5];
  int target_strides[5];
};

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int c = condition_offset;
  int l = left_offset;
  int r = right_offset;
  int to = target_offset;
  for (int d = int(RANK) - 1; d >= 0; --d) {
    int at = d > 0 ? int(rest % sizes[d]) : int(rest);
    rest /= sizes[d];
    c += at * condition_strides[d];
    l += at * left_strides[d];
    r += at * right_strides[d];
    to += at * target_strides[d];
  }
  bool chosen = condition_int(c) != 0;
  if (TARGET == I32) {
    target_set_int(to, chosen ? left_int(l) : right_int(r));
  } else {
    target_set_float(to, chosen ? left_float(l) : right_float(r));
  }
}
