#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF
// Normalises each row by its mean and variance (or by its mean square), then scales and shifts it.
// Weight and bias are dense; element i of row r uses number (r % groups) * group_size + i / span.
#include "workgroup.glsl"
#include "element.glsl"
#define ROWS_EXTRA uint groups; uint group_size; uint span; float epsilon;
#include "rows.glsl"

layout(constant_id = 5) const uint SOURCE = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint WEIGHT = 0;
layout(constant_id = 8) const uint BIAS = 0;
layout(constant_id = 9) const uint STATISTICS = 0;
// Bits: 1 weight, 2 bias, 4 statistics. A buffer without its bit is not touched.
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
  bool live = row < outer_count;
  ivec2 start = row_start(live ? row : 0u);
  uint first = gl_LocalInvocationID.y;
  float mean = 0.0;
  if (ROOT_MEAN_SQUARE == 0u) {
    float sum = 0.0;
    for (uint i = first; i < inner_count; i += gl_WorkGroupSize.y) {
      sum += source_float(start.x + row_element(i).x);
    }
    mean = across(sum) / float(inner_count);
  }
  float squares = 0.0;
  for (uint i = first; i < inner_count; i += gl_WorkGroupSize.y) {
    float x = source_float(start.x + row_element(i).x) - mean;
    squares += x * x;
  }
  float rstd = inversesqrt(across(squares) / float(inner_count) + epsilon);
  if (!live) {
    return;
  }
  if (first == 0u && (HAS & 4u) != 0u) {
    statistics_set_float(int(row), mean);
    statistics_set_float(int(outer_count + row), rstd);
  }
  int base = int((row % groups) * group_size);
  for (uint i = first; i < inner_count; i += gl_WorkGroupSize.y) {
    ivec2 at = start + row_element(i);
    int parameter = base + int(i / span);
    float y = (source_float(at.x) - mean) * rstd;
    if ((HAS & 1u) != 0u) {
      y *= weight_float(parameter);
    }
    if ((HAS & 2u) != 0u) {
      y += bias_float(parameter);
    }
    target_set_float(at.y, y);
  }
}
