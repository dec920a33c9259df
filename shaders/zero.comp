#version 450
#extension GL_GOOGLE_include_directive : require
// Zeros in a whole buffer of 16-byte words, whatever the type of its elements.
#include "workgroup.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Words { uvec4 words[]; };

layout(push_constant) uniform Push {
  uint count;
};

void main() {
  uint id = line_index();
  if (id < count) {
    words[id] = uvec4(0);
  }
}
