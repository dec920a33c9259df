// Where the elements of planes.glsl lie.
// [n, c, y, x] of element i.
ivec4 plane_element(uint i) {
  uint c, y, x;
  if (CHANNELS_LAST == 1u) {
    c = i % planes.channels;
    i /= planes.channels;
    x = i % planes.width;
    i /= planes.width;
    y = i % planes.height;
    i /= planes.height;
  } else {
    x = i % planes.width;
    i /= planes.width;
    y = i % planes.height;
    i /= planes.height;
    c = i % planes.channels;
    i /= planes.channels;
  }
  return ivec4(i, c, y, x);
}

// Where the plane of `at` starts in the source.
int source_plane(const ivec4 at) {
  return planes.source.offset + at.x * planes.source.strides[0] + at.y * planes.source.strides[1];
}

int target_element(const ivec4 at) {
  return planes.target.offset + at.x * planes.target.strides[0] + at.y * planes.target.strides[1] + at.z * planes.target.strides[2] +
         at.w * planes.target.strides[3];
}
