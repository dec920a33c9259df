#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF; texture2d_f32: TEXTURE2D; texture2d_f16: TEXTURE2D HALF; texture3d_f32: TEXTURE3D; texture3d_f16: TEXTURE3D HALF
#pragma bindings GemmOperands
// GEMM in tiles of shared memory. One workgroup = TILE_M x 4 * TILE_N4 outputs; one invocation =
// THREAD_M x 4 * THREAD_N4 of them, four neighbouring rows at a time. No invocation leaves early:
// all of them meet at every barrier.
#include "gemm.glsl"

layout(constant_id = 9) const uint TILE_M4 = 32;
layout(constant_id = 10) const uint TILE_N4 = 16;
layout(constant_id = 11) const uint TILE_K4 = 4;
layout(constant_id = 12) const uint THREAD_M4 = 2;
layout(constant_id = 13) const uint THREAD_N4 = 2;

const uint THREADS_N = TILE_N4 / THREAD_N4;
const uint THREADS_M = TILE_M4 / THREAD_M4;
const uint THREADS = THREADS_M * THREADS_N;
// One column more than needed, so that the transposing stores hit different banks.
const uint PITCH_A = TILE_M4 + 1;

shared vec4 tile_a[TILE_K4 * 4 * PITCH_A];  // [k][row / 4]
shared vec4 tile_b[TILE_K4 * 4 * TILE_N4];  // [k][column / 4]

// Row `row` of A from `at`: 4 elements, zeros outside of the matrix.
vec4 load_a_guarded(const uint row, const uint at) {
  if (row >= m || at >= k) {
    return vec4(0.0);
  }
  A_ROW start = a_start(row);
  return at + 4 <= k ? load_a(start, at) : load_a_tail(start, at, k - at);
}

void main() {
  uint local = gl_LocalInvocationID.x;
  uint columns4 = (n + 3) / 4;
  uint tiles_n = (columns4 + TILE_N4 - 1) / TILE_N4;
  uint tile = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  uint tile_row = tile / tiles_n * TILE_M4 * 4;
  uint tile_column4 = tile % tiles_n * TILE_N4;
  uint thread_row4 = local / THREADS_N;
  uint thread_column4 = local % THREADS_N;

  vec4 sums[THREAD_M4 * 4 * THREAD_N4];
  [[unroll]] for (uint i = 0; i < THREAD_M4 * 4 * THREAD_N4; ++i) {
    sums[i] = vec4(0.0);
  }
  for (uint first = 0; first < k; first += TILE_K4 * 4) {
    for (uint i = local; i < TILE_M4 * TILE_K4; i += THREADS) {
      uint row4 = i / TILE_K4;
      uint k4 = i % TILE_K4;
      uint row = tile_row + row4 * 4;
      uint at = first + k4 * 4;
      mat4 block = transpose(mat4(load_a_guarded(row, at), load_a_guarded(row + 1, at),
                                  load_a_guarded(row + 2, at), load_a_guarded(row + 3, at)));
      [[unroll]] for (uint step = 0; step < 4; ++step) {
        tile_a[(k4 * 4 + step) * PITCH_A + row4] = block[step];
      }
    }
    for (uint i = local; i < TILE_K4 * 4 * TILE_N4; i += THREADS) {
      uint row = first + i / TILE_N4;
      uint column4 = tile_column4 + i % TILE_N4;
      tile_b[i] = row < k && column4 < columns4 ? load_b(row, column4) : vec4(0.0);
    }
    barrier();
    for (uint step = 0; step < TILE_K4 * 4; ++step) {
      vec4 left[THREAD_M4];
      [[unroll]] for (uint i = 0; i < THREAD_M4; ++i) {
        left[i] = tile_a[step * PITCH_A + i * THREADS_M + thread_row4];
      }
      [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
        vec4 right = tile_b[step * TILE_N4 + j * THREADS_N + thread_column4];
        [[unroll]] for (uint i = 0; i < THREAD_M4; ++i) {
          [[unroll]] for (uint lane = 0; lane < 4; ++lane) {
            uint sum = (i * 4 + lane) * THREAD_N4 + j;
            sums[sum] = fma(vec4(left[i][lane]), right, sums[sum]);
          }
        }
      }
    }
    barrier();
  }
  [[unroll]] for (uint i = 0; i < THREAD_M4; ++i) {
    [[unroll]] for (uint lane = 0; lane < 4; ++lane) {
      uint row = tile_row + (i * THREADS_M + thread_row4) * 4 + lane;
      [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
        uint column4 = tile_column4 + j * THREADS_N + thread_column4;
        if (row < m && column4 < columns4) {
          store_c(row, column4 * 4, sums[(i * 4 + lane) * THREAD_N4 + j]);
        }
      }
    }
  }
}
