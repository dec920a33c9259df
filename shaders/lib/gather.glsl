// The image that an implicit GEMM gathers its left operand from, and what the GEMM is told.
// 0: channels of K are not in fours, each k looks its element up. 1: in fours. 2: in fours, the
// last of which reaches into pad lanes, which may be NaN.
layout(constant_id = 12) const uint VECTORS = 1;
// Divisors of that lookup; otherwise push constants serve, so that pipelines are shared.
layout(constant_id = 13) const uint K_CHANNELS = 4;
layout(constant_id = 14) const uint KERNEL_W = 1;

// x: [n][h_in][w_in][pixel_in], weight: [group][k][weight_row], both in elements here.
layout(std430, set = 0, binding = 0) readonly buffer X { STORAGE x[]; };
layout(std430, set = 0, binding = 0) readonly buffer X4 { STORAGE4 x4[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { STORAGE4 weight4[]; };

layout(push_constant) uniform Push {
  uint pixel_first;
  uint pixel_end;
  uint columns;  // outputs per group
  uint k;
  uint k_part;  // steps of 4 * TILE_K4 per part
  uint group_in;
  uint pixel_in;
  uint pixel_out;
  uint groups;
  int h_in;
  int w_in;
  uint h_out;
  uint w_out;
  int kernel_h;
  int kernel_w;
  uint quads_k;  // of K per tap
  int stride_h;
  int stride_w;
  int padding_h;
  int padding_w;
  int dilation_h;
  int dilation_w;
  float activation_p;
  float activation_q;
  float last_p;
  float last_q;
};
