// The matrix operations of matrix.glsl written out, for devices without matrix units: tests run the
// kernels so on any device. 32 neighbours in a workgroup are a subgroup, whatever the device's is.
// Each of them has half a row of a sum, the row of the left matrix and the columns of the right one
// that it takes, as the shared memory held them when they were loaded.
#define ROW_MAJOR 0
#define SUBGROUP (gl_LocalInvocationID.x / MATRIX_SUBGROUP)
#define LANE (gl_LocalInvocationID.x % MATRIX_SUBGROUP)
#define ROW (LANE / 2)
#define HALF_ROW (LANE % 2)
#define subgroup_barrier() barrier()

// Words hold eight numbers of 16 bits.
struct Left {
  uvec4 words[2];  // of row ROW
};
struct Right {
  uvec4 words[16];  // columns of HALF_ROW, one word of each row
};
#define Sums mat2x4

// Where a word lies, from where the matrix begins.
uint place_of(const Left matrix, const uint word, const uint pitch) {
  return ROW * pitch + word;
}

uint place_of(const Right matrix, const uint word, const uint pitch) {
  return word * pitch + HALF_ROW;
}

#define coopMatLoad(matrix, tile, at, pitch, layout)                              \
  [[unroll]] for (uint word = 0; word < matrix.words.length(); ++word) {          \
    matrix.words[word] = tile[(at) + place_of(matrix, word, pitch)];              \
  }

Sums coopMatMulAdd(const Left left, const Right right, const Sums sum) {
  Sums result = sum;
  [[unroll]] for (uint k = 0; k < MATRIX_SIDE; ++k) {
    float factor = unpackHalf2x16(left.words[k / 8][k % 8 / 2])[k % 2];
    uvec4 row = right.words[k];
    result[0] += factor * vec4(unpackHalf2x16(row.x), unpackHalf2x16(row.y));
    result[1] += factor * vec4(unpackHalf2x16(row.z), unpackHalf2x16(row.w));
  }
  return result;
}

// `value` as `like` holds it.
vec4 as_held(const vec4 like, const vec4 value) {
  return value;
}

uvec4 as_held(const uvec4 like, const vec4 value) {
  return floatBitsToUint(value);
}

#define coopMatStore(sum, tile, at, pitch, layout)                                \
  [[unroll]] for (uint quad = 0; quad < 2; ++quad) {                              \
    uint to = (at) + ROW * (pitch) + HALF_ROW * 2 + quad;                         \
    tile[to] = as_held(tile[to], (sum)[quad]);                                    \
  }
