#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF; texture2d_f32: TEXTURE2D; texture2d_f16: TEXTURE2D HALF; texture3d_f32: TEXTURE3D; texture3d_f16: TEXTURE3D HALF
#pragma bindings GemmOperands
// GEMM without shared memory: for devices whose cores run one invocation's lanes from cache (CPUs),
// and for few rows. One invocation = THREAD_M rows x 4 * THREAD_N4 columns of C.
#include "gemm.glsl"

layout(constant_id = 9) const uint THREAD_M = 4;
layout(constant_id = 10) const uint THREAD_N4 = 1;

void main() {
  uint columns4 = (n + 3) / 4;
  uint blocks = (columns4 + THREAD_N4 - 1) / THREAD_N4;
  uint id = line_index();
  uint first_row = id / blocks * THREAD_M;
  uint first_column4 = id % blocks * THREAD_N4;
  if (first_row >= m) {
    return;
  }
  // Rows and columns beyond the last read the last one, and are not stored.
  A_ROW starts[THREAD_M];
  [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
    starts[i] = a_start(min(first_row + i, m - 1));
  }
  uint at_b[THREAD_N4];
  [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
    at_b[j] = min(first_column4 + j, columns4 - 1);
  }
  vec4 sums[THREAD_M * THREAD_N4];
  [[unroll]] for (uint i = 0; i < THREAD_M * THREAD_N4; ++i) {
    sums[i] = vec4(0.0);
  }
  uint whole = k & ~3u;
  for (uint at = 0; at < whole; at += 4) {
    vec4 left[THREAD_M];
    [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
      left[i] = load_a(starts[i], at);
    }
    [[unroll]] for (uint step = 0; step < 4; ++step) {
      [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
        vec4 right = load_b(at + step, at_b[j]);
        [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
          sums[i * THREAD_N4 + j] = fma(vec4(left[i][step]), right, sums[i * THREAD_N4 + j]);
        }
      }
    }
  }
  for (uint at = whole; at < k; ++at) {
    [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
      vec4 right = load_b(at, at_b[j]);
      [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
        float x = load_a_single(starts[i], at);
        sums[i * THREAD_N4 + j] = fma(vec4(x), right, sums[i * THREAD_N4 + j]);
      }
    }
  }
  [[unroll]] for (uint i = 0; i < THREAD_M; ++i) {
    [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
      if (first_row + i < m && first_column4 + j < columns4) {
        store_c(first_row + i, (first_column4 + j) * 4, sums[i * THREAD_N4 + j]);
      }
    }
  }
}
