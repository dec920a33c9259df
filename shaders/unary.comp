#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target[i] = f(source[i]) over windows of the same dims.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "math.glsl"

layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint NARROW = 0;
layout(constant_id = 7) const uint FUNCTION = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)
#include "narrow.glsl"

layout(push_constant) uniform Push {
  uint count;
  int source_offset;
  int target_offset;
  uint sizes[8];
  int source_strides[8];
  int target_strides[8];
  // Parameters of the function: floats, or integers where it works on integers.
  uint a;
  uint b;
};

float clamped(const float x, const float low, const float high) {
  return minimum(maximum(x, low), high);
}

// Numbers are UnaryFunction's in src/ops/unary.rs.
float on_float(const float x) {
  float p = uintBitsToFloat(a);
  float q = uintBitsToFloat(b);
  switch (FUNCTION) {
    case 0: return uintBitsToFloat(floatBitsToUint(x) & 0x7fffffffu);
    case 1: return uintBitsToFloat(floatBitsToUint(x) ^ 0x80000000u);
    case 2: return sin_shifted(x, 1);
    case 3: return sin_shifted(x, 0);
    case 4: return tan_exact(x);
    case 5: return exp_exact(x);
    case 6: return sqrt_exact(x);
    case 7: return rsqrt_exact(x);
    case 8: return tanh_exact(x);
    case 9: return sigmoid(x);
    case 10: return roundEven(x);
    case 11: return log10_exact(x);
    case 12: return log_exact(x);
    case 13: return log2_exact(x);
    case 14: return maximum(x, 0.0);
    case 15: return clamped(x, p, q);
    case 16: return gelu_exact(x);
    case 17: return gelu_tanh(x);
    case 18: return !is_nan(x) && !less(x, -p) && !less(p, x) ? 0.0 : x;
    case 19: return x * (clamped(x + 3.0, 0.0, 6.0) / 6.0);
    case 20: return clamped(x + 3.0, 0.0, 6.0) / 6.0;
    case 21: return less(0.0, x) ? x : x * p;
    case 22: return x * sigmoid(x);
    case 23: return ceil_exact(x);
    case 24: return floor_exact(x);
    case 25: return trunc(x);
    case 26: return float(~int(x));
    case 27: return is_zero(x) ? 1.0 : 0.0;
    case 28: return 1.0 / x;
    case 29: return erf_exact(x);
    case 30: return less(0.0, x) ? 1.0 : less(x, 0.0) ? -1.0 : 0.0;
    case 31: return x * x;
    case 32: return is_nan(x) ? 1.0 : 0.0;
    case 33: return is_inf(x) ? 1.0 : 0.0;
  }
  return x;
}

int on_int(const int x) {
  switch (FUNCTION) {
    case 0: return x < 0 ? 0 - x : x;
    case 1: return 0 - x;
    case 14: return max(x, 0);
    case 15: return min(max(x, int(a)), int(b));
    case 26: return NARROW == NARROW_BOOL ? 1 - x : ~x;
    case 27: return x == 0 ? 1 : 0;
    case 30: return sign(x);
    case 31: return x * x;
    case 32: return 0;
    case 33: return 0;
  }
  // Rounding leaves integers as they are.
  return x;
}

void main() {
  uint rest = line_index();
  if (rest >= count) {
    return;
  }
  int from = source_offset;
  int to = target_offset;
  for (int d = int(RANK) - 1; d > 0; --d) {
    uint at = rest % sizes[d];
    rest /= sizes[d];
    from += int(at) * source_strides[d];
    to += int(at) * target_strides[d];
  }
  from += int(rest) * source_strides[0];
  to += int(rest) * target_strides[0];
  if (SOURCE == I32 && TARGET == I32) {
    target_set_int(to, narrowed(on_int(source_int(from))));
  } else {
    target_set_float(to, on_float(source_float(from)));
  }
}
