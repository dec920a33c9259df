// The 6x6 inputs of a tile: of four channels with SERIAL, else of one. The including kernel declares
// x and x4: [n][h_in][w_in][c_in padded to 4]. Pad lanes may be NaN.
#ifdef SERIAL
CELL load_cell(uint pixel, uint quad) {
  bvec4 there = lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_in));
  return mix(vec4(0.0), x4[pixel * ((c_in + 3) / 4) + quad], there);
}
#else
CELL load_cell(uint pixel, uint channel) {
  return channel < c_in ? x[pixel * ((c_in + 3) / 4 * 4) + channel] : 0.0;
}
#endif

// `channel`: of the one, or the quad.
void load_cells(uvec3 start, uint channel) {
  ivec2 corner = ivec2(start.yz) - ivec2(padding_h, padding_w);
  CELL_LOOP for (int i = 0; i < 36; ++i) {
    ivec2 p = corner + ivec2(i / 6, i % 6);
    cells[i] = CELL(0.0);
    if (uint(p.x) < uint(h_in) && uint(p.y) < uint(w_in)) {
      uint pixel = (start.x * uint(h_in) + uint(p.x)) * uint(w_in) + uint(p.y);
      cells[i] = load_cell(pixel, channel);
    }
  }
}
