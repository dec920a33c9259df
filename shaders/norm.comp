#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Normalises each row by its mean and variance (or by its mean square), then scales and shifts it.
// Weight and bias are dense; element i of row r uses number (r % groups) * group_size + i / span.
#include "workgroup.glsl"
#include "element.glsl"
#include "rows.glsl"

layout(push_constant) uniform Push {
  Rows rows;
  uint groups;
  uint group_size;
  uint span;
  float epsilon;
};

#include "row_elements.glsl"

#pragma types SOURCE: Element; TARGET: Element; WEIGHT: Element; BIAS: Element; STATISTICS: Element; ROOT_MEAN_SQUARE: bool
layout(constant_id = 5) const uint SOURCE = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint WEIGHT = 0;
layout(constant_id = 8) const uint BIAS = 0;
layout(constant_id = 9) const uint STATISTICS = 0;
// Bits of HAS; a buffer without its bit is not touched.
const uint HAS_WEIGHT = 1u;
const uint HAS_BIAS = 2u;
const uint HAS_STATISTICS = 4u;
layout(constant_id = 10) const uint HAS = 0;
// 0: mean and variance. 1: mean square.
layout(constant_id = 11) const uint ROOT_MEAN_SQUARE = 0;

INPUT(0, source, SOURCE)
INPUT(1, weight, WEIGHT)
INPUT(2, bias, BIAS)
OUTPUT(3, target, TARGET)
// Means of all rows, then reciprocal deviations of all rows.
OUTPUT(4, statistics, STATISTICS)

shared float partial[ROWS_LIMIT];

// Sum over the invocations of a row; all of them get it.
float across(float x) {
  partial[row_slot()] = x;
  for (uint half_rows = gl_WorkGroupSize.y / 2u; half_rows > 0u; half_rows /= 2u) {
    barrier();
    if (gl_LocalInvocationID.y < half_rows) {
      x += partial[row_slot() + half_rows * gl_WorkGroupSize.x];
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
  float mean = 0.0;
  if (ROOT_MEAN_SQUARE == 0u) {
    float sum = 0.0;
    for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
      sum += source_float(start.x + row_element(i).x);
    }
    mean = across(sum) / float(rows.inner_count);
  }
  float squares = 0.0;
  for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    float x = source_float(start.x + row_element(i).x) - mean;
    squares += x * x;
  }
  float rstd = inversesqrt(across(squares) / float(rows.inner_count) + epsilon);
  if (!live) {
    return;
  }
  if (first == 0u && (HAS & HAS_STATISTICS) != 0u) {
    statistics_set_float(int(row), mean);
    statistics_set_float(int(rows.outer_count + row), rstd);
  }
  int base = int((row % groups) * group_size);
  for (uint i = first; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    ivec2 at = start + row_element(i);
    int parameter = base + int(i / span);
    float y = (source_float(at.x) - mean) * rstd;
    if ((HAS & HAS_WEIGHT) != 0u) {
      y *= weight_float(parameter);
    }
    if ((HAS & HAS_BIAS) != 0u) {
      y += bias_float(parameter);
    }
    target_set_float(at.y, y);
  }
}
