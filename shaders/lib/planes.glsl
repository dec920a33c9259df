// Planes: elements of a target [n, c, h, w], numbered in the order of its memory, and the planes of a
// source [n, c, ...]. A kernel's push constants begin with `Planes planes`; plane_elements.glsl walks
// over them.
#define MAX_RANK 4
#include "strided.glsl"

#pragma types CHANNELS_LAST: bool
// Innermost dim of the target in memory: 0 w, 1 c.
layout(constant_id = 3) const uint CHANNELS_LAST = 0;

struct Planes {
  uint count;
  uint channels;
  uint height;
  uint width;
  Window source;
  Window target;
};
