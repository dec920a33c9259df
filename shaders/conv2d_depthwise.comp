#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF
#pragma bindings ConvOperands
// Depthwise convolution: output channel c sees input channel c. One invocation = 4 channels at
// PIXELS neighbouring positions of a row. Pad lanes stay among themselves.
#include "workgroup.glsl"
#include "storage.glsl"
#include "activation.glsl"
#include "conv_window.glsl"

// x: [n][h_in][w_in][c / 4]; weight: [kh][kw][c / 4].
layout(std430, set = 0, binding = 0) readonly buffer X4 { STORAGE4 x4[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { STORAGE4 weight4[]; };

layout(push_constant) uniform Push {
  uint count;
  uint channels_out;
  uint strips;  // invocations per output row and quad of channels
  ConvWindow window;
  EpilogueParameters parameters;
};

#include "conv_finish.glsl"

// Sizes of the kernel and its step along a row, for those that are worth a pipeline of their own:
// then each element of the image is read once per row of the kernel, and all reads of a row are
// under way together. 0: any kernel. Dilation is then 1.
layout(constant_id = 8) const uint KERNEL_W = 0;
layout(constant_id = 9) const uint KERNEL_H = 1;
layout(constant_id = 10) const uint STRIDE_W = 1;
const uint SEGMENT = (PIXELS - 1) * STRIDE_W + KERNEL_W;

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint quads = (channels_out + 3) / 4;
  uint quad = id % quads;
  int ow_first = int(id / quads % strips * PIXELS);
  uint row = id / quads / strips;
  int h_first = int(row % uint(window.h_out)) * window.stride_h - window.padding_h;
  uint image_row = row / uint(window.h_out) * uint(window.h_in);

  vec4 sums[PIXELS];
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    sums[i] = vec4(0.0);
  }
  if (KERNEL_W != 0) {
    int w_first = ow_first * int(STRIDE_W) - window.padding_w;
    [[unroll]] for (uint kh = 0; kh < KERNEL_H; ++kh) {
      int h = h_first + int(kh);
      bool row_inside = h >= 0 && h < window.h_in;
      uint line = (image_row + uint(h)) * uint(window.w_in);
      vec4 segment[SEGMENT + 1];  // never empty
      [[unroll]] for (uint i = 0; i < SEGMENT; ++i) {
        int w = w_first + int(i);
        segment[i] = vec4(0.0);
        if (row_inside && w >= 0 && w < window.w_in) {
          segment[i] = vec4(x4[(line + uint(w)) * quads + quad]);
        }
      }
      [[unroll]] for (uint kw = 0; kw < KERNEL_W; ++kw) {
        vec4 tap = vec4(weight4[(kh * KERNEL_W + kw) * quads + quad]);
        [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
          sums[i] = fma(segment[i * STRIDE_W + kw], tap, sums[i]);
        }
      }
    }
  }
  for (int kh = 0; KERNEL_W == 0 && kh < window.kernel_h; ++kh) {
    int h = h_first + kh * window.dilation_h;
    if (h < 0 || h >= window.h_in) {
      continue;
    }
    uint line = (image_row + uint(h)) * uint(window.w_in);
    for (int kw = 0; kw < window.kernel_w; ++kw) {
      vec4 tap = vec4(weight4[uint(kh * window.kernel_w + kw) * quads + quad]);
      int w = ow_first * window.stride_w - window.padding_w + kw * window.dilation_w;
      [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
        if (w >= 0 && w < window.w_in) {
          sums[i] = fma(vec4(x4[(line + uint(w)) * quads + quad]), tap, sums[i]);
        }
        w += window.stride_w;
      }
    }
  }
  Finish finish = finish_of(quad * 4, channels_out);
  uint at = (row * uint(window.w_out) + uint(ow_first)) * quads + quad;
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    vec4 other = ow_first + int(i) < window.w_out ? residual_of(at + i * quads) : vec4(0.0);
    sums[i] = finished(sums[i], finish, other);
  }
  [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
    if (ow_first + int(i) < window.w_out) {
      y4[at + i * quads] = STORAGE4(sums[i]);
    }
  }
}
