// For kernels on matrix units: matrices of 16x16, 16-bit operands and 32-bit sums, of a subgroup of 32.
const uint MATRIX_SIDE = 16;
const uint MATRIX_SUBGROUP = 32;
#define Sums coopmat<float, gl_ScopeSubgroup, MATRIX_SIDE, MATRIX_SIDE, gl_MatrixUseAccumulator>

// `count` as drivers cannot know it: some unroll every loop whose length they know, whatever they
// are told, and code that a workgroup runs once takes longer to load than to run. On an H100 128
// channels at 256x256 take 56 microseconds instead of 63. `word` is below 2^31, whatever it is.
uint unknown(const uint count, const uint word) {
  return count + (word >> 31);
}

uvec4 packed(const f16vec4 low, const f16vec4 high) {
  return uvec4(packFloat2x16(low.xy), packFloat2x16(low.zw), packFloat2x16(high.xy),
               packFloat2x16(high.zw));
}
