#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Convolution of integers that stand for scale * (integer - zero point); exact 32-bit sums, and one
// rounding to the result's integers. Positions outside of the plane stand for 0.
// One invocation = one element of the target.
#include "workgroup.glsl"
#include "element.glsl"
#include "planes.glsl"

layout(push_constant) uniform Push {
  Planes planes;
  int height_in;
  int width_in;
  int stride_y;
  int stride_x;
  int padding_y;
  int padding_x;
  int dilation_y;
  int dilation_x;
  int channel_step;
  int tap_step;
  int group_in;
  int group_out;
  int zero_in;
  int zero_out;
  float scale_in;
  float inverse_scale_out;
};

#include "plane_elements.glsl"

#pragma types SCALES: Element; BIAS: Element; TRANSPOSED: bool; HAS_BIAS: bool; RELU: bool
layout(constant_id = 4) const uint SCALES = 0;
layout(constant_id = 5) const uint BIAS = 0;
layout(constant_id = 6) const int KERNEL_Y = 1;
layout(constant_id = 7) const int KERNEL_X = 1;
layout(constant_id = 8) const uint TRANSPOSED = 0;
layout(constant_id = 9) const uint HAS_BIAS = 0;
layout(constant_id = 10) const uint RELU = 0;

INPUT(0, source, I32)
INPUT(1, weight, I32)
INPUT(2, scales, SCALES)
INPUT(3, bias, BIAS)
OUTPUT(4, target, I32)

// Where tap k of the result's position reads along one axis; negative: nowhere.
int position(const int at, const int k, const int stride, const int padding, const int dilation) {
  if (TRANSPOSED == 0u) {
    return at * stride - padding + k * dilation;
  }
  int from = at + padding - k * dilation;
  return from >= 0 && from % stride == 0 ? from / stride : -1;
}

void main() {
  uint i = line_index();
  if (i >= planes.count) {
    return;
  }
  ivec4 at = plane_element(i);
  int first = planes.source.offset + at.x * planes.source.strides[0] + at.y / group_out * group_in * planes.source.strides[1];
  int sum = 0;
  for (int ky = 0; ky < KERNEL_Y; ++ky) {
    int y = position(at.z, ky, stride_y, padding_y, dilation_y);
    if (y < 0 || y >= height_in) {
      continue;
    }
    for (int kx = 0; kx < KERNEL_X; ++kx) {
      int x = position(at.w, kx, stride_x, padding_x, dilation_x);
      if (x < 0 || x >= width_in) {
        continue;
      }
      int from = first + y * planes.source.strides[2] + x * planes.source.strides[3];
      int w = at.y * channel_step + (ky * KERNEL_X + kx) * tap_step;
      for (int c = 0; c < group_in; ++c) {
        sum += (source_int(from) - zero_in) * weight_int(w + c);
        from += planes.source.strides[1];
      }
    }
  }
  precise float value = float(sum) * (scale_in * scales_float(at.y));
  if (HAS_BIAS == 1u) {
    value = value + bias_float(at.y);
  }
  if (RELU == 1u) {
    value = max(value, 0.0);
  }
  float steps = roundEven(value * inverse_scale_out) + float(zero_out);
  target_set_int(target_element(at), int(clamp(steps, -128.0, 127.0)));
}
