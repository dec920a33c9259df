// Buffers whose element type is a specialization constant.

// How a device buffer stores its elements. Integers and booleans of any width are 32-bit there,
// so no kernel needs 8-bit storage; fp16 is 32-bit on devices without 16-bit storage.
#pragma enum Element
// 32-bit float.
const uint F32 = 0u;
// 16-bit float: in `half` variants only, whose modules need 16-bit storage.
const uint F16 = 1u;
// 32-bit signed integer.
const uint I32 = 2u;

#define ELEMENTS_32(BINDING, QUALIFIER, NAME)                                                  \
  layout(std430, set = 0, binding = BINDING) QUALIFIER buffer NAME##_F32 { float NAME##_f32[]; }; \
  layout(std430, set = 0, binding = BINDING) QUALIFIER buffer NAME##_I32 { int NAME##_i32[]; };

#ifdef HALF
#define ELEMENTS(BINDING, QUALIFIER, NAME) \
  ELEMENTS_32(BINDING, QUALIFIER, NAME)    \
  layout(std430, set = 0, binding = BINDING) QUALIFIER buffer NAME##_F16 { float16_t NAME##_f16[]; };
#define BITS_16(BINDING, QUALIFIER, NAME) \
  layout(std430, set = 0, binding = BINDING) QUALIFIER buffer NAME##_U16 { uint16_t NAME##_u16[]; };
#define HALF_LOAD_BITS(NAME, TYPE, I) \
  if (TYPE == F16) { return uint(NAME##_u16[I]); }
#define HALF_STORE_BITS(NAME, TYPE, I, X) \
  if (TYPE == F16) { NAME##_u16[I] = uint16_t(X); return; }
#define HALF_LOAD(NAME, TYPE, I) \
  if (TYPE == F16) { return float(NAME##_f16[I]); }
#define HALF_STORE(NAME, TYPE, I, X) \
  if (TYPE == F16) { NAME##_f16[I] = float16_t(X); return; }
#else
#define ELEMENTS(BINDING, QUALIFIER, NAME) ELEMENTS_32(BINDING, QUALIFIER, NAME)
#define BITS_16(BINDING, QUALIFIER, NAME)
#define HALF_LOAD_BITS(NAME, TYPE, I)
#define HALF_STORE_BITS(NAME, TYPE, I, X)
#define HALF_LOAD(NAME, TYPE, I)
#define HALF_STORE(NAME, TYPE, I, X)
#endif

// Readable buffer NAME of element TYPE: NAME_float(i), NAME_int(i).
#define INPUT(BINDING, NAME, TYPE)                     \
  ELEMENTS(BINDING, readonly, NAME)                    \
  float NAME##_float(int i) {                          \
    HALF_LOAD(NAME, TYPE, i)                           \
    if (TYPE == I32) { return float(NAME##_i32[i]); }  \
    return NAME##_f32[i];                              \
  }                                                    \
  int NAME##_int(int i) {                              \
    if (TYPE == I32) { return NAME##_i32[i]; }         \
    return int(NAME##_float(i));                       \
  }

// Writable buffer NAME of element TYPE: NAME_set_float(i, x), NAME_set_int(i, x).
#define OUTPUT(BINDING, NAME, TYPE)                            \
  ELEMENTS(BINDING, writeonly, NAME)                           \
  void NAME##_set_float(int i, float x) {                      \
    HALF_STORE(NAME, TYPE, i, x)                               \
    if (TYPE == I32) { NAME##_i32[i] = int(x); return; }       \
    NAME##_f32[i] = x;                                         \
  }                                                            \
  void NAME##_set_int(int i, int x) {                          \
    if (TYPE == I32) { NAME##_i32[i] = x; return; }            \
    NAME##_set_float(i, float(x));                             \
  }

// What only moves elements, or asks whether they are zero, reads and writes their bits: a device may
// flush denormals wherever it sees a float. With INPUT: NAME_bits(i), NAME_is_zero(i). With OUTPUT:
// NAME_set_bits(i, x), for elements of the type that the bits came from.
#define INPUT_BITS(BINDING, NAME, TYPE)                                            \
  BITS_16(BINDING, readonly, NAME)                                                 \
  uint NAME##_bits(int i) {                                                        \
    HALF_LOAD_BITS(NAME, TYPE, i)                                                  \
    return uint(NAME##_i32[i]);                                                    \
  }                                                                                \
  bool NAME##_is_zero(int i) {                                                     \
    uint sign = TYPE == F16 ? 0x8000u : TYPE == F32 ? 0x80000000u : 0u;            \
    return (NAME##_bits(i) & ~sign) == 0u;                                         \
  }

#define OUTPUT_BITS(BINDING, NAME, TYPE)       \
  BITS_16(BINDING, writeonly, NAME)            \
  void NAME##_set_bits(int i, uint x) {        \
    HALF_STORE_BITS(NAME, TYPE, i, x)          \
    NAME##_i32[i] = int(x);                    \
  }
