#ifndef FLOAT_GLSL
#define FLOAT_GLSL
// IEEE facts that GLSL leaves to the driver: NaN, infinity and order are read from the bits.
#define INF uintBitsToFloat(0x7f800000u)
#define NAN uintBitsToFloat(0x7fc00000u)

bool is_nan(const float x) {
  return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u;
}

bool is_inf(const float x) {
  return (floatBitsToUint(x) & 0x7fffffffu) == 0x7f800000u;
}

bool is_zero(const float x) {
  return (floatBitsToUint(x) & 0x7fffffffu) == 0u;
}

// Integers in the order of the floats, denormals included; 0 and -0 are equal. Not for NaN.
int ordered(const float x) {
  int bits = floatBitsToInt(x);
  return bits < 0 ? int(0x80000000u) - bits : bits;
}

bool equal(const float a, const float b) {
  return !is_nan(a) && !is_nan(b) && ordered(a) == ordered(b);
}

bool less(const float a, const float b) {
  return !is_nan(a) && !is_nan(b) && ordered(a) < ordered(b);
}

// NaN wins, as in torch.minimum, torch.maximum and clamp.
float minimum(const float a, const float b) {
  if (is_nan(a) || is_nan(b)) {
    return NAN;
  }
  return ordered(a) < ordered(b) ? a : b;
}

float maximum(const float a, const float b) {
  if (is_nan(a) || is_nan(b)) {
    return NAN;
  }
  return ordered(a) > ordered(b) ? a : b;
}

float with_sign_of(const float magnitude, const float sign) {
  return uintBitsToFloat((floatBitsToUint(magnitude) & 0x7fffffffu) | (floatBitsToUint(sign) & 0x80000000u));
}

// x * 2^n for n in [-252, 252].
float scale_by_power(const float x, const int n) {
  int half_n = n >> 1;
  return x * intBitsToFloat((half_n + 127) << 23) * intBitsToFloat((n - half_n + 127) << 23);
}

// a * b = returned + low exactly, without relying on a fused multiply-add: each half has 12 bits.
// For magnitudes far from overflow and underflow.
float product(const float a, const float b, out float low) {
  float a_high = uintBitsToFloat(floatBitsToUint(a) & 0xfffff000u);
  float b_high = uintBitsToFloat(floatBitsToUint(b) & 0xfffff000u);
  precise float a_low = a - a_high;
  precise float b_low = b - b_high;
  precise float high = a * b;
  precise float error = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low;
  low = error;
  return high;
}

// a + b = returned + low exactly, for |a| >= |b|.
float sum(const float a, const float b, out float low) {
  precise float high = a + b;
  precise float error = b - (high - a);
  low = error;
  return high;
}
#endif
