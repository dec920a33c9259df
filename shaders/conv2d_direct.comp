#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF
#pragma bindings ConvOperands
// Convolution without columns, any geometry, also transposed. One invocation = 4 output channels
// at PIXELS positions of a row that see the same kernel positions: neighbours, or, transposed,
// every stride_w-th. Sums run in the order of K = (kh, kw, c), as in the GEMM.
#include "workgroup.glsl"
#include "storage.glsl"
#include "activation.glsl"
#include "conv_window.glsl"

// x: [n][h_in][w_in][x_pixel]; pad lanes may be NaN.
layout(std430, set = 0, binding = 0) readonly buffer X { STORAGE x[]; };
layout(std430, set = 0, binding = 0) readonly buffer X4 { STORAGE4 x4[]; };
// weight: [group][kh][kw][k_channels][group_out padded to 4].
layout(std430, set = 0, binding = 1) readonly buffer Weight { STORAGE weight[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { STORAGE4 weight4[]; };

layout(push_constant) uniform Push {
  uint count;
  uint c_out;
  uint strips;  // invocations per output row and quad of channels
  uint group_in;
  uint group_out;
  uint k_channels;
  uint weight_row;  // group_out padded
  uint x_pixel;
  ConvWindow window;
  EpilogueParameters parameters;
};

#include "conv_finish.glsl"

// How the inputs of four outputs are read.
#pragma enum Channels
// The four may lie in different groups.
const uint CHANNELS_MIXED = 0u;
// Of one group, one by one.
const uint CHANNELS_SINGLE = 1u;
// Of one group, aligned, four at once.
const uint CHANNELS_QUADS = 2u;

#pragma types CHANNELS: Channels; TRANSPOSED: bool
layout(constant_id = 8) const uint CHANNELS = 0;
layout(constant_id = 9) const uint TRANSPOSED = 0;

// Input position that output position `out_at` sees through kernel position `tap`; -1 for none.
int position(const int out_at, const int tap, const int stride, const int padding, const int dilation, const int size) {
  int at;
  if (TRANSPOSED != 0) {
    int far = out_at + padding - tap * dilation;
    at = far >= 0 && far % stride == 0 ? far / stride : -1;
  } else {
    at = out_at * stride - padding + tap * dilation;
  }
  return at >= 0 && at < size ? at : -1;
}

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint quads = (c_out + 3) / 4;
  uint quad = id % quads;
  uint strip = id / quads % strips;
  uint row = id / quads / strips;
  int oh = int(row % uint(window.h_out));
  uint image = row / uint(window.h_out);
  int step_w = TRANSPOSED != 0 ? window.stride_w : 1;
  int ow_first = int(strip) / step_w * (int(PIXELS) * step_w) + int(strip) % step_w;

  // Pad lanes compute the last channel once more.
  uvec4 channels = min(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_out - 1));
  uvec4 groups = channels / group_out;
  uvec4 base = groups * (uint(window.kernel_h * window.kernel_w) * k_channels * weight_row) + channels % group_out;

  vec4 sums[PIXELS];
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    sums[i] = vec4(0.0);
  }
  for (int kh = 0; kh < window.kernel_h; ++kh) {
    int h = position(oh, kh, window.stride_h, window.padding_h, window.dilation_h, window.h_in);
    if (h < 0) {
      continue;
    }
    for (int kw = 0; kw < window.kernel_w; ++kw) {
      uint tap = uint(kh * window.kernel_w + kw) * k_channels * weight_row;
      int starts[PIXELS];
      bool any_inside = false;
      [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
        int w = position(ow_first + int(i) * step_w, kw, window.stride_w, window.padding_w, window.dilation_w, window.w_in);
        any_inside = any_inside || w >= 0;
        starts[i] = w < 0 ? -1 : int(((image * uint(window.h_in) + uint(h)) * uint(window.w_in) + uint(w)) * x_pixel);
      }
      if (!any_inside) {
        continue;
      }
      if (CHANNELS == CHANNELS_QUADS) {
        uint first = groups.x * group_in;
        for (uint c = 0; c < group_in; c += 4) {
          bvec4 real = lessThan(uvec4(c) + uvec4(0, 1, 2, 3), uvec4(group_in));
          uint at = base.x + tap + c * weight_row;
          vec4 w0 = vec4(weight4[at >> 2]);
          vec4 w1 = vec4(weight4[(at + weight_row) >> 2]);
          vec4 w2 = vec4(weight4[(at + 2 * weight_row) >> 2]);
          vec4 w3 = vec4(weight4[(at + 3 * weight_row) >> 2]);
          [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
            if (starts[i] >= 0) {
              vec4 value = mix(vec4(0.0), vec4(x4[(uint(starts[i]) + first + c) >> 2]), real);
              sums[i] = fma(vec4(value.x), w0, sums[i]);
              sums[i] = fma(vec4(value.y), w1, sums[i]);
              sums[i] = fma(vec4(value.z), w2, sums[i]);
              sums[i] = fma(vec4(value.w), w3, sums[i]);
            }
          }
        }
      } else {
        for (uint c = 0; c < group_in; ++c) {
          uvec4 at = base + tap + c * weight_row;
          vec4 w0;
          if (CHANNELS == CHANNELS_SINGLE) {
            w0 = vec4(weight4[at.x >> 2]);
          } else {
            w0 = vec4(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
          }
          [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
            if (starts[i] >= 0) {
              uvec4 from = uvec4(uint(starts[i]) + c) + groups * group_in;
              vec4 value = vec4(x[from.x]);
              if (CHANNELS == CHANNELS_MIXED) {
                value = vec4(value.x, x[from.y], x[from.z], x[from.w]);
              }
              sums[i] = fma(value, w0, sums[i]);
            }
          }
        }
      }
    }
  }
  Finish finish = finish_of(quad * 4, c_out);
  uint at = (row * uint(window.w_out) + uint(ow_first)) * quads + quad;
  uint step = uint(step_w) * quads;
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    vec4 other = ow_first + int(i) * step_w < window.w_out ? residual_of(at + i * step) : vec4(0.0);
    sums[i] = finished(sums[i], finish, other);
  }
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    if (ow_first + int(i) * step_w < window.w_out) {
      y4[at + i * step] = STORAGE4(sums[i]);
    }
  }
}
