#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; turn_f32: TURN
#pragma variants(part) f32: PART
// Winograd's F(4x4, 3x3) in one kernel, without workspace: Y = A^T [(G g G^T) * (B^T d B)] A for
// tiles of 4x4 outputs, which see 6x6 inputs. Points 0, P, -P, Q, -Q and infinity;
// src/core/constant/winograd.rs has G and says why.
// One workgroup = 4x4 tiles x 4 * TILE_N4 channels. Four inputs at a time: their pixels are loaded two
// steps ahead and transformed one step ahead, while the 36 products of the step before are summed,
// each by its own invocations. Products then meet in shared memory, PASS_N4 quads of channels at a time.
// Every index into shared memory and U counts quads: drivers do not see that a byte address of
// (i / 4) * 16 + i % 4 * 4 is 4 * i.
// PART: sums a part of the inputs only, into the workspace; conv2d_parts.comp adds the parts.
// TURN: the same parts, one dispatch after the other, added in the same order where the output
// lies: for budgets that hold no sums.
// A NaN or an infinity in the image spreads over whole tiles, and large finite numbers may overflow
// on the way: a channel of a tile with such a result is computed again from the definition, so that
// they reach the outputs that see them and no others.
// No invocation leaves early: all of them meet at every barrier.
#include "workgroup.glsl"
#include "storage.glsl"
#include "activation.glsl"

layout(constant_id = 8) const uint TILE_N4 = 8;
layout(constant_id = 9) const uint THREAD_N4 = 2;  // quads of channels per invocation
layout(constant_id = 10) const uint THREAD_POSITIONS = 1;  // products per invocation
layout(constant_id = 11) const uint PASS_N4 = 4;

// x: [n][h_in][w_in][c_in padded to 4]
layout(std430, set = 0, binding = 0) readonly buffer X { float x[]; };
layout(std430, set = 0, binding = 0) readonly buffer X4 { vec4 x4[]; };
// u: [c_in padded to 4][36][c_out padded to 4]
layout(std430, set = 0, binding = 1) readonly buffer U4 { vec4 u4[]; };
// Of `turn`: these are the first inputs, and the last.
const uint TURN_FIRST = 1u;
const uint TURN_LAST = 2u;

layout(push_constant) uniform Push {
  uint tiles;     // workgroups that have work: images x regions x blocks of channels
  uint c_in;
  uint c_out;
  uint regions_h;  // per image
  uint regions_w;
  int h_in;
  int w_in;
  uint h_out;
  uint w_out;
  int padding_h;
  int padding_w;
  uint first4;     // quad of inputs that the first part starts with
  uint last4;      // and that the last part ends before
  uint part4;      // quads of inputs per part
  uint part_size;  // elements of the output
  uint k_channels;  // of K per tap, of the weight as it was
  uint turn;        // TURN_FIRST and TURN_LAST
  EpilogueParameters parameters;
};

// Sums of parts: [part][n][h_out][w_out][c_out padded to 4]
#define PARTS float
#include "conv_finish.glsl"
#ifdef PART
// weight: [3][3][k_channels][c_out padded to 4]
layout(std430, set = 0, binding = 3) readonly buffer Weight { float weight[]; };
#else
layout(std430, set = 0, binding = 2) buffer Y { float y[]; };
layout(std430, set = 0, binding = 5) readonly buffer Residual1 { float residual[]; };
layout(std430, set = 0, binding = 6) readonly buffer Weight { float weight[]; };
#endif

// Products per tile and input.
const uint POSITIONS = 36;
const float P = 0.625;
const float Q = 1.5;
const float P2 = P * P;
const float Q2 = Q * Q;

const uint SIDE = 4;  // tiles
// Outputs of a workgroup in each direction.
const uint REGION = SIDE * 4;
const uint T = SIDE * SIDE;
const uint T4 = T / 4;
const uint TM4 = 2;  // quads of tiles per invocation
const uint LANES_T = T4 / TM4;
const uint LANES_N = TILE_N4 / THREAD_N4;
const uint LANES = LANES_T * LANES_N;
const uint SLOTS = POSITIONS / THREAD_POSITIONS;
const uint THREADS = SLOTS * LANES;
// Pixels of a region, one quad of inputs each. A column is skipped after every four and rows are an
// odd number of quads apart, so that a subgroup's transforms start in different banks.
const uint EDGE = REGION + 2;
const uint RAW_PITCH = EDGE + EDGE / 4 | 1;
const uint RAW_SIZE = RAW_PITCH * EDGE;
const uint LOADS = (EDGE * EDGE + THREADS - 1) / THREADS;
// Transforms: [input of four][36][T], two of them: one is multiplied while the next is filled. Two
// quads more per input, so that the inputs lie in different banks.
const uint V_PLANE = POSITIONS * T4 + 2;
const uint V_SIZE = 4 * V_PLANE;
// Products: [36][channel of PASS_N4 * 4][T], with a quad more than needed for the same reason.
const uint M_PITCH = T4 + 1;
const uint M_PLANE = PASS_N4 * 4 * M_PITCH;
const uint MAIN_SIZE = RAW_SIZE + 2 * V_SIZE;
const uint SHARED = MAIN_SIZE > POSITIONS * M_PLANE ? MAIN_SIZE : POSITIONS * M_PLANE;
shared vec4 mem[SHARED];

// Three of the six rows of V = B^T d B, of one tile and one input: 0, 1, 2 or 5, 3, 4.
const uint TRANSFORMS = 2 * 4 * T;
void transform(const uint id, const uint v) {
  bool second = id >= 4 * T;
  uint of_four = id % 32 / 8;
  uint tile = id % (4 * T) / 32 * 8 + id % 8;
  uint from = tile / SIDE * 4 * RAW_PITCH + tile % SIDE * 5;
  uint from_edge = from + (second ? 5 : 0) * RAW_PITCH;
  uint to = RAW_SIZE + v + of_four * V_PLANE + tile / 4;
  uint lane = tile % 4;
  float other2 = second ? P2 : Q2;
  float point = second ? Q : P;
  float rows[18];
  [[unroll]] for (uint j = 0; j < 6; ++j) {
    uint at = from + j + j / 4;
    float d1 = mem[at + RAW_PITCH][of_four];
    float d2 = mem[at + 2 * RAW_PITCH][of_four];
    float d3 = mem[at + 3 * RAW_PITCH][of_four];
    float d4 = mem[at + 4 * RAW_PITCH][of_four];
    float edge = mem[from_edge + j + j / 4][of_four];
    float even = fma(-other2, d2, d4);
    float odd = fma(-other2, d1, d3);
    float middle = fma(-P2 - Q2, second ? d3 : d2, second ? edge : d4);
    rows[j] = fma(P2 * Q2, second ? d1 : edge, middle);
    rows[6 + j] = fma(point, odd, even);
    rows[12 + j] = fma(-point, odd, even);
  }
  [[unroll]] for (uint i = 0; i < 3; ++i) {
    float d0 = rows[i * 6];
    float d1 = rows[i * 6 + 1];
    float d2 = rows[i * 6 + 2];
    float d3 = rows[i * 6 + 3];
    float d4 = rows[i * 6 + 4];
    float d5 = rows[i * 6 + 5];
    float even_p = fma(-Q2, d2, d4);
    float odd_p = fma(-Q2, d1, d3);
    float even_q = fma(-P2, d2, d4);
    float odd_q = fma(-P2, d1, d3);
    uint at = to + (second ? (i == 0 ? 5 : i + 2) : i) * 6 * T4;
    mem[at][lane] = fma(P2 * Q2, d0, fma(-P2 - Q2, d2, d4));
    mem[at + T4][lane] = fma(P, odd_p, even_p);
    mem[at + 2 * T4][lane] = fma(-P, odd_p, even_p);
    mem[at + 3 * T4][lane] = fma(Q, odd_q, even_q);
    mem[at + 4 * T4][lane] = fma(-Q, odd_q, even_q);
    mem[at + 5 * T4][lane] = fma(P2 * Q2, d1, fma(-P2 - Q2, d3, d5));
  }
}

// A^T of six products.
vec4 output_points(const float m0, const float m1, const float m2, const float m3, const float m4, const float m5) {
  float sum_p = m1 + m2;
  float difference_p = m1 - m2;
  float sum_q = m3 + m4;
  float difference_q = m3 - m4;
  return vec4(m0 + (sum_p + sum_q), fma(P, difference_p, Q * difference_q), fma(P2, sum_p, Q2 * sum_q),
              fma(P2 * P, difference_p, fma(Q2 * Q, difference_q, m5)));
}

bvec4 finite(const vec4 value) {
  return lessThan(floatBitsToUint(value) & 0x7fffffffu, uvec4(0x7f800000u));
}

// Of inputs first.. before last.
float from_the_definition(const uint image, const ivec2 at, const uint channel, const uint first, const uint last) {
  uint row = (c_in + 3) / 4 * 4;
  float sum = 0.0;
  [[dont_unroll]] for (int tap = 0; tap < 9; ++tap) {
    ivec2 p = at + ivec2(tap / 3, tap % 3) - ivec2(padding_h, padding_w);
    if (uint(p.x) >= uint(h_in) || uint(p.y) >= uint(w_in)) {
      continue;
    }
    uint pixel = (image * uint(h_in) + uint(p.x)) * uint(w_in) + uint(p.y);
    [[dont_unroll]] for (uint c = first; c < last; ++c) {
      float factor = weight[(tap * k_channels + c) * ((c_out + 3) / 4 * 4) + channel];
      sum = fma(x[pixel * row + c], factor, sum);
    }
  }
  return sum;
}

// Element `at` of the output, whose channel has this bias and slope.
float finished_one(const uint at, const float sum, const float bias_of, const float slope_of) {
#ifdef PART
  return sum;
#else
  float total = sum;
#ifdef TURN
  if ((turn & TURN_FIRST) == 0) {
    total = y[at] + sum;
  }
  if ((turn & TURN_LAST) == 0) {
    return total;
  }
#endif
  float other = RESIDUAL != 0 ? residual[at] : 0.0;
  return epilogue(vec4(BIAS != 0 ? total + bias_of : total), vec4(slope_of), vec4(other)).x;
#endif
}

void store_one(const uint at, const float value) {
#ifdef PART
  parts[at] = value;
#else
  y[at] = value;
#endif
}

void main() {
  uint local = gl_LocalInvocationID.x;
  uint row4 = (c_out + 3) / 4;
  uint blocks = (row4 + TILE_N4 - 1) / TILE_N4;
  uint workgroup = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  bool works = workgroup < tiles;
  uint region = workgroup / blocks;
  uint block4 = workgroup % blocks * TILE_N4;
  uint image = region / (regions_h * regions_w);
  uint region_h = region / regions_w % regions_h * REGION;
  uint region_w = region % regions_w * REGION;
  uint first = first4 + gl_WorkGroupID.z * part4;
  uint last = min(first + part4, last4);
  int steps = int(last - first);

  uint lane = local % LANES;
  uint slot = local / LANES;
  uint lane_t = lane % LANES_T;
  uint lane_n = lane / LANES_T;

  // The pixels that this invocation loads, and where they go.
  uint from[LOADS];
  uint to[LOADS];
  bool there[LOADS];
  vec4 next[LOADS];
  [[unroll]] for (uint i = 0; i < LOADS; ++i) {
    uint pixel = local + i * THREADS;
    uint column = pixel % EDGE;
    ivec2 at = ivec2(region_h + pixel / EDGE, region_w + column) - ivec2(padding_h, padding_w);
    there[i] = works && pixel < EDGE * EDGE && uint(at.x) < uint(h_in) && uint(at.y) < uint(w_in);
    from[i] = ((image * uint(h_in) + uint(at.x)) * uint(w_in) + uint(at.y)) * ((c_in + 3) / 4) + first;
    to[i] = pixel / EDGE * RAW_PITCH + column + column / 4;
    next[i] = vec4(0.0);
  }
  uint columns[THREAD_N4];
  [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
    // Columns that do not exist read the last one; nothing of them is stored.
    columns[j] = min(block4 + lane_n * THREAD_N4 + j, row4 - 1) + slot * THREAD_POSITIONS * row4;
  }
  uint u_from = first * 4 * POSITIONS * row4;
  uint v_from = RAW_SIZE + slot * THREAD_POSITIONS * T4 + lane_t;
  vec4 sums[THREAD_POSITIONS * THREAD_N4 * TM4 * 4];
  [[unroll]] for (uint i = 0; i < THREAD_POSITIONS * THREAD_N4 * TM4 * 4; ++i) {
    sums[i] = vec4(0.0);
  }

  // Step s loads the inputs of step s + 2, transforms those of s + 1 and multiplies those of s.
  [[dont_unroll]] for (int s = -2; s < steps; ++s) {
    if (s + 2 < steps) {
      [[unroll]] for (uint i = 0; i < LOADS; ++i) {
        if (there[i]) {
          next[i] = x4[from[i] + uint(s + 2)];
        }
      }
      uint quad = first + uint(s + 2);
      if (quad * 4 + 4 > c_in) {
        // Pad lanes may be NaN.
        bvec4 real = lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_in));
        [[unroll]] for (uint i = 0; i < LOADS; ++i) {
          next[i] = mix(vec4(0.0), next[i], real);
        }
      }
    }
    uint v_other = (s & 1) == 0 ? V_SIZE : 0;
    if (s >= -1 && s + 1 < steps) {
      [[unroll]] for (uint id = local; id < TRANSFORMS; id += THREADS) {
        transform(id, v_other);
      }
    }
    if (s >= 0) {
      uint v = v_from + V_SIZE - v_other;
      [[unroll]] for (uint k = 0; k < 4; ++k) {
        vec4 u[THREAD_POSITIONS * THREAD_N4];
        [[unroll]] for (uint i = 0; i < THREAD_POSITIONS; ++i) {
          [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
            u[i * THREAD_N4 + j] = u4[u_from + (k * POSITIONS + i) * row4 + columns[j]];
          }
        }
        [[unroll]] for (uint i = 0; i < THREAD_POSITIONS; ++i) {
          [[unroll]] for (uint q = 0; q < TM4; ++q) {
            vec4 left = mem[v + k * V_PLANE + i * T4 + q * LANES_T];
            [[unroll]] for (uint j = 0; j < THREAD_N4; ++j) {
              [[unroll]] for (uint m = 0; m < 4; ++m) {
                uint at = ((i * THREAD_N4 + j) * TM4 + q) * 4 + m;
                sums[at] = fma(vec4(left[m]), u[i * THREAD_N4 + j], sums[at]);
              }
            }
          }
        }
      }
      u_from += 4 * POSITIONS * row4;
    }
    barrier();
    [[unroll]] for (uint i = 0; i < LOADS; ++i) {
      if (local + i * THREADS < EDGE * EDGE) {
        mem[to[i]] = next[i];
      }
    }
    barrier();
  }

  const uint PER = PASS_N4 / THREAD_N4;  // lanes along channels whose products go together
  [[dont_unroll]] for (uint pass = 0; pass < TILE_N4 / PASS_N4; ++pass) {
    if (lane_n / PER == pass) {
      [[unroll]] for (uint i = 0; i < THREAD_POSITIONS; ++i) {
        [[unroll]] for (uint c = 0; c < THREAD_N4 * 4; ++c) {
          [[unroll]] for (uint q = 0; q < TM4; ++q) {
            uint sum = ((i * THREAD_N4 + c / 4) * TM4 + q) * 4;
            uint at = (slot * THREAD_POSITIONS + i) * M_PLANE + (lane_n % PER * THREAD_N4 * 4 + c) * M_PITCH;
            mem[at + lane_t + q * LANES_T] = vec4(sums[sum][c % 4], sums[sum + 1][c % 4],
                                                  sums[sum + 2][c % 4], sums[sum + 3][c % 4]);
          }
        }
      }
    }
    barrier();
    [[dont_unroll]] for (uint id = local; id < T * PASS_N4 * 4; id += THREADS) {
      uint in_pass = id % (PASS_N4 * 4);
      uint tile = id / (PASS_N4 * 4);
      uint at = in_pass * M_PITCH + tile / 4;
      vec4 rows[6];
      [[unroll]] for (uint i = 0; i < 6; ++i) {
        rows[i] = output_points(mem[at + i * 6 * M_PLANE][tile % 4],
                                mem[at + (i * 6 + 1) * M_PLANE][tile % 4],
                                mem[at + (i * 6 + 2) * M_PLANE][tile % 4],
                                mem[at + (i * 6 + 3) * M_PLANE][tile % 4],
                                mem[at + (i * 6 + 4) * M_PLANE][tile % 4],
                                mem[at + (i * 6 + 5) * M_PLANE][tile % 4]);
      }
      vec4 results[4];  // columns
      bool usable = true;
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        results[j] = output_points(rows[0][j], rows[1][j], rows[2][j], rows[3][j], rows[4][j], rows[5][j]);
        usable = usable && all(finite(results[j]));
      }
      uint h = region_h + tile / SIDE * 4;
      uint w = region_w + tile % SIDE * 4;
      uint column = (block4 + pass * PASS_N4) * 4 + in_pass;
      if (!works || column >= row4 * 4) {
        continue;
      }
      // Pad lanes compute the last channel once more, but for its products, which are zeros.
      uint channel = min(column, c_out - 1);
      uint start = ((image * h_out + h) * w_out + w) * row4 * 4 + column;
#ifdef PART
      start += gl_WorkGroupID.z * part_size;
#endif
      float bias_of = 0.0;
      float slope_of = 0.0;
#ifndef PART
      if (BIAS != 0) {
        bias_of = bias[channel];
      }
      if (ACTIVATION == ACTIVATION_PRELU) {
        slope_of = slope[channel];
      }
#endif
      if (usable) {
        // All loads before all stores: see conv_finish.glsl.
        [[unroll]] for (uint k = 0; k < 16; ++k) {
          if (h + k / 4 < h_out && w + k % 4 < w_out) {
            uint to_one = start + (k / 4 * w_out + k % 4) * row4 * 4;
            results[k % 4][k / 4] = finished_one(to_one, results[k % 4][k / 4], bias_of, slope_of);
          }
        }
        [[unroll]] for (uint k = 0; k < 16; ++k) {
          if (h + k / 4 < h_out && w + k % 4 < w_out) {
            store_one(start + (k / 4 * w_out + k % 4) * row4 * 4, results[k % 4][k / 4]);
          }
        }
      } else {
        [[dont_unroll]] for (uint i = 0; i < 16; ++i) {
          uvec2 inside = uvec2(i / 4, i % 4);
          if (h + inside.x < h_out && w + inside.y < w_out) {
            ivec2 pixel = ivec2(h, w) + ivec2(inside);
            float sum = from_the_definition(image, pixel, column, first * 4, min(last * 4, c_in));
            uint to_one = start + (inside.x * w_out + inside.y) * row4 * 4;
            store_one(to_one, finished_one(to_one, sum, bias_of, slope_of));
          }
        }
      }
    }
    barrier();
  }
}
