#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target[i] = start + i * step, i in row-major order of the loop; a fill has step 0.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "float.glsl"

#pragma types TARGET: Element
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint TARGET = 0;

OUTPUT(0, target, TARGET)

const uint MAX_RANK = 8;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window target;
  // Integers when TARGET is; else floats, each as the sum of two.
  uint start;
  uint start_low;
  uint step_by;
  uint step_low;
};

void main() {
  uint index = line_index();
  if (index >= count) {
    return;
  }
  uint rest = index;
  int to = target.offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    to += int(rest % sizes[d]) * target.strides[d];
    rest /= sizes[d];
  }
  to += int(rest) * target.strides[0];
  if (TARGET == I32) {
    target_set_int(to, int(start) + int(index) * int(step_by));
  } else {
    float first = uintBitsToFloat(start);
    if (step_by == 0u) {
      target_set_float(to, first);
      return;
    }
    // In twice the precision: the numbers may cancel.
    float at = float(index);
    float low;
    float way = product(at, uintBitsToFloat(step_by), low);
    precise float value = first + way;
    precise float part = value - first;
    precise float error = (first - (value - part)) + (way - part);
    precise float total = value + (error + (low + (uintBitsToFloat(start_low) + at * uintBitsToFloat(step_low))));
    target_set_float(to, total);
  }
}
