#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Pooling: the largest element of a window (and where it is in its plane), or the mean.
// One invocation = one element of the target.
#include "workgroup.glsl"
#include "element.glsl"
#include "float.glsl"
#define PLANES_EXTRA                                                                         \
  int height_in; int width_in; int stride_y; int stride_x; int padding_y; int padding_x; int end_padding_y; int end_padding_x;     \
  int dilation_y; int dilation_x; int divisor; int indices_offset; int indices_strides[4];
#include "planes.glsl"

layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const int KERNEL_Y = 1;
layout(constant_id = 7) const int KERNEL_X = 1;
const uint MAX = 0u;
const uint MAX_WITH_INDICES = 1u;
// The divisor is the push constant, or the window within the padded plane, or within the plane.
const uint MEAN_GIVEN = 2u;
const uint MEAN_PADDED = 3u;
const uint MEAN_INSIDE = 4u;
layout(constant_id = 8) const uint KIND = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)
OUTPUT(2, indices, I32)

void main() {
  uint i = line_index();
  if (i >= count) {
    return;
  }
  ivec4 at = plane_element(i);
  int plane = source_plane(at);
  int y0 = at.z * stride_y - padding_y;
  int x0 = at.w * stride_x - padding_x;
  if (KIND <= MAX_WITH_INDICES) {
    int y1 = min(y0 + (KERNEL_Y - 1) * dilation_y + 1, height_in);
    int x1 = min(x0 + (KERNEL_X - 1) * dilation_x + 1, width_in);
    // The first position inside.
    y0 = y0 < 0 ? y0 + (-y0 + dilation_y - 1) / dilation_y * dilation_y : y0;
    x0 = x0 < 0 ? x0 + (-x0 + dilation_x - 1) / dilation_x * dilation_x : x0;
    float best = -INF;
    int best_index = y0 * width_in + x0;
    for (int y = y0; y < y1; y += dilation_y) {
      for (int x = x0; x < x1; x += dilation_x) {
        float value = source_float(plane + y * source_strides[2] + x * source_strides[3]);
        // NaN wins and stays.
        if (is_nan(value) || less(best, value)) {
          best = value;
          best_index = y * width_in + x;
        }
      }
    }
    target_set_float(target_element(at), best);
    if (KIND == MAX_WITH_INDICES) {
      indices_set_int(indices_offset + at.x * indices_strides[0] + at.y * indices_strides[1] +
                          at.z * indices_strides[2] + at.w * indices_strides[3],
                      best_index);
    }
    return;
  }
  int y1 = min(y0 + KERNEL_Y, height_in + end_padding_y);
  int x1 = min(x0 + KERNEL_X, width_in + end_padding_x);
  int area = (y1 - y0) * (x1 - x0);
  y0 = max(y0, 0);
  x0 = max(x0, 0);
  y1 = min(y1, height_in);
  x1 = min(x1, width_in);
  if (KIND == MEAN_INSIDE) {
    area = (y1 - y0) * (x1 - x0);
  } else if (KIND == MEAN_GIVEN) {
    area = divisor;
  }
  float sum = 0.0;
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      sum += source_float(plane + y * source_strides[2] + x * source_strides[3]);
    }
  }
  // No window lies in the padding alone: that is at most half of the kernel.
  target_set_float(target_element(at), sum / float(area));
}
