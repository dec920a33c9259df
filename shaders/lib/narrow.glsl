// What 32-bit results become in a narrower integer type, by the specialization constant NARROW.
#pragma enum Narrow
const uint NARROW_NONE = 0u;
const uint NARROW_BOOL = 1u;
const uint NARROW_U8 = 2u;
const uint NARROW_I8 = 3u;

#pragma types NARROW: Narrow

int narrowed(const int x) {
  if (NARROW == NARROW_BOOL) {
    return x != 0 ? 1 : 0;
  }
  if (NARROW == NARROW_U8) {
    return x & 255;
  }
  return NARROW == NARROW_I8 ? bitfieldExtract(x, 0, 8) : x;
}
