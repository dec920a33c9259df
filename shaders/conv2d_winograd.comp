#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32: ; serial_f32: SERIAL
// Winograd's transform of the products, Y = A^T M A, then bias and epilogue, for tiles
// `tile_first`.. of the batch. One invocation = one channel of one tile of 4x4 outputs, of which
// those at the right and bottom edges may lie outside.
// SERIAL: four channels; computes the products too, each summed as conv2d_implicit.comp sums it: for budgets that
// hold no tiles.
// A NaN or an infinity in the image spreads over whole tiles, and large finite numbers may overflow
// on the way: a channel of a tile with such a result is computed again from the definition, so that they reach
// the outputs that see them and no others.
#include "workgroup.glsl"
#include "storage.glsl"
#include "winograd.glsl"

// x: [n][h_in][w_in][c_in padded to 4]
layout(std430, set = 0, binding = 0) readonly buffer X { float x[]; };
#ifdef SERIAL
layout(std430, set = 0, binding = 0) readonly buffer X4 { vec4 x4[]; };
// u: [36][c_in padded to 4][c_out padded to 4]
layout(std430, set = 0, binding = 1) readonly buffer U4 { vec4 u4[]; };
#else
// m: [tile - tile_first][36][c_out padded to 4]
layout(std430, set = 0, binding = 1) readonly buffer M { float m[]; };
#endif
// weight: [3][3][k_channels][c_out padded to 4]
#ifdef SERIAL
layout(std430, set = 0, binding = 6) readonly buffer Weight4 { vec4 weight4[]; };
#else
layout(std430, set = 0, binding = 6) readonly buffer Weight { float weight[]; };
#endif

#include "conv_finish.glsl"

#ifdef SERIAL
#include "winograd_load.glsl"

vec4 sums[36];

void load_products(uvec3 start, uint quad, uint quads) {
  CELL_LOOP for (uint i = 0; i < 36; ++i) {
    sums[i] = vec4(0.0);
  }
  uint k = (c_in + 3) / 4 * 4;
  for (uint c = 0; c < k; c += 4) {
    load_cells(start, c / 4);
    input_transform();
    CELL_LOOP for (uint i = 0; i < 36; ++i) {
      uint at = (i * k + c) * quads + quad;
      vec4 cell = cells[i];
      vec4 sum = sums[i];
      sum = fma(vec4(cell.x), u4[at], sum);
      sum = fma(vec4(cell.y), u4[at + quads], sum);
      sum = fma(vec4(cell.z), u4[at + 2 * quads], sum);
      sums[i] = fma(vec4(cell.w), u4[at + 3 * quads], sum);
    }
  }
  cells = sums;
}
bvec4 finite(vec4 value) {
  return lessThan(floatBitsToUint(value) & 0x7fffffffu, uvec4(0x7f800000u));
}
#else
layout(std430, set = 0, binding = 2) writeonly buffer Y { float y[]; };
layout(std430, set = 0, binding = 5) readonly buffer Residual1 { float residual[]; };

bool finite(float value) {
  return (floatBitsToUint(value) & 0x7fffffffu) < 0x7f800000u;
}

// As store_y, of one channel.
void store_one(uint at, uint channel, float sum) {
  if (BIAS != 0) {
    sum += bias[channel];
  }
  float slope_of = ACTIVATION == PRELU ? slope[channel] : 0.0;
  float other = RESIDUAL != 0 ? residual[at] : 0.0;
  y[at] = epilogue(vec4(sum), vec4(slope_of), vec4(other)).x;
}
#endif

// `column`: of the weight, a channel or a quad.
CELL from_the_definition(uint image, ivec2 at, uint column) {
  uint row = (c_in + 3) / 4 * 4;
  uint columns4 = (c_out + 3) / 4;
  CELL sum = CELL(0.0);
  for (uint tap = 0; tap < 9; ++tap) {
    ivec2 p = at + ivec2(tap / 3, tap % 3) - ivec2(padding_h, padding_w);
    if (uint(p.x) >= uint(h_in) || uint(p.y) >= uint(w_in)) {
      continue;
    }
    uint pixel = (image * uint(h_in) + uint(p.x)) * uint(w_in) + uint(p.y);
    for (uint c = 0; c < c_in; ++c) {
#ifdef SERIAL
      CELL factor = weight4[(tap * k_channels + c) * columns4 + column];
#else
      CELL factor = weight[(tap * k_channels + c) * columns4 * 4 + column];
#endif
      sum = fma(CELL(x[pixel * row + c]), factor, sum);
    }
  }
  return sum;
}

#ifdef SERIAL
void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint quads = (c_out + 3) / 4;
  uint quad = id % quads;
  uvec4 channels = min(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_out - 1));
  uvec3 start = tile_start(tile_first + id / quads);
  load_products(start, quad, quads);
  output_transform();
  bvec4 usable = bvec4(true);
  CELL_LOOP for (uint i = 0; i < 16; ++i) {
    bvec4 good = finite(cells[i / 4 * 6 + i % 4]);
    usable = bvec4(uvec4(usable) & uvec4(good));
  }
  uint pixel = (start.x * h_out + start.y) * w_out + start.z;
  CELL_LOOP for (uint i = 0; i < 16; ++i) {
    uvec2 at = uvec2(i / 4, i % 4);
    if (start.y + at.x < h_out && start.z + at.y < w_out) {
      vec4 sum = cells[at.x * 6 + at.y];
      if (!all(usable)) {
        sum = mix(from_the_definition(start.x, ivec2(start.yz + at), quad), sum, usable);
      }
      store_y((pixel + at.x * w_out + at.y) * quads + quad, channels, sum);
    }
  }
}
#else
void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint row = (c_out + 3) / 4 * 4;
  uint column = id % row;
  // Pad lanes compute the last channel once more, but for its products, which are zeros.
  uint channel = min(column, c_out - 1);
  uvec3 start = tile_start(tile_first + id / row);
  uint products = id / row * 36 * row + column;
  CELL_LOOP for (uint i = 0; i < 36; ++i) {
    cells[i] = m[products + i * row];
  }
  output_transform();
  bool usable = true;
  CELL_LOOP for (uint i = 0; i < 16; ++i) {
    usable = usable && finite(cells[i / 4 * 6 + i % 4]);
  }
  uint pixel = (start.x * h_out + start.y) * w_out + start.z;
  if (usable) {
    CELL_LOOP for (uint i = 0; i < 16; ++i) {
      uvec2 at = uvec2(i / 4, i % 4);
      if (start.y + at.x < h_out && start.z + at.y < w_out) {
        store_one((pixel + at.x * w_out + at.y) * row + column, channel, cells[at.x * 6 + at.y]);
      }
    }
    return;
  }
  [[dont_unroll]] for (uint i = 0; i < 16; ++i) {
    uvec2 at = uvec2(i / 4, i % 4);
    if (start.y + at.x < h_out && start.z + at.y < w_out) {
      float sum = from_the_definition(start.x, ivec2(start.yz + at), column);
      store_one((pixel + at.x * w_out + at.y) * row + column, channel, sum);
    }
  }
}
#endif
