// Activations as kernels apply them to a sum before they store it: the functions of unary.comp, so
// that a fused activation gives what the operator alone gives.
#include "math.glsl"

const uint CLAMP = 1u;
const uint SILU = 2u;
const uint SIGMOID = 3u;
const uint HARDSWISH = 4u;
const uint HARDSIGMOID = 5u;
const uint TANH = 6u;
const uint LEAKY_RELU = 7u;
const uint PRELU = 8u;

float clamp_or_nan(const float x, const float low, const float high) {
  return is_nan(x) ? x : min(max(x, low), high);
}

// `p` holds the bounds of CLAMP or the slope of LEAKY_RELU, `slope` that of PRELU.
float activate_one(const uint kind, const float x, const vec2 p, const float slope) {
  switch (kind) {
    case CLAMP: return clamp_or_nan(x, p.x, p.y);
    case SILU: return x * sigmoid(x);
    case SIGMOID: return sigmoid(x);
    case HARDSWISH: return x * (clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0);
    case HARDSIGMOID: return clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0;
    case TANH: return tanh_exact(x);
    case LEAKY_RELU: return x > 0.0 ? x : x * p.x;
    case PRELU: return x > 0.0 ? x : x * slope;
  }
  return x;
}

vec4 activate(const uint kind, const vec4 x, const vec2 p, const vec4 slope) {
  return vec4(activate_one(kind, x.x, p, slope.x), activate_one(kind, x.y, p, slope.y),
              activate_one(kind, x.z, p, slope.z), activate_one(kind, x.w, p, slope.w));
}
