// Buffers whose element type is a specialization constant: 0 float, 1 fp16, 2 int.
// fp16 exists in the `half` variants only; there a module needs 16-bit storage.
const uint F32 = 0u;
const uint F16 = 1u;
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
