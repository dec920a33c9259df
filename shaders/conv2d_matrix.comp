#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#pragma use_vulkan_memory_model
#pragma variants f16: HALF; serial_f16: HALF SERIAL
#pragma variants(part) f16: HALF PART
#pragma bindings ConvOperands
#pragma bindings(part) ConvPartOperands
// conv2d_implicit.comp on matrix units: fp16 operands, 32-bit sums. Every subgroup of 32 sums
// PIXELS x MATRICES_N matrices of 16x16. The order of a sum is the device's.
// PART: one workgroup sums a part of K only; conv2d_parts.comp adds the parts.
// SERIAL: one workgroup sums the same parts, one after the other, and adds them in the same order:
// for budgets that hold no sums.
#include "workgroup.glsl"
#include "storage.glsl"

layout(constant_id = 8) const uint TILE_M = 64;
layout(constant_id = 9) const uint TILE_N4 = 16;
layout(constant_id = 10) const uint TILE_K4 = 16;
layout(constant_id = 11) const uint MATRICES_N = 2;
#pragma types EIGHTS_A: bool; EIGHTS_B: bool
// 1: eight neighbours in K are eight channels of one tap, aligned in the image.
layout(constant_id = 15) const uint EIGHTS_A = 1;
// 1: rows of the weight are aligned to eight.
layout(constant_id = 16) const uint EIGHTS_B = 1;
// 2: one tile is multiplied while the next is filled. 1: they take turns, and twice as many
// workgroups, or steps of twice the length, fit a processor.
layout(constant_id = 17) const uint BUFFERS = 2;
#include "gather.glsl"
layout(std430, set = 0, binding = 0) readonly buffer X8 { uvec4 x8[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight8 { uvec4 weight8[]; };

// Sums of parts: [part][pixel - pixel_first][pixel_out]
#include "conv_finish.glsl"

#include "matrix.glsl"

const uint SUBGROUPS_N = TILE_N4 * 4 / (MATRIX_SIDE * MATRICES_N);
const uint SUBGROUPS_M = TILE_M / (MATRIX_SIDE * PIXELS);
const uint THREADS = SUBGROUPS_M * SUBGROUPS_N * MATRIX_SUBGROUP;
// In eights: 16 bytes, what one invocation loads and stores at once.
const uint TILE_K8 = TILE_K4 / 2;
const uint TILE_N8 = TILE_N4 / 2;
const uint LOADS_A = TILE_M * TILE_K8 / THREADS;
const uint LOADS_B = TILE_K4 * 4 * TILE_N8 / THREADS;
// 16 bytes more than needed, so that rows start in different banks.
const uint PITCH_A = TILE_K8 + 1;
const uint PITCH_B = TILE_N8 + 1;
const uint SIZE_A = TILE_M * PITCH_A;
const uint SIZE_B = TILE_K4 * 4 * PITCH_B;
// In fours of 32 bits.
const uint PITCH_SUM = MATRIX_SIDE / 4 + 1;

shared uvec4 tile_a[BUFFERS * SIZE_A];  // [row][k / 8]
shared uvec4 tile_b[BUFFERS * SIZE_B];  // [k][column / 8]
// Matrices of a subgroup, one below the other, that are finished together, in a loop.
const uint TOGETHER = PIXELS % 2 == 0 ? 2 : 1;
const uint SIZE_SUM = TOGETHER * MATRIX_SIDE * PITCH_SUM;
shared vec4 tile_sum[SUBGROUPS_M * SUBGROUPS_N * SIZE_SUM];

#include "gather_load.glsl"

// Eight neighbours in K of the pixel that load `load` is of.
uvec4 load_a8(const uint load, const uint group) {
  if (EIGHTS_A != 0) {
    ivec2 at = ivec2(kh * window.dilation_h, kw * window.dilation_w);
    ivec2 p = corner[load] + at;
    uvec4 value = uvec4(0);
    if (kh < window.kernel_h && uint(p.x) < uint(window.h_in) && uint(p.y) < uint(window.w_in)) {
      uint pixel = uint(corner_at[load] + at.x * window.w_in + at.y);
      value = x8[(pixel * pixel_in + group * group_in + channel4 * 4) >> 3];
    }
    return value;
  }
  f16vec4 low = f16vec4(load_a(load, group));
  ivec2 tap = ivec2(kh, kw);
  uint channel = channel4;
  step_k4(1);
  f16vec4 high = f16vec4(load_a(load, group));
  kh = tap.x;
  kw = tap.y;
  channel4 = channel;
  --next_k4;
  return packed(low, high);
}

uvec4 load_b8(const uint row, const uint column8, const uint group, const uint columns4) {
  uvec4 value = uvec4(0);
  uint at = (group * k + row) * columns4 + column8 * 2;
  if (row < k && column8 * 2 < columns4) {
    if (EIGHTS_B != 0) {
      return weight8[at >> 1];
    }
    f16vec4 high = f16vec4(0.0);
    if (column8 * 2 + 1 < columns4) {
      high = weight4[at + 1];
    }
    value = packed(weight4[at], high);
  }
  return value;
}

void main() {
  uint local = gl_LocalInvocationID.x;
  uint columns4 = (columns + 3) / 4;
  uint tiles_n = (columns4 + TILE_N4 - 1) / TILE_N4;
  uint tile = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  uint tile_row = pixel_first + tile / tiles_n * TILE_M;
  uint tile_column4 = tile % tiles_n * TILE_N4;
  uint group = gl_WorkGroupID.z % groups;
  uint part = gl_WorkGroupID.z / groups;
  uint lane = local % TILE_K8;
  uint sum_row = gl_SubgroupID / SUBGROUPS_N * PIXELS * MATRIX_SIDE;
  uint sum_column = gl_SubgroupID % SUBGROUPS_N * MATRICES_N * MATRIX_SIDE;

  [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
    place(i, tile_row + (local + i * THREADS) / TILE_K8);
  }
  uint first = part * k_part;
  uint last = (k + TILE_K4 * 4 - 1) / (TILE_K4 * 4);
  seek(first * TILE_K4 + lane * 2);

  uvec4 next_a[LOADS_A];
  uvec4 next_b[LOADS_B];
  Sums sums[PIXELS * MATRICES_N];
#ifdef SERIAL
  Sums totals[PIXELS * MATRICES_N];
#else
  last = min(first + k_part, last);
#endif
  [[unroll]] for (uint i = 0; i < PIXELS * MATRICES_N; ++i) {
    sums[i] = Sums(0.0);
  }
  for (uint step = first; step <= last; ++step) {
    // Load tile `step` into registers, multiply the tile before it, then hand the new one over.
    if (step < last) {
      [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
        next_a[i] = load_a8(i, group);
      }
      advance();
      [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
        uint at = local + i * THREADS;
        next_b[i] = load_b8(step * TILE_K4 * 4 + at / TILE_N8, tile_column4 / 2 + at % TILE_N8,
                            group, columns4);
      }
    }
    if (step > first) {
      uint at_a = (step + 1) % BUFFERS * SIZE_A + sum_row * PITCH_A;
      uint at_b = (step + 1) % BUFFERS * SIZE_B + sum_column / 8;
      [[unroll]] for (uint k16 = 0; k16 < TILE_K4 / 4; ++k16) {
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_SIDE, MATRIX_SIDE, gl_MatrixUseA> left[PIXELS];
        [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
          coopMatLoad(left[i], tile_a, at_a + i * MATRIX_SIDE * PITCH_A + k16 * 2, PITCH_A,
                      gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint j = 0; j < MATRICES_N; ++j) {
          coopmat<float16_t, gl_ScopeSubgroup, MATRIX_SIDE, MATRIX_SIDE, gl_MatrixUseB> right;
          coopMatLoad(right, tile_b, at_b + k16 * MATRIX_SIDE * PITCH_B + j * (MATRIX_SIDE / 8), PITCH_B,
                      gl_CooperativeMatrixLayoutRowMajor);
          [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
            sums[i * MATRICES_N + j] = coopMatMulAdd(left[i], right, sums[i * MATRICES_N + j]);
          }
        }
      }
#ifdef SERIAL
      if (step % k_part == 0 || step == last) {
        [[unroll]] for (uint i = 0; i < PIXELS * MATRICES_N; ++i) {
          if (step <= k_part) {
            totals[i] = sums[i];
          } else {
            totals[i] += sums[i];
          }
          sums[i] = Sums(0.0);
        }
      }
#endif
    }
    if (BUFFERS == 1) {
      barrier();
    }
    if (step < last) {
      uint at_a = step % BUFFERS * SIZE_A;
      uint at_b = step % BUFFERS * SIZE_B;
      [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
        uint at = local + i * THREADS;
        tile_a[at_a + at / TILE_K8 * PITCH_A + lane] = next_a[i];
      }
      [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
        uint at = local + i * THREADS;
        tile_b[at_b + at / TILE_N8 * PITCH_B + at % TILE_N8] = next_b[i];
      }
      barrier();
    }
  }
  uint scratch = gl_SubgroupID * SIZE_SUM;
  uint in_row = gl_SubgroupInvocationID / (MATRIX_SIDE / 4);
  uint in_column4 = gl_SubgroupInvocationID % (MATRIX_SIDE / 4);
  uint row_quads = pixel_out >> 2;
  [[unroll]] for (uint j = 0; j < MATRICES_N; ++j) {
    uint column4 = tile_column4 + sum_column / 4 + j * (MATRIX_SIDE / 4) + in_column4;
    uint row = tile_row + sum_row + in_row;
    uint at = row * row_quads + (group * columns >> 2) + column4;
#ifdef PART
    at += (part * (pixel_end - pixel_first) - pixel_first) * row_quads;
#else
    Finish finish = finish_of(group * columns + column4 * 4, groups * columns);
#endif
    [[unroll]] for (uint i = 0; i < PIXELS; i += TOGETHER) {
      [[unroll]] for (uint next = 0; next < TOGETHER; ++next) {
#ifdef SERIAL
        coopMatStore(totals[(i + next) * MATRICES_N + j], tile_sum,
                     scratch + next * MATRIX_SIDE * PITCH_SUM, PITCH_SUM,
                     gl_CooperativeMatrixLayoutRowMajor);
#else
        coopMatStore(sums[(i + next) * MATRICES_N + j], tile_sum,
                     scratch + next * MATRIX_SIDE * PITCH_SUM, PITCH_SUM,
                     gl_CooperativeMatrixLayoutRowMajor);
#endif
      }
      controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared,
                     gl_SemanticsAcquireRelease);
      uint from = scratch + in_row * PITCH_SUM + in_column4;
      uint eights = unknown(2 * TOGETHER, pixel_end);
      [[dont_unroll]] for (uint eight = 0; eight < eights; ++eight) {
        if (row < pixel_end && column4 < columns4) {
#ifdef PART
          parts[at] = tile_sum[from];
#else
          y4[at] = STORAGE4(finished(tile_sum[from], finish, residual_of(at)));
#endif
        }
        row += MATRIX_SIDE / 2;
        at += MATRIX_SIDE / 2 * row_quads;
        from += MATRIX_SIDE / 2 * PITCH_SUM;
      }
      controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared,
                     gl_SemanticsAcquireRelease);
    }
  }
}
