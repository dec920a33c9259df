#version 450
#extension GL_GOOGLE_include_directive : require
#pragma variants f32: ; f16: HALF
// Adds what conv2d_implicit.comp summed over parts of K, in the order of K. One invocation = four
// channels of one pixel.
#include "workgroup.glsl"
#include "storage.glsl"
#include "activation.glsl"

// [part][quad - first]
layout(std430, set = 0, binding = 0) readonly buffer Parts { vec4 parts[]; };
layout(std430, set = 0, binding = 1) readonly buffer Weight4 { STORAGE4 weight4[]; };

layout(push_constant) uniform Push {
  uint first;  // quad of the output
  uint count;  // quads
  uint part_count;
  uint quads;  // per pixel
  uint channels;
  EpilogueParameters parameters;
};

#include "conv_finish.glsl"

void main() {
  uint id = line_index();
  if (id >= count) {
    return;
  }
  vec4 sum = parts[id];
  for (uint part = 1; part < part_count; ++part) {
    sum += parts[part * count + id];
  }
  uint quad = first + id;
  y4[quad] = STORAGE4(finished(sum, finish_of(quad % quads * 4, channels), residual_of(quad)));
}
