#ifndef ACTIVATION_GLSL
#define ACTIVATION_GLSL
// Activations as kernels apply them to a sum before they store it: the functions of unary.comp, so
// that a fused activation gives what the operator alone gives.
#include "math.glsl"

// What is done to a sum, by one of the two activations of an epilogue.
#pragma enum Activation
// For sums that another kernel finishes.
const uint ACTIVATION_NONE = 0u;
const uint ACTIVATION_CLAMP = 1u;
const uint ACTIVATION_SILU = 2u;
const uint ACTIVATION_SIGMOID = 3u;
const uint ACTIVATION_HARDSWISH = 4u;
const uint ACTIVATION_HARDSIGMOID = 5u;
const uint ACTIVATION_TANH = 6u;
const uint ACTIVATION_LEAKY_RELU = 7u;
const uint ACTIVATION_PRELU = 8u;

// `p` and `q` of both activations of an epilogue.
struct EpilogueParameters {
  float activation_p;
  float activation_q;
  float last_p;
  float last_q;
};

float clamp_or_nan(const float x, const float low, const float high) {
  return is_nan(x) ? x : min(max(x, low), high);
}

// `p` holds the bounds of ACTIVATION_CLAMP or the slope of ACTIVATION_LEAKY_RELU, `slope` that of ACTIVATION_PRELU.
float activate_one(const uint kind, const float x, const vec2 p, const float slope) {
  switch (kind) {
    case ACTIVATION_CLAMP: return clamp_or_nan(x, p.x, p.y);
    case ACTIVATION_SILU: return x * sigmoid(x);
    case ACTIVATION_SIGMOID: return sigmoid(x);
    case ACTIVATION_HARDSWISH: return x * (clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0);
    case ACTIVATION_HARDSIGMOID: return clamp_or_nan(x + 3.0, 0.0, 6.0) / 6.0;
    case ACTIVATION_TANH: return tanh_exact(x);
    case ACTIVATION_LEAKY_RELU: return x > 0.0 ? x : x * p.x;
    case ACTIVATION_PRELU: return x > 0.0 ? x : x * slope;
  }
  return x;
}

vec4 activate(const uint kind, const vec4 x, const vec2 p, const vec4 slope) {
  return vec4(activate_one(kind, x.x, p, slope.x), activate_one(kind, x.y, p, slope.y),
              activate_one(kind, x.z, p, slope.z), activate_one(kind, x.w, p, slope.w));
}
#endif
