// Loads of four neighbours in K of LOADS_A pixels. The including kernel declares LOADS_A and TILE_K4.
// Where the rows that this invocation loads start in the image: tap (0, 0).
ivec2 corner[LOADS_A];
int corner_at[LOADS_A];
// Position in K of the next load: tap, quad of channels.
int kh, kw;
uint channel4;
uint next_k4;

void seek(const uint k4) {
  next_k4 = k4;
  int tap = int(k4 / quads_k);
  channel4 = k4 % quads_k;
  kh = tap / window.kernel_w;
  kw = tap % window.kernel_w;
}

// `quads` of four further in K.
void step_k4(const uint quads) {
  next_k4 += quads;
  channel4 += quads;
  while (VECTORS != VECTORS_NONE && channel4 >= quads_k) {
    channel4 -= quads_k;
    if (++kw == window.kernel_w) {
      kw = 0;
      ++kh;
    }
  }
}

void advance() {
  step_k4(TILE_K4);
}

float element_of(const uint load, const uint at_k, const uint group) {
  uint tap = at_k / K_CHANNELS;
  ivec2 at = ivec2(tap / KERNEL_W, tap % KERNEL_W) * ivec2(window.dilation_h, window.dilation_w);
  ivec2 p = corner[load] + at;
  if (at_k >= k || uint(p.x) >= uint(window.h_in) || uint(p.y) >= uint(window.w_in)) {
    return 0.0;
  }
  uint offset = uint(corner_at[load] + at.x * window.w_in + at.y) * pixel_in;
  return float(x[offset + group * group_in + at_k % K_CHANNELS]);
}

vec4 load_a(const uint load, const uint group) {
  if (VECTORS == VECTORS_NONE) {
    uint at_k = next_k4 * 4;
    return vec4(element_of(load, at_k, group), element_of(load, at_k + 1, group),
                element_of(load, at_k + 2, group), element_of(load, at_k + 3, group));
  }
  ivec2 at = ivec2(kh * window.dilation_h, kw * window.dilation_w);
  ivec2 p = corner[load] + at;
  vec4 value = vec4(0.0);
  if (kh < window.kernel_h && uint(p.x) < uint(window.h_in) && uint(p.y) < uint(window.w_in)) {
    uint pixel = uint(corner_at[load] + at.x * window.w_in + at.y);
    value = vec4(x4[pixel * (pixel_in >> 2) + ((group * group_in) >> 2) + channel4]);
    if (VECTORS == VECTORS_PADDED) {
      uvec4 channel = uvec4(channel4 * 4) + uvec4(0, 1, 2, 3);
      value = mix(vec4(0.0), value, lessThan(channel, uvec4(group_in)));
    }
  }
  return value;
}

// Load `load` of this invocation is of pixel `row`.
void place(const uint load, const uint row) {
  uint line = row / uint(window.w_out);
  uint image = line / uint(window.h_out);
  corner[load].x = int(line % uint(window.h_out)) * window.stride_h - window.padding_h;
  corner[load].y = int(row % uint(window.w_out)) * window.stride_w - window.padding_w;
  corner_at[load] = (int(image) * window.h_in + corner[load].x) * window.w_in + corner[load].y;
  if (row >= pixel_end) {
    // Outside of the image, whatever the tap.
    corner[load].x = -0x40000000;
  }
}
