// The 6x6 inputs of a tile. The including kernel declares x4: [n][h_in][w_in][c_in padded to 4].
void load_cells(uvec3 start, uint quad) {
  uint quads = (c_in + 3) / 4;
  ivec2 corner = ivec2(start.yz) - ivec2(padding_h, padding_w);
  // Pad lanes may be NaN.
  bvec4 there = lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(c_in));
  CELL_LOOP for (int i = 0; i < 36; ++i) {
    ivec2 p = corner + ivec2(i / 6, i % 6);
    cells[i] = vec4(0.0);
    if (uint(p.x) < uint(h_in) && uint(p.y) < uint(w_in)) {
      uint pixel = (start.x * uint(h_in) + uint(p.x)) * uint(w_in) + uint(p.y);
      cells[i] = mix(vec4(0.0), x4[pixel * quads + quad], there);
    }
  }
}
