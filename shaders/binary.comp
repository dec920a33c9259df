#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target = f(left, right) over windows broadcast to the same dims; either operand may be a number.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "power.glsl"

layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint LEFT = 0;
layout(constant_id = 5) const uint RIGHT = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint NARROW = 0;
layout(constant_id = 8) const uint FUNCTION = 0;
// 1: computes in 32-bit integers that wrap around.
layout(constant_id = 9) const uint INTEGER = 0;
// Which operand is the pushed number: 0 none, 1 left, 2 right. Its buffer is then the other one's.
layout(constant_id = 10) const uint NUMBER = 0;

INPUT(0, left, LEFT)
INPUT(1, right, RIGHT)
OUTPUT(2, target, TARGET)
#include "narrow.glsl"

layout(push_constant) uniform Push {
  uint count;
  int left_offset;
  int right_offset;
  int target_offset;
  uint sizes[6];
  int left_strides[6];
  int right_strides[6];
  int target_strides[6];
  // Floats, or integers when INTEGER.
  uint number;
  uint alpha;
};

bool compared(const int x, const int y) {
  switch (FUNCTION) {
    case 11: return x == y;
    case 12: return x != y;
    case 13: return x < y;
    case 14: return x <= y;
    case 15: return x > y;
  }
  return x >= y;
}

// Numbers are BinaryFunction's in src/ops/binary.rs; comparisons and logic are not here.
float on_float(const float x, const float y) {
  float scale = uintBitsToFloat(alpha);
  switch (FUNCTION) {
    case 0: return x + y * scale;
    case 1: return x - y * scale;
    case 2: return x * y;
    case 3: return x / y;
    case 4: return divide_floor(x, y);
    case 5: return trunc(quotient(x, y));
    case 6: return minimum(x, y);
    case 7: return maximum(x, y);
    case 8: return power(x, y);
    case 9: return remainder_exact(x, y);
    case 23: return less(0.0, x) ? x : x * y;
  }
  return fmod_exact(x, y);
}

int on_int(const int x, const int y) {
  switch (FUNCTION) {
    case 0: return x + y * int(alpha);
    case 1: return x - y * int(alpha);
    case 2: return x * y;
    case 4: return divide_floor_int(x, y);
    case 5: return divide_trunc_int(x, y);
    case 6: return min(x, y);
    case 7: return max(x, y);
    case 8: return power_int(x, y);
    case 9: return remainder_int(x, y);
    case 10: return fmod_int(x, y);
    case 20: return x & y;
    case 21: return x | y;
  }
  return x ^ y;
}

bool logic(const bool x, const bool y) {
  return FUNCTION == 17 ? x && y : FUNCTION == 18 ? x || y : x != y;
}

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int l = left_offset;
  int r = right_offset;
  int to = target_offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    int at = int(rest % sizes[d]);
    rest /= sizes[d];
    l += at * left_strides[d];
    r += at * right_strides[d];
    to += at * target_strides[d];
  }
  l += int(rest) * left_strides[0];
  r += int(rest) * right_strides[0];
  to += int(rest) * target_strides[0];

  if (INTEGER == 1u) {
    int x = NUMBER == 1u ? int(number) : left_int(l);
    int y = NUMBER == 2u ? int(number) : right_int(r);
    int value;
    if (FUNCTION >= 11u && FUNCTION <= 16u) {
      value = compared(x, y) ? 1 : 0;
    } else if (FUNCTION >= 17u && FUNCTION <= 19u) {
      value = logic(x != 0, y != 0) ? 1 : 0;
    } else {
      value = on_int(x, y);
    }
    target_set_int(to, narrowed(value));
    return;
  }
  float x = NUMBER == 1u ? uintBitsToFloat(number) : left_float(l);
  float y = NUMBER == 2u ? uintBitsToFloat(number) : right_float(r);
  if (FUNCTION >= 11u && FUNCTION <= 16u) {
    // Only != holds for NaN.
    bool holds = is_nan(x) || is_nan(y) ? FUNCTION == 12u : compared(ordered(x), ordered(y));
    target_set_int(to, holds ? 1 : 0);
  } else if (FUNCTION >= 17u && FUNCTION <= 19u) {
    target_set_int(to, logic(!is_zero(x), !is_zero(y)) ? 1 : 0);
  } else {
    target_set_float(to, on_float(x, y));
  }
}
