// Storing four output channels of one pixel: bias and epilogue. For kernels that write whole quads
// of a channels-packed output, pad lanes included.
layout(constant_id = 3) const uint PIXELS = 1;
layout(constant_id = 4) const uint BIAS = 0;
layout(constant_id = 5) const uint ACTIVATION = 0;
layout(constant_id = 6) const uint RESIDUAL = 0;
layout(constant_id = 7) const uint LAST_ACTIVATION = 0;

layout(std430, set = 0, binding = 2) writeonly buffer Y4 { STORAGE4 y4[]; };
layout(std430, set = 0, binding = 3) readonly buffer Bias { float bias[]; };
layout(std430, set = 0, binding = 4) readonly buffer Slope { float slope[]; };
layout(std430, set = 0, binding = 5) readonly buffer Residual { STORAGE4 residual4[]; };

#include "epilogue.glsl"

// `channels`: the quad's channels, pad lanes replaced by a channel that exists.
void store_y(uint quad, uvec4 channels, vec4 sum) {
  vec4 slopes = vec4(0.0);
  if (BIAS != 0) {
    sum += vec4(bias[channels.x], bias[channels.y], bias[channels.z], bias[channels.w]);
  }
  if (ACTIVATION == PRELU) {
    slopes = vec4(slope[channels.x], slope[channels.y], slope[channels.z], slope[channels.w]);
  }
  vec4 other = vec4(0.0);
  if (RESIDUAL != 0) {
    other = vec4(residual4[quad]);
  }
  y4[quad] = STORAGE4(epilogue(sum, slopes, other));
}
