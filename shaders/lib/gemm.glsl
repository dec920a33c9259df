// C[m, n] = epilogue(alpha * A[m, k] * B[k, n] + beta * bias[m, n]), once per workgroup in z.
// Each output sums over k in ascending order with one fma per step, whatever the kernel, tile or
// device, gemm_sliced.comp excepted: results do not depend on how the rows were cut.
#include "workgroup.glsl"
#include "storage.glsl"
#include "columns.glsl"
#include "activation.glsl"

#pragma types A_VECTORS: bool; C_VECTORS: bool
// 1: rows of A start at multiples of 4 elements, so that 4 are read at once.
layout(constant_id = 3) const uint A_VECTORS = 1;
// 1: rows of C start at multiples of 4 elements, and columns n.. up to the next multiple are free.
layout(constant_id = 4) const uint C_VECTORS = 1;
layout(constant_id = 5) const uint BIAS = 0;
layout(constant_id = 6) const uint ACTIVATION = 0;
layout(constant_id = 7) const uint RESIDUAL = 0;
layout(constant_id = 8) const uint LAST_ACTIVATION = 0;

// a: [m, k] with row stride a_row, or the columns of im2col as an image; b: [k, b_row >= n padded to 4]; c: [m, n] with row stride c_row.
#ifdef COLUMNS_IMAGE
layout(set = 0, binding = 0, COLUMNS_FORMAT) uniform readonly COLUMNS_IMAGE a_image;
#else
layout(std430, set = 0, binding = 0) readonly buffer A { STORAGE a[]; };
layout(std430, set = 0, binding = 0) readonly buffer A4 { STORAGE4 a4[]; };
#endif
layout(std430, set = 0, binding = 1) readonly buffer B4 { STORAGE4 b4[]; };
layout(std430, set = 0, binding = 2) writeonly buffer C { STORAGE c[]; };
layout(std430, set = 0, binding = 2) writeonly buffer C4 { STORAGE4 c4[]; };
// bias: any strides over [m, n]; slope: one per column; residual: where C is.
layout(std430, set = 0, binding = 3) readonly buffer Bias { float bias[]; };
layout(std430, set = 0, binding = 4) readonly buffer Slope { float slope[]; };
layout(std430, set = 0, binding = 5) readonly buffer Residual { STORAGE residual[]; };

layout(push_constant) uniform Gemm {
  uint m;
  uint n;
  uint k;
  uint a_offset;
  uint a_row;
  uint a_z;
  uint b_offset;
  uint b_row;
  uint b_z;
  uint c_offset;
  uint c_row;
  uint c_z;
  int bias_offset;
  int bias_row;
  int bias_column;
  int bias_z;
  float alpha;
  float beta;
  EpilogueParameters parameters;
};

#include "epilogue.glsl"

#ifdef COLUMNS_IMAGE
#define A_ROW COLUMNS_AT

// Start of row `row` of A. Offsets and distances of A count rows of columns along the last axis.
A_ROW a_start(const uint row) {
  return columns_row(a_offset + gl_WorkGroupID.z * a_z, row, a_row);
}

// Elements at, ..., at + 3 of a row of A, all of them inside the row; `at` is a multiple of 4.
vec4 load_a(A_ROW start, const uint at) {
  start.x = int(at >> 2);
  return imageLoad(a_image, start);
}

float load_a_single(const A_ROW start, const uint at) {
  return load_a(start, at)[at & 3u];
}

// The last `count` < 4 elements of a row of A, then zeros: as im2col has padded it.
vec4 load_a_tail(const A_ROW start, const uint at, const uint count) {
  return load_a(start, at);
}
#else
#define A_ROW uint

// First element of row `row` of A.
A_ROW a_start(const uint row) {
  return a_offset + gl_WorkGroupID.z * a_z + row * a_row;
}

// Elements at, ..., at + 3 of a row of A, all of them inside the row.
vec4 load_a(const A_ROW start, uint at) {
  at += start;
  if (A_VECTORS != 0) {
    return vec4(a4[at >> 2]);
  }
  return vec4(a[at], a[at + 1], a[at + 2], a[at + 3]);
}

float load_a_single(const A_ROW start, const uint at) {
  return float(a[start + at]);
}

// The last `count` < 4 elements of a row of A, then zeros: what lies behind a row may be NaN.
vec4 load_a_tail(const A_ROW start, uint at, const uint count) {
  at += start;
  vec4 x = vec4(0.0);
  x.x = float(a[at]);
  if (count > 1) {
    x.y = float(a[at + 1]);
  }
  if (count > 2) {
    x.z = float(a[at + 2]);
  }
  return x;
}
#endif

// Columns 4 * column4.. of row `row` of B.
vec4 load_b(const uint row, const uint column4) {
  return vec4(b4[((b_offset + gl_WorkGroupID.z * b_z + row * b_row) >> 2) + column4]);
}

void store_c(const uint row, const uint column, const vec4 sum) {
  uint z = gl_WorkGroupID.z;
  // Columns beyond n read the last one: they are not stored, or land in pad lanes.
  uvec4 columns = min(uvec4(column) + uvec4(0, 1, 2, 3), uvec4(n - 1));
  uint start = c_offset + z * c_z + row * c_row;
  vec4 x = sum * alpha;
  if (BIAS != 0) {
    ivec4 at = ivec4(bias_offset + int(z) * bias_z + int(row) * bias_row) + ivec4(columns) * bias_column;
    x = fma(vec4(beta), vec4(bias[at.x], bias[at.y], bias[at.z], bias[at.w]), x);
  }
  vec4 slopes = vec4(0.0);
  if (ACTIVATION == ACTIVATION_PRELU) {
    uvec4 at = columns + z * n;
    slopes = vec4(slope[at.x], slope[at.y], slope[at.z], slope[at.w]);
  }
  vec4 other = vec4(0.0);
  if (RESIDUAL != 0) {
    uvec4 at = columns + start;
    other = vec4(residual[at.x], residual[at.y], residual[at.z], residual[at.w]);
  }
  x = epilogue(x, slopes, other);
  if (C_VECTORS != 0) {
    c4[(start + column) >> 2] = STORAGE4(x);
    return;
  }
  c[start + column] = STORAGE(x.x);
  if (column + 1 < n) {
    c[start + column + 1] = STORAGE(x.y);
  }
  if (column + 2 < n) {
    c[start + column + 2] = STORAGE(x.z);
  }
  if (column + 3 < n) {
    c[start + column + 3] = STORAGE(x.w);
  }
}
