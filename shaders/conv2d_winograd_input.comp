#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#pragma variants f32:
// Winograd's transform of the input, V = B^T d B, for tiles `tile_first`.. of the batch. One
// invocation = four channels of one tile.
#include "workgroup.glsl"
#include "winograd.glsl"

layout(std430, set = 0, binding = 0) readonly buffer X4 { vec4 x4[]; };
// [tile - tile_first][36][c_in padded to 4]
layout(std430, set = 0, binding = 1) writeonly buffer V4 { vec4 v4[]; };

#include "winograd_load.glsl"

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  uint quads = (c_in + 3) / 4;
  uint quad = id % quads;
  load_cells(tile_start(tile_first + id / quads), quad);
  input_transform();
  uint at = id / quads * 36 * quads + quad;
  CELL_LOOP for (uint i = 0; i < 36; ++i) {
    v4[at + i * quads] = cells[i];
  }
}
