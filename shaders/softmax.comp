#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Softmax of each row, or its logarithm. A row that is all -inf gives NaN, as in PyTorch.
#include "workgroup.glsl"
#include "element.glsl"
#include "math.glsl"
#include "rows.glsl"

layout(push_constant) uniform Push {
  Rows rows;
};

#include "row_elements.glsl"

#pragma types SOURCE: Element; TARGET: Element; LOGARITHM: bool
layout(constant_id = 5) const uint SOURCE = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint LOGARITHM = 0;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)

shared float partial[ROWS_LIMIT];

// Largest value (step 0) or sum (step 1) over the invocations of a row; all of them get it.
float across(float x, const uint step) {
  partial[row_slot()] = x;
  for (uint half_rows = gl_WorkGroupSize.y / 2u; half_rows > 0u; half_rows /= 2u) {
    barrier();
    if (gl_LocalInvocationID.y < half_rows) {
      float other = partial[row_slot() + half_rows * gl_WorkGroupSize.x];
      x = step == 0u ? maximum(x, other) : x + other;
      partial[row_slot()] = x;
    }
  }
  barrier();
  float result = partial[gl_LocalInvocationID.x];
  barrier();
  return result;
}

void main() {
  uint row = line_index();
  bool live = row < rows.outer_count;
  ivec2 start = row_start(live ? row : 0u);
  uint first = gl_LocalInvocationID.y;
  float largest = -INF;
  for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    largest = maximum(largest, source_float(start.x + row_element(i).x));
  }
  largest = across(largest, 0u);
  float total = 0.0;
  for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    float x = source_float(start.x + row_element(i).x) - largest;
    total += exp_exact(x);
  }
  total = across(total, 1u);
  float offset = LOGARITHM == 1u ? log_exact(total) : 0.0;
  float scale = 1.0 / total;
  if (!live) {
    return;
  }
  for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    ivec2 at = start + row_element(i);
    float x = source_float(at.x) - largest;
    float y = LOGARITHM == 1u ? x - offset : exp_exact(x) * scale;
    target_set_float(at.y, is_nan(total) ? NAN : y);
  }
}
