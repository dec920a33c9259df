// Images that hold the columns of im2col: x = k / 4, then rows of columns along y, in 3-D along y and z.
// TEXTURE2D and TEXTURE3D say which; without them columns are a buffer, and this file defines nothing.
#ifdef HALF
#define COLUMNS_FORMAT rgba16f
#else
#define COLUMNS_FORMAT rgba32f
#endif

#if defined(TEXTURE2D)
#define COLUMNS_IMAGE image2D
#define COLUMNS_AT ivec2
#elif defined(TEXTURE3D)
#define COLUMNS_IMAGE image3D
#define COLUMNS_AT ivec3
#endif

#ifdef COLUMNS_IMAGE
// Row `row` of a matrix that starts at `first` along the last axis, with `width` rows along y where z
// goes on behind them.
COLUMNS_AT columns_row(const uint first, const uint row, const uint width) {
#ifdef TEXTURE2D
  return ivec2(0, int(first + row));
#else
  return ivec3(0, int(row % width), int(first + row / width));
#endif
}
#endif
