// What becomes of four output channels of one pixel. For kernels that write whole quads of a
// channels-packed output, pad lanes included.
//
// PART: sums of a part of K go into the workspace as they are, PARTS at a time, and
// conv2d_parts.comp finishes them. The constants are declared alike, so that both kinds of variants
// are specialized alike.
//
// Otherwise bias and epilogue finish them. Kernels load what finishes a quad before they store
// anything: drivers cannot know that the output is none of these operands, and load anew.
layout(constant_id = 3) const uint PIXELS = 1;
layout(constant_id = 4) const uint BIAS = 0;
layout(constant_id = 5) const uint ACTIVATION = 0;
layout(constant_id = 6) const uint RESIDUAL = 0;
layout(constant_id = 7) const uint LAST_ACTIVATION = 0;

#ifdef PART
#ifndef PARTS
#define PARTS vec4
#endif
layout(std430, set = 0, binding = 2) writeonly buffer Parts { PARTS parts[]; };
#else
layout(std430, set = 0, binding = 2) writeonly buffer Y4 { STORAGE4 y4[]; };
layout(std430, set = 0, binding = 3) readonly buffer Bias { float bias[]; };
layout(std430, set = 0, binding = 4) readonly buffer Slope { float slope[]; };
layout(std430, set = 0, binding = 5) readonly buffer Residual { STORAGE4 residual4[]; };

#include "epilogue.glsl"

// Of a quad's channels, whatever the pixel.
struct Finish {
  vec4 bias;
  vec4 slope;
};

// Of channels first.. first + 3 of `count`; pad lanes have those of the last.
Finish finish_of(const uint first, const uint count) {
  uvec4 at = min(uvec4(first) + uvec4(0, 1, 2, 3), uvec4(count - 1));
  Finish finish = Finish(vec4(0.0), vec4(0.0));
  if (BIAS != 0) {
    finish.bias = vec4(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
  }
  if (ACTIVATION == ACTIVATION_PRELU) {
    finish.slope = vec4(slope[at.x], slope[at.y], slope[at.z], slope[at.w]);
  }
  return finish;
}

// Quad `quad` of what is added to the output; not read, and 0, when RESIDUAL is 0.
vec4 residual_of(const uint quad) {
  vec4 other = vec4(0.0);
  if (RESIDUAL != 0) {
    other = vec4(residual4[quad]);
  }
  return other;
}

vec4 finished(const vec4 sum, const Finish finish, const vec4 other) {
  return epilogue(BIAS != 0 ? sum + finish.bias : sum, finish.slope, other);
}
#endif
