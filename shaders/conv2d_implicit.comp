#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; f16: HALF; serial_f32: SERIAL; serial_f16: SERIAL HALF
#pragma variants(part) f32: PART; f16: PART HALF
#pragma bindings ConvOperands
#pragma bindings(part) ConvPartOperands
// Convolution as a GEMM whose left operand is gathered from the image as it is needed: im2col
// without columns. One workgroup = TILE_M pixels x 4 * TILE_N4 channels, one invocation = PIXELS x
// 4 * THREAD_N4 of them. Sums run as the GEMM's: k = (kh, kw, c) ascending, one fma per step.
// PART: one workgroup sums a part of K only; conv2d_parts.comp adds the parts.
// SERIAL: one workgroup sums the same parts, one after the other, and adds them in the same order:
// for budgets that hold no sums.
// No invocation leaves early: all of them meet at every barrier.
#include "workgroup.glsl"
#include "storage.glsl"

layout(constant_id = 8) const uint TILE_M = 128;
layout(constant_id = 9) const uint TILE_N4 = 16;
layout(constant_id = 10) const uint TILE_K4 = 4;
layout(constant_id = 11) const uint THREAD_N4 = 2;
#include "gather.glsl"

// Sums of parts: [part][pixel - pixel_first][pixel_out]
#include "conv_finish.glsl"

const uint THREADS_N = TILE_N4 / THREAD_N4;
const uint THREADS_M = TILE_M / PIXELS;
const uint THREADS = THREADS_M * THREADS_N;
const uint LOADS_A = TILE_M * TILE_K4 / THREADS;
const uint LOADS_B = TILE_K4 * 4 * TILE_N4 / THREADS;
// One quad more than needed, so that rows start in different banks.
const uint PITCH_A = TILE_K4 + 1;
const uint SIZE_A = TILE_M * PITCH_A;
const uint SIZE_B = TILE_K4 * 4 * TILE_N4;

// Two of each: one is multiplied while the next is filled.
shared vec4 tile_a[2 * SIZE_A];  // [row][k / 4]
shared vec4 tile_b[2 * SIZE_B];  // [k][column / 4]

#include "gather_load.glsl"

void main() {
  uint local = gl_LocalInvocationID.x;
  uint columns4 = (columns + 3) / 4;
  uint tiles_n = (columns4 + TILE_N4 - 1) / TILE_N4;
  uint tile = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  uint tile_row = pixel_first + tile / tiles_n * TILE_M;
  uint tile_column4 = tile % tiles_n * TILE_N4;
  uint group = gl_WorkGroupID.z % groups;
  uint part = gl_WorkGroupID.z / groups;
  uint thread_row = local / THREADS_N;
  uint thread_column4 = local % THREADS_N;
  uint lane = local % TILE_K4;
  uint weight_at = group * k * columns4;

  [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
    place(i, tile_row + (local + i * THREADS) / TILE_K4);
  }
  uint first = part * k_part;
  uint last = (k + TILE_K4 * 4 - 1) / (TILE_K4 * 4);
#ifdef SERIAL
  vec4 totals[PIXELS * THREAD_N4];
#else
  last = min(first + k_part, last);
#endif
  seek(first * TILE_K4 + lane);

  vec4 next_a[LOADS_A];
  vec4 next_b[LOADS_B];
  vec4 sums[PIXELS * THREAD_N4];
  [[unroll]] for (uint i = 0; i < PIXELS * THREAD_N4; ++i) {
    sums[i] = vec4(0.0);
  }
  for (uint step = first; step <= last; ++step) {
    // Load tile `step` into registers, multiply the tile before it, then hand the new one over.
    if (step < last) {
      [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
        next_a[i] = load_a(i, group);
      }
      advance();
      [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
        uint at = local + i * THREADS;
        uint row = step * TILE_K4 * 4 + at / TILE_N4;
        uint column4 = tile_column4 + at % TILE_N4;
        next_b[i] = vec4(0.0);
        if (row < k && column4 < columns4) {
          next_b[i] = vec4(weight4[weight_at + row * columns4 + column4]);
        }
      }
    }
    if (step > first) {
      uint at_a = (step + 1 & 1) * SIZE_A + thread_row * PITCH_A;
      uint at_b = (step + 1 & 1) * SIZE_B + thread_column4;
      for (uint k4 = 0; k4 < TILE_K4; ++k4) {
        vec4 left[PIXELS];
        [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
          left[i] = tile_a[at_a + i * THREADS_M * PITCH_A + k4];
        }
        [[unroll]] for (uint e = 0; e < 4; ++e) {
          vec4 right[THREAD_N4];
          [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
            right[j] = tile_b[at_b + (k4 * 4 + e) * TILE_N4 + j * THREADS_N];
          }
          [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
            [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
              sums[i * THREAD_N4 + j] = fma(vec4(left[i][e]), right[j], sums[i * THREAD_N4 + j]);
            }
          }
        }
      }
#ifdef SERIAL
      if (step % k_part == 0 || step == last) {
        [[unroll]] for (uint i = 0; i < PIXELS * THREAD_N4; ++i) {
          totals[i] = step <= k_part ? sums[i] : totals[i] + sums[i];
          sums[i] = vec4(0.0);
        }
      }
#endif
    }
    if (step < last) {
      uint at_a = (step & 1) * SIZE_A;
      uint at_b = (step & 1) * SIZE_B;
      [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
        uint at = local + i * THREADS;
        tile_a[at_a + at / TILE_K4 * PITCH_A + lane] = next_a[i];
      }
      [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
        tile_b[at_b + local + i * THREADS] = next_b[i];
      }
      barrier();
    }
  }
#ifdef SERIAL
  [[unroll]] for (uint i = 0; i < PIXELS * THREAD_N4; ++i) {
    sums[i] = totals[i];
  }
#endif
  [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
    uint column4 = tile_column4 + j * THREADS_N + thread_column4;
    if (column4 >= columns4) {
      continue;
    }
    uint first_row = tile_row + thread_row;
    uint row_quads = pixel_out >> 2;
    uint at = first_row * row_quads + (group * columns >> 2) + column4;
#ifdef PART
    at += (part * (pixel_end - pixel_first) - pixel_first) * row_quads;
#else
    Finish finish = finish_of(group * columns + column4 * 4, groups * columns);
    [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
      uint row = first_row + i * THREADS_M;
      vec4 other = row < pixel_end ? residual_of(at + i * THREADS_M * row_quads) : vec4(0.0);
      sums[i * THREAD_N4 + j] = finished(sums[i * THREAD_N4 + j], finish, other);
    }
#endif
    [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
      if (first_row + i * THREADS_M < pixel_end) {
#ifdef PART
        parts[at + i * THREADS_M * row_quads] = sums[i * THREAD_N4 + j];
#else
        y4[at + i * THREADS_M * row_quads] = STORAGE4(sums[i * THREAD_N4 + j]);
#endif
      }
    }
  }
}
