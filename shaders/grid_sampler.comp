#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Samples planes at the positions (x, y) of a grid, -1 to 1. One invocation = one element of the target.
#include "workgroup.glsl"
#include "element.glsl"
#include "float.glsl"
#include "planes.glsl"

layout(push_constant) uniform Push {
  Planes planes;
  int height_in;
  int width_in;
  Window grid;
};

#include "plane_elements.glsl"

#pragma types SOURCE: Element; TARGET: Element; GRID: Element; NEAREST: bool; PADDING: Padding; ALIGN_CORNERS: bool
layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
layout(constant_id = 6) const uint GRID = 0;
layout(constant_id = 7) const uint NEAREST = 0;
// What is read outside of a plane.
#pragma enum Padding
const uint ZEROS = 0u;
const uint BORDER = 1u;
const uint REFLECTION = 2u;
layout(constant_id = 8) const uint PADDING = 0;
layout(constant_id = 9) const uint ALIGN_CORNERS = 0;

INPUT(0, source, SOURCE)
INPUT(1, grid, GRID)
OUTPUT(2, target, TARGET)

// Mirrors x at low and high until it lies between.
float reflect_into(float x, const float low, const float high) {
  float span = high - low;
  if (span <= 0.0) {
    return 0.0;
  }
  x = abs(x - low);
  float turns = floor(x / span);
  float extra = x - turns * span;
  bool even = mod(turns, 2.0) == 0.0;
  return even ? extra + low : span - extra + low;
}

// Grid coordinate to source position.
float position(const float x, const int size) {
  bool corners = ALIGN_CORNERS == 1u;
  float last = float(size - 1);
  float at = corners ? (x + 1.0) * 0.5 * last : ((x + 1.0) * float(size) - 1.0) * 0.5;
  if (is_nan(at)) {
    // Outside; and with a padding that reads the border, the first element.
    return PADDING == ZEROS ? -2.0 : 0.0;
  }
  if (PADDING == REFLECTION) {
    at = corners ? reflect_into(at, 0.0, last) : reflect_into(at, -0.5, last + 0.5);
  }
  // Two beyond the border reads nothing, as does anything farther: the numbers stay small.
  return PADDING == ZEROS ? clamp(at, -2.0, last + 2.0) : clamp(at, 0.0, last);
}

float element(const int plane, const int y, const int x) {
  bool inside = y >= 0 && y < height_in && x >= 0 && x < width_in;
  return inside ? source_float(plane + y * planes.source.strides[2] + x * planes.source.strides[3]) : 0.0;
}

void main() {
  uint i = line_index();
  if (i >= planes.count) {
    return;
  }
  ivec4 at = plane_element(i);
  int plane = source_plane(at);
  int pair = grid.offset + at.x * grid.strides[0] + at.z * grid.strides[1] + at.w * grid.strides[2];
  float x = position(grid_float(pair), width_in);
  float y = position(grid_float(pair + grid.strides[3]), height_in);
  float result;
  if (NEAREST == 1u) {
    result = element(plane, int(roundEven(y)), int(roundEven(x)));
  } else {
    int x0 = int(floor(x));
    int y0 = int(floor(y));
    float u = x - float(x0);
    float v = y - float(y0);
    result = (1.0 - u) * (1.0 - v) * element(plane, y0, x0) + u * (1.0 - v) * element(plane, y0, x0 + 1) +
             (1.0 - u) * v * element(plane, y0 + 1, x0) + u * v * element(plane, y0 + 1, x0 + 1);
  }
  target_set_float(target_element(at), result);
}
