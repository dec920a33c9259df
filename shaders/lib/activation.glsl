// Activations as kernels apply them to a result before they store it. NaN goes through, as in
// PyTorch: min and max of GLSL may drop it, so it is told apart by its bits.
const uint NO_ACTIVATION = 0u;
const uint CLAMP = 1u;
const uint SILU = 2u;
const uint SIGMOID = 3u;
const uint HARDSWISH = 4u;
const uint HARDSIGMOID = 5u;
const uint TANH = 6u;
const uint LEAKY_RELU = 7u;
const uint PRELU = 8u;

vec4 clamp_or_nan(vec4 x, float low, float high) {
  bvec4 nan = greaterThan(floatBitsToUint(x) & 0x7fffffffu, uvec4(0x7f800000u));
  return mix(min(max(x, vec4(low)), vec4(high)), x, nan);
}

vec4 sigmoid(vec4 x) {
  return 1.0 / (1.0 + exp(-x));
}

// `p` holds the bounds of CLAMP or the slope of LEAKY_RELU, `slope` those of PRELU.
vec4 activate(uint kind, vec4 x, vec2 p, vec4 slope) {
  if (kind == CLAMP) {
    return clamp_or_nan(x, p.x, p.y);
  }
  if (kind == SILU) {
    return x * sigmoid(x);
  }
  if (kind == SIGMOID) {
    return sigmoid(x);
  }
  if (kind == HARDSWISH) {
    return x * clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0;
  }
  if (kind == HARDSIGMOID) {
    return clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0;
  }
  if (kind == TANH) {
    // Beyond 15 it is 1 in 32 bits; exp of large arguments overflows on some devices.
    return tanh(clamp_or_nan(x, -15.0, 15.0));
  }
  if (kind == LEAKY_RELU) {
    return mix(x * p.x, x, greaterThan(x, vec4(0.0)));
  }
  if (kind == PRELU) {
    return mix(x * slope, x, greaterThan(x, vec4(0.0)));
  }
  return x;
}
