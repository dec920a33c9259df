#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF
#pragma bindings GemmOperands
// GEMM of few rows and a long K, where one invocation per output would leave a GPU idle: one
// workgroup = THREAD_M rows x 4 * COLUMNS4 columns of C, each summed in SLICES slices of K side by
// side. Unlike the other kernels' sums these are not in the order of K: slice s takes
// k = s, s + SLICES, ..., and slices are added in halves.
#include "gemm.glsl"

layout(constant_id = 9) const uint THREAD_M = 1;
layout(constant_id = 10) const uint COLUMNS4 = 4;
layout(constant_id = 11) const uint SLICES = 32;

const uint THREADS = COLUMNS4 * SLICES;

shared vec4 slice_sums[THREAD_M * THREADS];

void main() {
  uint columns4 = (n + 3) / 4;
  uint blocks = (columns4 + COLUMNS4 - 1) / COLUMNS4;
  uint block = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  uint first_row = block / blocks * THREAD_M;
  uint local = gl_LocalInvocationID.x;
  uint slice = local / COLUMNS4;
  uint column4 = block % blocks * COLUMNS4 + local % COLUMNS4;
  // Rows and columns beyond the last read the last one, and are not stored: no invocation leaves
  // before all have met.
  uint at_b = min(column4, columns4 - 1);
  A_ROW starts[THREAD_M];
  vec4 sums[THREAD_M];
  [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
    starts[i] = a_start(min(first_row + i, m - 1));
    sums[i] = vec4(0.0);
  }
  for (uint at = slice; at < k; at += SLICES) {
    vec4 right = load_b(at, at_b);
    [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
      sums[i] = fma(vec4(load_a_single(starts[i], at)), right, sums[i]);
    }
  }
  for (uint half_of = SLICES / 2; half_of > 0; half_of /= 2) {
    [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
      slice_sums[i * THREADS + local] = sums[i];
    }
    barrier();
    if (slice < half_of) {
      [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
        sums[i] += slice_sums[i * THREADS + local + half_of * COLUMNS4];
      }
    }
    barrier();
  }
  [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
    if (slice == 0 && first_row + i < m && column4 < columns4) {
      store_c(first_row + i, column4 * 4, sums[i]);
    }
  }
}
