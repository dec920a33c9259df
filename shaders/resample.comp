#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Nearest and bilinear resampling of planes. One invocation = one element of the target, whose rows
// are those of the whole target from first_row on; the source begins at its row source_row.
#include "workgroup.glsl"
#include "element.glsl"
#define PLANES_EXTRA int height_in; int width_in; float scale_y; float scale_x; int first_row; int source_row;
#include "planes.glsl"

layout(constant_id = 4) const uint SOURCE = 0;
layout(constant_id = 5) const uint TARGET = 0;
const uint NEAREST = 0u;
const uint BILINEAR = 1u;
const uint BILINEAR_CORNERS = 2u;
layout(constant_id = 6) const uint KIND = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)

// Source position of target position i.
float position(const int i, const float scale) {
  if (KIND == BILINEAR) {
    return max(scale * (float(i) + 0.5) - 0.5, 0.0);
  }
  return scale * float(i);
}

float element(const int plane, const int y, const int x) {
  return source_float(plane + (y - source_row) * source_strides[2] + x * source_strides[3]);
}

void main() {
  uint i = line_index();
  if (i >= count) {
    return;
  }
  ivec4 at = plane_element(i);
  int plane = source_plane(at);
  float y = position(at.z + first_row, scale_y);
  float x = position(at.w, scale_x);
  int y0 = min(int(floor(y)), height_in - 1);
  int x0 = min(int(floor(x)), width_in - 1);
  if (KIND == NEAREST) {
    target_set_float(target_element(at), element(plane, y0, x0));
    return;
  }
  int y1 = min(y0 + 1, height_in - 1);
  int x1 = min(x0 + 1, width_in - 1);
  float v = clamp(y - float(y0), 0.0, 1.0);
  float u = clamp(x - float(x0), 0.0, 1.0);
  float top = (1.0 - u) * element(plane, y0, x0) + u * element(plane, y0, x1);
  float bottom = (1.0 - u) * element(plane, y1, x0) + u * element(plane, y1, x1);
  target_set_float(target_element(at), (1.0 - v) * top + v * bottom);
}
