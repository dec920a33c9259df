#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target = f(left, right) over windows broadcast to the same dims; either operand may be a number.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "power.glsl"

// Functions of two elements.
#pragma enum Function
const uint ADD = 0u;
const uint SUB = 1u;
const uint MUL = 2u;
const uint DIV = 3u;
const uint DIV_FLOOR = 4u;
const uint DIV_TRUNC = 5u;
const uint MINIMUM = 6u;
const uint MAXIMUM = 7u;
const uint POW = 8u;
const uint REMAINDER = 9u;
const uint FMOD = 10u;
const uint EQ = 11u;
const uint NE = 12u;
const uint LT = 13u;
const uint LE = 14u;
const uint GT = 15u;
const uint GE = 16u;
const uint LOGICAL_AND = 17u;
const uint LOGICAL_OR = 18u;
const uint LOGICAL_XOR = 19u;
const uint BITWISE_AND = 20u;
const uint BITWISE_OR = 21u;
const uint BITWISE_XOR = 22u;
const uint PRELU = 23u;

// Which operand is the pushed number; its buffer is then the other one's.
#pragma enum Number
const uint NUMBER_NONE = 0u;
const uint NUMBER_LEFT = 1u;
const uint NUMBER_RIGHT = 2u;

#pragma types LEFT: Element; RIGHT: Element; TARGET: Element
#pragma types FUNCTION: Function; INTEGER: bool; NUMBER: Number
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint LEFT = 0;
layout(constant_id = 5) const uint RIGHT = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint NARROW = 0;
layout(constant_id = 8) const uint FUNCTION = 0;
// 1: computes in 32-bit integers that wrap around.
layout(constant_id = 9) const uint INTEGER = 0;
layout(constant_id = 10) const uint NUMBER = 0;

INPUT(0, left, LEFT)
INPUT(1, right, RIGHT)
OUTPUT(2, target, TARGET)
#include "narrow.glsl"

const uint MAX_RANK = 6;
#include "strided.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[MAX_RANK];
  Window left;
  Window right;
  Window target;
  // Floats, or integers when INTEGER.
  uint number;
  uint alpha;
};

bool compared(const int x, const int y) {
  switch (FUNCTION) {
    case EQ: return x == y;
    case NE: return x != y;
    case LT: return x < y;
    case LE: return x <= y;
    case GT: return x > y;
  }
  return x >= y;
}

// Comparisons and logic are not here.
float on_float(const float x, const float y) {
  float scale = uintBitsToFloat(alpha);
  switch (FUNCTION) {
    case ADD: return x + y * scale;
    case SUB: return x - y * scale;
    case MUL: return x * y;
    case DIV: return x / y;
    case DIV_FLOOR: return divide_floor(x, y);
    case DIV_TRUNC: return trunc(quotient(x, y));
    case MINIMUM: return minimum(x, y);
    case MAXIMUM: return maximum(x, y);
    case POW: return power(x, y);
    case REMAINDER: return remainder_exact(x, y);
    case PRELU: return less(0.0, x) ? x : x * y;
  }
  return fmod_exact(x, y);
}

int on_int(const int x, const int y) {
  switch (FUNCTION) {
    case ADD: return x + y * int(alpha);
    case SUB: return x - y * int(alpha);
    case MUL: return x * y;
    case DIV_FLOOR: return divide_floor_int(x, y);
    case DIV_TRUNC: return divide_trunc_int(x, y);
    case MINIMUM: return min(x, y);
    case MAXIMUM: return max(x, y);
    case POW: return power_int(x, y);
    case REMAINDER: return remainder_int(x, y);
    case FMOD: return fmod_int(x, y);
    case BITWISE_AND: return x & y;
    case BITWISE_OR: return x | y;
  }
  return x ^ y;
}

bool logic(const bool x, const bool y) {
  return FUNCTION == LOGICAL_AND ? x && y : FUNCTION == LOGICAL_OR ? x || y : x != y;
}

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int l = left.offset;
  int r = right.offset;
  int to = target.offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    int at = int(rest % sizes[d]);
    rest /= sizes[d];
    l += at * left.strides[d];
    r += at * right.strides[d];
    to += at * target.strides[d];
  }
  l += int(rest) * left.strides[0];
  r += int(rest) * right.strides[0];
  to += int(rest) * target.strides[0];

  if (INTEGER == 1u) {
    int x = NUMBER == NUMBER_LEFT ? int(number) : left_int(l);
    int y = NUMBER == NUMBER_RIGHT ? int(number) : right_int(r);
    int value;
    if (FUNCTION >= EQ && FUNCTION <= GE) {
      value = compared(x, y) ? 1 : 0;
    } else if (FUNCTION >= LOGICAL_AND && FUNCTION <= LOGICAL_XOR) {
      value = logic(x != 0, y != 0) ? 1 : 0;
    } else {
      value = on_int(x, y);
    }
    target_set_int(to, narrowed(value));
    return;
  }
  float x = NUMBER == NUMBER_LEFT ? uintBitsToFloat(number) : left_float(l);
  float y = NUMBER == NUMBER_RIGHT ? uintBitsToFloat(number) : right_float(r);
  if (FUNCTION >= EQ && FUNCTION <= GE) {
    // Only != holds for NaN.
    bool holds = is_nan(x) || is_nan(y) ? FUNCTION == NE : compared(ordered(x), ordered(y));
    target_set_int(to, holds ? 1 : 0);
  } else if (FUNCTION >= LOGICAL_AND && FUNCTION <= LOGICAL_XOR) {
    target_set_int(to, logic(!is_zero(x), !is_zero(y)) ? 1 : 0);
  } else {
    target_set_float(to, on_float(x, y));
  }
}
