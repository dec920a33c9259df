// Elements of a target [n, c, h, w], numbered in the order of its memory, and the planes of a source
// [n, c, ...]. The including file declares PLANES_EXTRA: push constants of its own.
// Innermost dim of the target in memory: 0 w, 1 c.
layout(constant_id = 3) const uint CHANNELS_LAST = 0;

layout(push_constant) uniform Push {
  uint count;
  uint channels;
  uint height;
  uint width;
  int source_offset;
  int target_offset;
  int source_strides[4];
  int target_strides[4];
  PLANES_EXTRA
};

// [n, c, y, x] of element i.
ivec4 plane_element(uint i) {
  uint c, y, x;
  if (CHANNELS_LAST == 1u) {
    c = i % channels;
    i /= channels;
    x = i % width;
    i /= width;
    y = i % height;
    i /= height;
  } else {
    x = i % width;
    i /= width;
    y = i % height;
    i /= height;
    c = i % channels;
    i /= channels;
  }
  return ivec4(i, c, y, x);
}

// Where the plane of `at` starts in the source.
int source_plane(const ivec4 at) {
  return source_offset + at.x * source_strides[0] + at.y * source_strides[1];
}

int target_element(const ivec4 at) {
  return target_offset + at.x * target_strides[0] + at.y * target_strides[1] + at.z * target_strides[2] +
         at.w * target_strides[3];
}
