// Winograd's F(4x4, 3x3): Y = A^T [(G g G^T) * (B^T d B)] A for tiles of 4x4 outputs, which see
// 6x6 inputs. Points 0, P, -P, Q, -Q and infinity; src/constant/winograd.rs has G and says why.
// All kernels take these functions, with a rounding per line, so that none differs in a bit.
// SERIAL keeps cells of four channels in memory and its code small; the others keep those of one
// channel in registers, so that a GPU has enough invocations to hide 36 loads behind each other.
#ifdef SERIAL
#define CELL vec4
#define CELL_LOOP [[dont_unroll]]
#else
#define CELL float
#define CELL_LOOP [[unroll]]
#endif

const float P = 0.625;
const float Q = 1.5;
const float P2 = P * P;
const float Q2 = Q * Q;

layout(push_constant) uniform Push {
  uint tile_first;
  uint count;  // invocations
  uint c_in;
  uint c_out;
  uint tiles_h;  // per image
  uint tiles_w;
  int h_in;
  int w_in;
  uint h_out;
  uint w_out;
  int padding_h;
  int padding_w;
  uint k_channels;  // of K per tap, of the weight as it was
  float activation_p;
  float activation_q;
  float last_p;
  float last_q;
};

// Positions of a tile, row-major: 6x6, of results 4 of 6 in each direction.
CELL cells[36];

// B^T of six cells.
void input_points(uint at, uint step) {
  CELL d0 = cells[at];
  CELL d1 = cells[at + step];
  CELL d2 = cells[at + 2 * step];
  CELL d3 = cells[at + 3 * step];
  CELL d4 = cells[at + 4 * step];
  CELL d5 = cells[at + 5 * step];
  precise CELL first = fma(CELL(-P2 - Q2), d2, d4);
  precise CELL last = fma(CELL(-P2 - Q2), d3, d5);
  precise CELL even_p = fma(CELL(-Q2), d2, d4);
  precise CELL odd_p = fma(CELL(-Q2), d1, d3);
  precise CELL even_q = fma(CELL(-P2), d2, d4);
  precise CELL odd_q = fma(CELL(-P2), d1, d3);
  precise CELL v0 = fma(CELL(P2 * Q2), d0, first);
  precise CELL v1 = fma(CELL(P), odd_p, even_p);
  precise CELL v2 = fma(CELL(-P), odd_p, even_p);
  precise CELL v3 = fma(CELL(Q), odd_q, even_q);
  precise CELL v4 = fma(CELL(-Q), odd_q, even_q);
  precise CELL v5 = fma(CELL(P2 * Q2), d1, last);
  cells[at] = v0;
  cells[at + step] = v1;
  cells[at + 2 * step] = v2;
  cells[at + 3 * step] = v3;
  cells[at + 4 * step] = v4;
  cells[at + 5 * step] = v5;
}

// Columns, then rows.
void input_transform() {
  CELL_LOOP for (uint i = 0; i < 12; ++i) {
    input_points(i < 6 ? i : (i - 6) * 6, i < 6 ? 6 : 1);
  }
}

// A^T of six cells, into the first four.
void output_points(uint at, uint step) {
  CELL m0 = cells[at];
  CELL m5 = cells[at + 5 * step];
  precise CELL sum_p = cells[at + step] + cells[at + 2 * step];
  precise CELL difference_p = cells[at + step] - cells[at + 2 * step];
  precise CELL sum_q = cells[at + 3 * step] + cells[at + 4 * step];
  precise CELL difference_q = cells[at + 3 * step] - cells[at + 4 * step];
  precise CELL both = sum_p + sum_q;
  precise CELL q1 = Q * difference_q;
  precise CELL q2 = Q2 * sum_q;
  precise CELL q3 = fma(CELL(Q2 * Q), difference_q, m5);
  precise CELL y0 = m0 + both;
  precise CELL y1 = fma(CELL(P), difference_p, q1);
  precise CELL y2 = fma(CELL(P2), sum_p, q2);
  precise CELL y3 = fma(CELL(P2 * P), difference_p, q3);
  cells[at] = y0;
  cells[at + step] = y1;
  cells[at + 2 * step] = y2;
  cells[at + 3 * step] = y3;
}

// Rows, then the columns that are left.
void output_transform() {
  CELL_LOOP for (uint i = 0; i < 10; ++i) {
    output_points(i < 6 ? i * 6 : i - 6, i < 6 ? 1 : 6);
  }
}

// Image, row and column of output 0 of a tile, counted over the batch.
uvec3 tile_start(uint tile) {
  uint line = tile / tiles_w;
  return uvec3(line / tiles_h, line % tiles_h * 4, tile % tiles_w * 4);
}
