#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// target[i] = f(source[i]) over windows of the same dims.
// One invocation = one element of a loop of RANK sizes.
#include "workgroup.glsl"
#include "element.glsl"
#include "math.glsl"
#include "activation.glsl"

// Functions of one element.
#pragma enum Function
const uint ABS = 0u;
const uint NEG = 1u;
const uint COS = 2u;
const uint SIN = 3u;
const uint TAN = 4u;
const uint EXP = 5u;
const uint SQRT = 6u;
const uint RSQRT = 7u;
const uint TANH = 8u;
const uint SIGMOID = 9u;
const uint ROUND = 10u;
const uint LOG10 = 11u;
const uint LOG = 12u;
const uint LOG2 = 13u;
const uint RELU = 14u;
const uint CLAMP = 15u;
const uint GELU = 16u;
const uint GELU_TANH = 17u;
const uint HARDSHRINK = 18u;
const uint HARDSWISH = 19u;
const uint HARDSIGMOID = 20u;
const uint LEAKY_RELU = 21u;
const uint SILU = 22u;
const uint CEIL = 23u;
const uint FLOOR = 24u;
const uint TRUNC = 25u;
const uint BITWISE_NOT = 26u;
const uint LOGICAL_NOT = 27u;
const uint RECIPROCAL = 28u;
const uint ERF = 29u;
const uint SIGN = 30u;
const uint SQUARE = 31u;
const uint IS_NAN = 32u;
const uint IS_INF = 33u;

#pragma types SOURCE: Element; TARGET: Element; FUNCTION: Function
layout(constant_id = 3) const uint RANK = 1;
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint NARROW = 0;
layout(constant_id = 7) const uint FUNCTION = 0;

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
  // Parameters of the function: floats, or integers where it works on integers.
  uint a;
  uint b;
};

float clamped(const float x, const float low, const float high) {
  return minimum(maximum(x, low), high);
}

float on_float(const float x) {
  float p = uintBitsToFloat(a);
  float q = uintBitsToFloat(b);
  switch (FUNCTION) {
    case ABS: return abs(x);
    case NEG: return -x;
    case COS: return sin_shifted(x, 1);
    case SIN: return sin_shifted(x, 0);
    case TAN: return tan_exact(x);
    case EXP: return exp_exact(x);
    case SQRT: return sqrt_exact(x);
    case RSQRT: return rsqrt_exact(x);
    case TANH: return tanh_exact(x);
    case SIGMOID: return sigmoid(x);
    case ROUND: return roundEven(x);
    case LOG10: return log10_exact(x);
    case LOG: return log_exact(x);
    case LOG2: return log2_exact(x);
    case RELU: return maximum(x, 0.0);
    case CLAMP: return clamped(x, p, q);
    case GELU: return gelu_exact(x);
    case GELU_TANH: return gelu_tanh(x);
    case HARDSHRINK: return !is_nan(x) && !less(x, -p) && !less(p, x) ? 0.0 : x;
    case HARDSWISH: return hardswish(x);
    case HARDSIGMOID: return hardsigmoid(x);
    case LEAKY_RELU: return less(0.0, x) ? x : x * p;
    case SILU: return silu(x);
    case CEIL: return ceil(x);
    case FLOOR: return floor(x);
    case TRUNC: return trunc(x);
    case BITWISE_NOT: return float(~int(x));
    case LOGICAL_NOT: return is_zero(x) ? 1.0 : 0.0;
    case RECIPROCAL: return 1.0 / x;
    case ERF: return erf_exact(x);
    case SIGN: return less(0.0, x) ? 1.0 : less(x, 0.0) ? -1.0 : 0.0;
    case SQUARE: return x * x;
    case IS_NAN: return is_nan(x) ? 1.0 : 0.0;
    case IS_INF: return is_inf(x) ? 1.0 : 0.0;
  }
  return x;
}

int on_int(const int x) {
  switch (FUNCTION) {
    case ABS: return x < 0 ? 0 - x : x;
    case NEG: return 0 - x;
    case RELU: return max(x, 0);
    case CLAMP: return min(max(x, int(a)), int(b));
    case BITWISE_NOT: return NARROW == NARROW_BOOL ? 1 - x : ~x;
    case LOGICAL_NOT: return x == 0 ? 1 : 0;
    case SIGN: return sign(x);
    case SQUARE: return x * x;
    case IS_NAN: return 0;
    case IS_INF: return 0;
  }
  // Rounding leaves integers as they are.
  return x;
}

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
  if (SOURCE == I32 && TARGET == I32) {
    target_set_int(to, narrowed(on_int(source_int(from))));
  } else {
    target_set_float(to, on_float(source_float(from)));
  }
}
