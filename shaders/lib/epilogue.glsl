// What follows a sum: activation, + residual, activation. The including kernel declares the
// specialization constants, and a push constant `parameters`.
#include "activation.glsl"

#pragma types BIAS: bool; ACTIVATION: Activation; RESIDUAL: bool; LAST_ACTIVATION: Activation
#pragma group EpilogueSteps: BIAS ACTIVATION RESIDUAL LAST_ACTIVATION

// `residual` is not read, and 0, when RESIDUAL is 0; `slope` matters for ACTIVATION_PRELU only.
vec4 epilogue(const vec4 sum, const vec4 slope, const vec4 residual) {
  vec4 x = activate(ACTIVATION, sum, vec2(parameters.activation_p, parameters.activation_q), slope);
  if (RESIDUAL != 0) {
    x += residual;
  }
  return activate(LAST_ACTIVATION, x, vec2(parameters.last_p, parameters.last_q), vec4(0.0));
}
