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
// conv2d_matrix.comp for kernels of several taps: one workgroup = TILE_H x 16 pixels of an image, and
// what all taps of a block of channels see of it is loaded once, into shared memory. The weight
// comes tap by tap. K's order is (block of channels, kh, kw, channel). One group.
// PART: one workgroup sums a part of the blocks only; conv2d_parts.comp adds the parts.
// SERIAL: one workgroup sums the same parts, one after the other, and adds them in the same order:
// for budgets that hold no sums.
#include "workgroup.glsl"
#include "storage.glsl"
#include "activation.glsl"

layout(constant_id = 8) const uint TILE_H = 8;
layout(constant_id = 9) const uint TILE_N4 = 16;
layout(constant_id = 10) const uint BLOCK4 = 16;
layout(constant_id = 11) const uint MATRICES_N = 2;
// What a tile sees of the image.
layout(constant_id = 12) const uint PATCH_H = 10;
layout(constant_id = 13) const uint PATCH_W = 18;
#pragma types EIGHTS_A: bool; EIGHTS_B: bool
// 1: eight neighbours in channels are aligned in the image.
layout(constant_id = 14) const uint EIGHTS_A = 1;
// 1: rows of the weight are aligned to eight.
layout(constant_id = 15) const uint EIGHTS_B = 1;
// Taps of the weight in shared memory. 2: one is multiplied while the next is filled.
layout(constant_id = 16) const uint BUFFERS = 2;

// x: [n][h_in][w_in][quads_in], weight: [kh][kw][4 * quads_in][columns in fours]
layout(std430, set = 0, binding = 0) readonly buffer X4 { f16vec4 x4[]; };
layout(std430, set = 0, binding = 0) readonly buffer X8 { uvec4 x8[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { f16vec4 weight4[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight8 { uvec4 weight8[]; };

layout(push_constant) uniform Push {
  uint regions_h;  // tiles per image
  uint regions_w;
  uint columns;
  uint c_in;
  uint h_in;
  uint w_in;
  uint h_out;
  uint w_out;
  uint kernel_h;
  uint kernel_w;
  uint padding_h;
  uint padding_w;
  uint dilation_h;
  uint dilation_w;
  uint blocks;
  uint blocks_part;  // per part
  uint part_quads;   // of the output
  EpilogueParameters parameters;
};

// Sums of parts: [part][n][h_out][w_out][columns in fours]
#include "conv_finish.glsl"

#include "matrix.glsl"

const uint SUBGROUPS_N = TILE_N4 * 4 / (MATRIX_SIDE * MATRICES_N);
const uint SUBGROUPS_M = TILE_H / PIXELS;
const uint THREADS = SUBGROUPS_M * SUBGROUPS_N * MATRIX_SUBGROUP;
// In eights: 16 bytes, what one invocation loads and stores at once.
const uint BLOCK8 = BLOCK4 / 2;
const uint TILE_N8 = TILE_N4 / 2;
const uint POSITIONS = PATCH_H * PATCH_W;
const uint LOADS_A = (POSITIONS * BLOCK8 + THREADS - 1) / THREADS;
const uint LOADS_B = BLOCK8 * 8 * TILE_N8 / THREADS;
// 16 bytes more than needed, so that rows start in different banks.
const uint PITCH_A = BLOCK8 + 1;
const uint PITCH_B = TILE_N8 + 1;
const uint SIZE_B = BLOCK8 * 8 * PITCH_B;
// In fours of 32 bits.
const uint PITCH_SUM = MATRIX_SIDE / 4 + 1;
// Matrices of a subgroup, one below the other, that are finished together, in a loop.
const uint TOGETHER = PIXELS % 2 == 0 ? 2 : 1;
const uint SIZE_SUM = TOGETHER * MATRIX_SIDE * PITCH_SUM;
const uint ALL_SUMS = SUBGROUPS_M * SUBGROUPS_N * SIZE_SUM;
// The patch, [position][channel / 8]; at the end, sums.
const uint SIZE_A = POSITIONS * PITCH_A > ALL_SUMS ? POSITIONS * PITCH_A : ALL_SUMS;
shared uvec4 tile_a[SIZE_A];
shared uvec4 tile_b[BUFFERS * SIZE_B];  // [channel][column / 8]

const uint OUTSIDE = 0xffffffff;

// Quad `quad` of channels of the pixel that starts at quad `from`. Pad lanes may be NaN.
f16vec4 load_x4(const uint from, const uint quad) {
  f16vec4 value = f16vec4(0.0);
  if (quad * 4 < c_in) {
    bvec4 real = lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_in));
    value = mix(value, x4[from + quad], real);
  }
  return value;
}

// Eight channels from quad `quad` on.
uvec4 load_a8(const uint from, const uint quad) {
  uvec4 value = uvec4(0);
  if (from != OUTSIDE) {
    if (EIGHTS_A == 0) {
      value = packed(load_x4(from, quad), load_x4(from, quad + 1));
    } else if (quad * 4 < c_in) {
      value = x8[(from + quad) >> 1];
    }
  }
  return value;
}

uvec4 load_b8(const uint tap, const uint channel, const uint column8, const uint columns4) {
  uint channels = (c_in + 3) / 4 * 4;
  uvec4 value = uvec4(0);
  uint at = (tap * channels + channel) * columns4 + column8 * 2;
  if (channel < channels && column8 * 2 < columns4) {
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
  uint region = tile / tiles_n;
  uint tile_column4 = tile % tiles_n * TILE_N4;
  uint image = region / (regions_h * regions_w);
  // Workgroups that only fill the last line have no image: all is outside.
  bool works = image * h_out * w_out * columns4 < part_quads;
  uint tile_h = region / regions_w % regions_h * TILE_H;
  uint tile_w = region % regions_w * MATRIX_SIDE;
  uint lane = local % BLOCK8;
  uint sum_row = gl_SubgroupID / SUBGROUPS_N * PIXELS;
  uint sum_column = gl_SubgroupID % SUBGROUPS_N * MATRICES_N * MATRIX_SIDE;

  // Where the positions that this invocation loads start in the image, in quads.
  uint from[LOADS_A];
  [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
    uint position = (local + i * THREADS) / BLOCK8;
    uint h = tile_h + position / PATCH_W - padding_h;
    uint w = tile_w + position % PATCH_W - padding_w;
    bool inside = works && position < POSITIONS && h < h_in && w < w_in;
    from[i] = inside ? ((image * h_in + h) * w_in + w) * ((c_in + 3) / 4) : OUTSIDE;
  }
  uint block = gl_WorkGroupID.z * blocks_part;
#ifdef PART
  uint last = min(block + blocks_part, blocks);
#else
  uint last = blocks;
#endif
  uint kh = 0;
  uint kw = 0;
  uint tap = 0;
  uint buffer_b = 0;
  uvec4 next_a[LOADS_A];
  uvec4 next_b[LOADS_B];
  Sums sums[PIXELS * MATRICES_N];
#ifdef SERIAL
  Sums totals[PIXELS * MATRICES_N];
#endif
  [[unroll]] for (uint i = 0; i < PIXELS * MATRICES_N; ++i) {
    sums[i] = Sums(0.0);
  }
  [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
    next_a[i] = load_a8(from[i], (block * BLOCK8 + lane) * 2);
  }
  [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
    uint at = local + i * THREADS;
    next_b[i] = load_b8(tap, block * BLOCK8 * 8 + at / TILE_N8, tile_column4 / 2 + at % TILE_N8, columns4);
  }
  // A step is a tap of a block: hand over what was loaded for it, load for the next, multiply.
  bool refill = true;
  [[dont_unroll]] while (true) {
    if (refill) {
      [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
        uint at = local + i * THREADS;
        if (at / BLOCK8 < POSITIONS) {
          tile_a[at / BLOCK8 * PITCH_A + lane] = next_a[i];
        }
      }
    }
    [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
      uint at = local + i * THREADS;
      tile_b[buffer_b + at / TILE_N8 * PITCH_B + at % TILE_N8] = next_b[i];
    }
    barrier();
    uint at_a = (kh * dilation_h * PATCH_W + kw * dilation_w) * PITCH_A + sum_row * PATCH_W * PITCH_A;
    uint at_b = buffer_b + sum_column / 8;
    ++tap;
    if (++kw == kernel_w) {
      kw = 0;
      ++kh;
    }
    refill = kh == kernel_h;
    if (refill) {
      kh = 0;
      tap = 0;
      ++block;
      if (block < last) {
        [[unroll]] for (uint i = 0; i < LOADS_A; ++i) {
          next_a[i] = load_a8(from[i], (block * BLOCK8 + lane) * 2);
        }
      }
    }
    bool more = block < last;
    if (more) {
      [[unroll]] for (uint i = 0; i < LOADS_B; ++i) {
        uint at = local + i * THREADS;
        next_b[i] = load_b8(tap, block * BLOCK8 * 8 + at / TILE_N8, tile_column4 / 2 + at % TILE_N8, columns4);
      }
    }
    [[unroll]] for (uint k16 = 0; k16 < BLOCK8 / 2; ++k16) {
      coopmat<float16_t, gl_ScopeSubgroup, MATRIX_SIDE, MATRIX_SIDE, gl_MatrixUseA> left[PIXELS];
      [[unroll]] for (uint i = 0; i < PIXELS; ++i) {
        coopMatLoad(left[i], tile_a, at_a + i * PATCH_W * PITCH_A + k16 * 2, PITCH_A,
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
    if (refill && (block % blocks_part == 0 || block == last)) {
      [[unroll]] for (uint i = 0; i < PIXELS * MATRICES_N; ++i) {
        if (block <= blocks_part) {
          totals[i] = sums[i];
        } else {
          totals[i] += sums[i];
        }
        sums[i] = Sums(0.0);
      }
    }
#endif
    if (!more) {
      break;
    }
    if (BUFFERS == 1 || refill) {
      barrier();
    }
    if (BUFFERS == 2) {
      buffer_b = SIZE_B - buffer_b;
    }
  }
  barrier();

  uint scratch = gl_SubgroupID * SIZE_SUM;
  uint in_row = gl_SubgroupInvocationID / (MATRIX_SIDE / 4);
  uint in_column4 = gl_SubgroupInvocationID % (MATRIX_SIDE / 4);
  [[unroll]] for (uint j = 0; j < MATRICES_N; ++j) {
    uint column4 = tile_column4 + sum_column / 4 + j * (MATRIX_SIDE / 4) + in_column4;
#ifndef PART
    Finish finish = finish_of(column4 * 4, columns);
#endif
    [[unroll]] for (uint i = 0; i < PIXELS; i += TOGETHER) {
      [[unroll]] for (uint next = 0; next < TOGETHER; ++next) {
#ifdef SERIAL
        coopMatStore(totals[(i + next) * MATRICES_N + j], tile_a,
                     scratch + next * MATRIX_SIDE * PITCH_SUM, PITCH_SUM,
                     gl_CooperativeMatrixLayoutRowMajor);
#else
        coopMatStore(sums[(i + next) * MATRICES_N + j], tile_a,
                     scratch + next * MATRIX_SIDE * PITCH_SUM, PITCH_SUM,
                     gl_CooperativeMatrixLayoutRowMajor);
#endif
      }
      controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared,
                     gl_SemanticsAcquireRelease);
      uint eights = unknown(2 * TOGETHER, h_out);
      [[dont_unroll]] for (uint eight = 0; eight < eights; ++eight) {
        uint h = tile_h + sum_row + i + eight / 2;
        uint w = tile_w + eight % 2 * (MATRIX_SIDE / 2) + in_row;
        uint at = ((image * h_out + h) * w_out + w) * columns4 + column4;
        if (works && h < h_out && w < w_out && column4 < columns4) {
          vec4 sum = uintBitsToFloat(tile_a[scratch + (eight * (MATRIX_SIDE / 2) + in_row) * PITCH_SUM + in_column4]);
#ifdef PART
          parts[gl_WorkGroupID.z * part_quads + at] = sum;
#else
          y4[at] = STORAGE4(finished(sum, finish, residual_of(at)));
#endif
        }
      }
      controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared,
                     gl_SemanticsAcquireRelease);
    }
  }
}
