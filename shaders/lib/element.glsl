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
#define HALF_LOAD(NAME, TYPE, I) \
  if (TYPE == F16) { return float(NAME##_f16[I]); }
#define HALF_STORE(NAME, TYPE, I, X) \
  if (TYPE == F16) { NAME##_f16[I] = float16_t(X); return; }
#else
#define ELEMENTS(BINDING, QUALIFIER, NAME) ELEMENTS_32(BINDING, QUALIFIER, NAME)
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
