// Division, remainder and powers as C and PyTorch define them for floats and integers.
#include "math.glsl"

bool is_moderate(const float x) {
  uint e = (floatBitsToUint(x) >> 23) & 255u;
  return e > 67u && e < 187u;
}

// a / b as IEEE rounds it nearly always, so that whole quotients are whole: Vulkan allows 2.5 ULP.
float quotient(const float a, const float b) {
  float q = a / b;
  if (!is_moderate(a) || !is_moderate(b) || !is_moderate(q)) {
    return q;
  }
  float low;
  float high = product(q, b, low);
  // All of it precise: a driver may otherwise factor q + residue / b into (a + residue) / b.
  precise float corrected = q + ((a - high) - low) / b;
  return corrected;
}

// |x| = mantissa * 2^exponent with a mantissa below 2^24, for finite x.
uint decode(const float x, out int exponent) {
  uint bits = floatBitsToUint(x) & 0x7fffffffu;
  exponent = max(int(bits >> 23), 1) - 150;
  return (bits & 0x007fffffu) | (bits >= 0x00800000u ? 0x00800000u : 0u);
}

// The exact remainder with the sign of a: long division, 8 bits per step.
float fmod_exact(const float a, const float b) {
  if (is_nan(a) || is_nan(b) || is_inf(a) || is_zero(b)) {
    return NAN;
  }
  if (is_inf(b) || less(abs(a), abs(b))) {
    return a;
  }
  int e_a, e;
  uint m_a = decode(a, e_a);
  uint m_b = decode(b, e);
  uint r = m_a % m_b;
  for (int left = e_a - e; left > 0 && r != 0u; left -= 8) {
    r = (r << min(left, 8)) % m_b;
  }
  if (r == 0u) {
    return with_sign_of(0.0, a);
  }
  // r * 2^e as bits: normal when its leading bit can move to bit 23.
  int lead = 23 - findMSB(r);
  int room = e + 149;
  uint bits = lead <= room ? (uint(e - lead + 150) << 23) | ((r << lead) & 0x007fffffu) : r << room;
  return with_sign_of(uintBitsToFloat(bits), a);
}

// The remainder with the sign of b.
float remainder_exact(float a, float b) {
  float r = fmod_exact(a, b);
  return !is_nan(r) && !is_zero(r) && is_negative(r) != is_negative(b) ? r + b : r;
}

float divide_floor(const float a, const float b) {
  if (is_zero(b) || is_nan(a) || is_nan(b)) {
    return a / b;
  }
  float r = fmod_exact(a, b);
  if (is_nan(r)) {
    return NAN;
  }
  float q = quotient(a - r, b);
  if (!is_zero(r) && is_negative(r) != is_negative(b)) {
    q -= 1.0;
  }
  if (is_zero(q)) {
    return with_sign_of(0.0, uintBitsToFloat(floatBitsToUint(a) ^ floatBitsToUint(b)));
  }
  float whole = floor(q);
  return q - whole > 0.5 ? whole + 1.0 : whole;
}

// Whether y is an odd integer.
bool is_odd(const float y) {
  float magnitude = abs(y);
  return magnitude < 16777216.0 && trunc(magnitude) == magnitude && (uint(magnitude) & 1u) == 1u;
}

// x^y for finite x > 0 and finite y. log2(x) is a sum of two floats: an error of 2^-24 in it would
// be multiplied by up to 128.
float power_positive(const float x, const float y) {
  int e;
  float m = split_exponent(x, e);
  // s = (m - 1) / (m + 1) in two parts; ln(m) = 2 atanh(s).
  float f = m - 1.0;
  float divisor_low;
  float divisor = m >= 1.0 ? sum(m, 1.0, divisor_low) : sum(1.0, m, divisor_low);
  float s = f / divisor;
  float low;
  float high = product(s, divisor, low);
  precise float s_low = (((f - high) - low) - s * divisor_low) / divisor;
  float u = s * s;
  float p = 0.14275293 + u * 0.11668406;
  p = 0.20000061 + u * p;
  p = 0.33333334 + u * p;
  // Times 2 / ln(2), which is 2.88539 in two parts.
  high = product(s, 2.885390043258667, low);
  precise float rest = low + (s * 3.851926e-8 + 2.88539 * (s_low + s * u * p));
  // The exponent is a whole number: 0, or larger than the logarithm of the mantissa.
  float carry;
  float log_high = sum(float(e), high, carry);
  if (e == 0) {
    log_high = high;
    carry = 0.0;
  }
  float log_low;
  log_high = sum(log_high, carry + rest, log_low);
  if (abs(y) > 1e12 || abs(log_high * y) > 200.0) {
    // Only a logarithm of 0 escapes the ends of the range here.
    return is_zero(log_high) ? 1.0 : (log_high < 0.0) != (y < 0.0) ? 0.0 : INF;
  }
  if (abs(y) < 1e-12) {
    return 1.0;
  }
  high = product(log_high, y, low);
  float n = roundEven(high);
  precise float r = (high - n) + (low + log_low * y);
  precise float r_e = r * 0.69314718;
  if (n > 130.0) {
    return INF;
  }
  return scale_by_power(exp_reduced(r_e), int(max(n, -200.0)));
}

float power(const float x, const float y) {
  if (is_zero(y) || equal(x, 1.0)) {
    return 1.0;
  }
  if (is_nan(x) || is_nan(y)) {
    return NAN;
  }
  float magnitude = abs(x);
  if (is_inf(y)) {
    return equal(magnitude, 1.0) ? 1.0 : less(magnitude, 1.0) == is_negative(y) ? INF : 0.0;
  }
  bool negative = is_negative(x);
  float value;
  if (is_zero(x)) {
    value = is_negative(y) ? INF : 0.0;
  } else if (is_inf(x)) {
    value = is_negative(y) ? 0.0 : INF;
  } else if (negative && !equal(trunc(y), y)) {
    return NAN;
  } else {
    value = power_positive(magnitude, y);
  }
  return negative && is_odd(y) ? -value : value;
}

// Integer division as C does it; dividing by 0 gives 0, which PyTorch refuses.
int divide_trunc_int(const int a, const int b) {
  if (b == 0) {
    return 0;
  }
  // The lowest integer over -1 wraps around.
  return b == -1 ? 0 - a : a / b;
}

int fmod_int(const int a, const int b) {
  return a - divide_trunc_int(a, b) * b;
}

int divide_floor_int(const int a, const int b) {
  int q = divide_trunc_int(a, b);
  int r = a - q * b;
  return b != 0 && r != 0 && (r < 0) != (b < 0) ? q - 1 : q;
}

int remainder_int(int a, int b) {
  int r = fmod_int(a, b);
  return b != 0 && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// x^y modulo 2^32; a negative exponent leaves only the inverses of 1 and -1.
int power_int(int x, int y) {
  if (y < 0) {
    return x == 1 ? 1 : x == -1 ? ((y & 1) == 0 ? 1 : -1) : 0;
  }
  int value = 1;
  for (; y != 0; y >>= 1) {
    if ((y & 1) != 0) {
      value *= x;
    }
    x *= x;
  }
  return value;
}
