// The image that an implicit GEMM gathers its left operand from, and what the GEMM is told.
#include "activation.glsl"
#include "conv_window.glsl"

// How the channels of K lie.
#pragma enum Vectors
// Not in fours: each k looks its element up.
const uint VECTORS_NONE = 0u;
const uint VECTORS_WHOLE = 1u;
// The last of fours reaches into pad lanes, which may be NaN.
const uint VECTORS_PADDED = 2u;

#pragma types VECTORS: Vectors
layout(constant_id = 12) const uint VECTORS = 1;
// Divisors of that lookup; otherwise push constants serve, so that pipelines are shared.
layout(constant_id = 13) const uint K_CHANNELS = 4;
layout(constant_id = 14) const uint KERNEL_W = 1;

// x: [n][h_in][w_in][pixel_in], weight: [group][k][weight_row], both in elements here.
layout(std430, set = 0, binding = 0) readonly buffer X { STORAGE x[]; };
layout(std430, set = 0, binding = 0) readonly buffer X4 { STORAGE4 x4[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { STORAGE4 weight4[]; };

layout(push_constant) uniform Gather {
  uint pixel_first;
  uint pixel_end;
  uint columns;  // outputs per group
  uint k;
  uint k_part;  // steps of 4 * TILE_K4 per part
  uint group_in;
  uint pixel_in;
  uint pixel_out;
  uint groups;
  uint quads_k;  // of K per tap
  ConvWindow window;
  EpilogueParameters parameters;
};
