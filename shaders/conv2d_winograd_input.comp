#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32:
// Winograd's transform of the input, V = B^T d B, for tiles `tile_first`.. of the batch. One
// invocation = one channel of one tile.
#include "workgroup.glsl"
#include "winograd.glsl"

layout(std430, set = 0, binding = 0) readonly buffer X { float x[]; };
// [tile - tile_first][36][c_in padded to 4]
layout(std430, set = 0, binding = 1) writeonly buffer V { float v[]; };

#include "winograd_load.glsl"

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint row = (c_in + 3) / 4 * 4;
  uint channel = id % row;
  load_cells(tile_start(tile_first + id / row), channel);
  input_transform();
  uint at = id / row * 36 * row + channel;
  CELL_LOOP for (uint i = 0; i < 36; ++i) {
    v[at + i * row] = cells[i];
  }
}
