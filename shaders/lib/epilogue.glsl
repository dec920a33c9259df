// What follows a sum: activation, + residual, activation. The including kernel declares the
// specialization constants and push constants that appear here.
#include "activation.glsl"

// `residual` is not read, and 0, when RESIDUAL is 0; `slope` matters for PRELU only.
vec4 epilogue(const vec4 sum, const vec4 slope, const vec4 residual) {
  vec4 x = activate(ACTIVATION, sum, vec2(activation_p, activation_q), slope);
  if (RESIDUAL != 0) {
    x += residual;
  }
  return activate(LAST_ACTIVATION, x, vec2(last_p, last_q), vec4(0.0));
}
