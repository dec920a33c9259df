#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants plain: ; half: HALF; int: INTEGER
// Reduces each row to one element. The `int` variant computes in integers.
#include "workgroup.glsl"
#include "element.glsl"
#include "float.glsl"
#include "rows.glsl"

layout(push_constant) uniform Push {
  Rows rows;
};

#include "row_elements.glsl"

#pragma types SOURCE: Element; TARGET: Element; KIND: Kind
layout(constant_id = 5) const uint SOURCE = 0;
layout(constant_id = 6) const uint TARGET = 0;
layout(constant_id = 7) const uint KIND = 0;

#pragma enum Kind
const uint SUM = 0u;
const uint MEAN = 1u;
const uint AMAX = 2u;
const uint AMIN = 3u;
const uint ARGMAX = 4u;
const uint ARGMIN = 5u;

INPUT(0, source, SOURCE)
OUTPUT(1, target, TARGET)

#ifdef INTEGER
#define VALUE int
#define LOAD source_int
#define STORE target_set_int
#define LOWEST int(0x80000000u)
#define HIGHEST 2147483647
bool is_nan(const int x) {
  return false;
}
bool equal(const int a, const int b) {
  return a == b;
}
bool less(const int a, const int b) {
  return a < b;
}
#else
#define VALUE float
#define LOAD source_float
#define STORE target_set_float
#define LOWEST -INF
#define HIGHEST INF
#endif

shared VALUE values[ROWS_LIMIT];
shared uint indices[ROWS_LIMIT];

VALUE best;
uint best_index;

// NaN wins; then the larger (or smaller) value; then the first.
void take(const VALUE x, const uint i) {
  if (KIND <= MEAN) {
    best += x;
    return;
  }
  bool better;
  if (is_nan(x) != is_nan(best)) {
    better = is_nan(x);
  } else if (is_nan(x) || equal(x, best)) {
    better = i < best_index;
  } else {
    better = KIND == AMAX || KIND == ARGMAX ? less(best, x) : less(x, best);
  }
  if (better) {
    best = x;
    best_index = i;
  }
}

void main() {
  uint row = line_index();
  bool live = row < rows.outer_count;
  ivec2 start = row_start(live ? row : 0u);
  best = KIND <= MEAN ? VALUE(0) : (KIND == AMAX || KIND == ARGMAX ? LOWEST : HIGHEST);
  best_index = 0xffffffffu;
  for (uint i = gl_LocalInvocationID.y; i < rows.inner_count; i += gl_WorkGroupSize.y) {
    take(LOAD(start.x + row_element(i).x), i);
  }
  values[row_slot()] = best;
  indices[row_slot()] = best_index;
  for (uint half_rows = gl_WorkGroupSize.y / 2u; half_rows > 0u; half_rows /= 2u) {
    barrier();
    if (gl_LocalInvocationID.y < half_rows) {
      uint other = row_slot() + half_rows * gl_WorkGroupSize.x;
      take(values[other], indices[other]);
      values[row_slot()] = best;
      indices[row_slot()] = best_index;
    }
  }
  if (!live || gl_LocalInvocationID.y != 0u) {
    return;
  }
  if (KIND >= ARGMAX) {
    target_set_int(start.y, int(best_index));
  } else if (KIND == MEAN) {
    // The mean of nothing is NaN.
    STORE(start.y, rows.inner_count == 0u ? VALUE(NAN) : best / VALUE(rows.inner_count));
  } else {
    STORE(start.y, best);
  }
}
