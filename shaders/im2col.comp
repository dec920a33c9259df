#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants f32: ; f16: HALF; texture2d_f32: TEXTURE2D; texture2d_f16: TEXTURE2D HALF; texture3d_f32: TEXTURE3D; texture3d_f16: TEXTURE3D HALF
// Columns of a tile of output pixels: columns[group][pixel][k], k = (kh, kw, c), rows padded to a
// multiple of 4. The tile starts at output row oh_offset and column ow_offset and is w_tile wide.
// One invocation = 4 neighbours in k; consecutive invocations write consecutive memory.
#include "workgroup.glsl"
#include "storage.glsl"
#include "columns.glsl"
#include "conv_window.glsl"

#pragma types VECTORS: bool
// 1: four neighbours in k are four channels of one kernel position, aligned in the input.
layout(constant_id = 3) const uint VECTORS = 1;

// x: [h_in][w_in][x_pixel], one image of a channels-packed tensor. Pad lanes may be NaN.
layout(std430, set = 0, binding = 0) readonly buffer X { STORAGE x[]; };
layout(std430, set = 0, binding = 0) readonly buffer X4 { STORAGE4 x4[]; };
#ifdef COLUMNS_IMAGE
layout(set = 0, binding = 1, COLUMNS_FORMAT) uniform writeonly COLUMNS_IMAGE columns;
#else
layout(std430, set = 0, binding = 1) writeonly buffer Columns { STORAGE4 columns[]; };
#endif

layout(push_constant) uniform Push {
  uint count;
  uint pixels;
  uint w_tile;
  int oh_offset;
  int ow_offset;
  uint row4;  // groups of 4 per row of columns
  uint taps;
  uint k_channels;  // of K per kernel position
  uint group_in;
  uint x_offset;
  uint x_pixel;
  ConvWindow window;
};

int oh, ow;

// First element of the pixel that kernel position `tap` sees; -1 outside of the image.
int pixel_of(const uint tap) {
  int h = oh * window.stride_h - window.padding_h + int(tap / uint(window.kernel_w)) * window.dilation_h;
  int w = ow * window.stride_w - window.padding_w + int(tap % uint(window.kernel_w)) * window.dilation_w;
  bool inside = h >= 0 && h < window.h_in && w >= 0 && w < window.w_in;
  return inside ? int(x_offset + uint(h * window.w_in + w) * x_pixel) : -1;
}

// Four neighbours in k, number `id` of all.
void store_columns(const uint id, const vec4 value) {
#ifdef COLUMNS_IMAGE
  uint pixel = id / row4 % pixels;
  uint group = id / row4 / pixels;
#ifdef TEXTURE2D
  uint group_rows = pixels;
#else
  uint group_rows = pixels / w_tile;
#endif
  COLUMNS_AT at = columns_row(group * group_rows, pixel, w_tile);
  at.x = int(id % row4);
  imageStore(columns, at, value);
#else
  columns[id] = STORAGE4(value);
#endif
}

float element_of(const uint k, const uint group) {
  uint tap = k / k_channels;
  uint channel = k % k_channels;
  if (tap >= taps || channel >= group_in) {
    return 0.0;
  }
  int pixel = pixel_of(tap);
  return pixel < 0 ? 0.0 : float(x[uint(pixel) + group * group_in + channel]);
}

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint k = id % row4 * 4;
  uint pixel = id / row4 % pixels;
  uint group = id / row4 / pixels;
  oh = oh_offset + int(pixel / w_tile);
  ow = ow_offset + int(pixel % w_tile);
  if (VECTORS != 0) {
    uint channel = k % k_channels;
    int at = pixel_of(k / k_channels);
    vec4 value = vec4(0.0);
    if (at >= 0) {
      value = vec4(x4[(uint(at) + group * group_in + channel) >> 2]);
      value = mix(vec4(0.0), value, lessThan(uvec4(channel) + uvec4(0, 1, 2, 3), uvec4(group_in)));
    }
    store_columns(id, value);
    return;
  }
  store_columns(id, vec4(element_of(k, group), element_of(k + 1, group),
                         element_of(k + 2, group), element_of(k + 3, group)));
}
