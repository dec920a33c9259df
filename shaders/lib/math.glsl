#ifndef MATH_GLSL
#define MATH_GLSL
// Functions whose precision Vulkan leaves open (sin and cos may be 5e-4 off) or makes grow with the
// argument (exp, pow): within 1e-6 relative on every device, IEEE special values included.
// Polynomials interpolate at Chebyshev nodes; errors in comments are those of the polynomial.
#include "float.glsl"

// e^r for |r| <= ln(2) / 2: 1e-9.
float exp_reduced(const float r) {
  float p = 1.3934541e-3 + r * 1.989198e-4;
  p = 8.3333105e-3 + r * p;
  p = 4.1666456e-2 + r * p;
  p = 0.16666667 + r * p;
  p = 0.5 + r * p;
  return 1.0 + (r + r * r * p);
}

float exp_exact(const float x) {
  if (is_nan(x)) {
    return x;
  }
  if (x > 88.73) {
    return INF;
  }
  if (x < -104.0) {
    return 0.0;
  }
  float n = roundEven(x * 1.44269504);
  // ln(2) in two parts; the first has 14 bits, so its product with n is exact.
  precise float r = (x - n * 0.693115234375) - n * 3.1946183e-5;
  return scale_by_power(exp_reduced(r), int(n));
}

// x = mantissa * 2^exponent with the mantissa in [sqrt(1/2), sqrt(2)), for x > 0 and finite.
float split_exponent(const float x, out int exponent) {
  int bits = floatBitsToInt(x);
  exponent = 0;
  if (bits < 0x00800000) {
    // A denormal: its bits are the number times 2^149.
    bits = floatBitsToInt(float(bits));
    exponent = -149;
  }
  int shifted = bits - 0x3f3504f3;
  exponent += shifted >> 23;
  return intBitsToFloat((shifted & 0x007fffff) + 0x3f3504f3);
}

// ln(m) for m in [sqrt(1/2), sqrt(2)): 3e-9.
float log_reduced(const float m) {
  float f = m - 1.0;
  float p = -0.11483081 + f * 6.9713466e-2;
  p = 0.11687025 + f * p;
  p = -0.1242536 + f * p;
  p = 0.14248876 + f * p;
  p = -0.1666781 + f * p;
  p = 0.2000072 + f * p;
  p = -0.24999997 + f * p;
  p = 0.33333331 + f * p;
  float square = f * f;
  return f - (0.5 * square - f * square * p);
}

// Whether log is not a finite number there; `value` is then what it is.
bool log_special(const float x, out float value) {
  value = 0.0;
  if (is_nan(x)) {
    value = x;
  } else if (is_zero(x)) {
    value = -INF;
  } else if (floatBitsToInt(x) < 0) {
    value = NAN;
  } else if (is_inf(x)) {
    value = INF;
  } else {
    return false;
  }
  return true;
}

float log_exact(const float x) {
  float special;
  if (log_special(x, special)) {
    return special;
  }
  int e;
  float m = log_reduced(split_exponent(x, e));
  precise float value = float(e) * 0.693115234375 + (m + float(e) * 3.1946183e-5);
  return value;
}

float log2_exact(const float x) {
  float special;
  if (log_special(x, special)) {
    return special;
  }
  int e;
  float m = log_reduced(split_exponent(x, e));
  return float(e) + m * 1.44269504;
}

float log10_exact(const float x) {
  float special;
  if (log_special(x, special)) {
    return special;
  }
  int e;
  float m = log_reduced(split_exponent(x, e));
  precise float value = float(e) * 0.301025390625 + (m * 0.43429449 + float(e) * 4.605039e-6);
  return value;
}

// Both keep their relative precision at both ends.
float sigmoid(const float x) {
  float e = exp_exact(-abs(x));
  return x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

float tanh_exact(const float x) {
  float magnitude = abs(x);
  if (is_nan(x)) {
    return x;
  }
  if (magnitude < 0.625) {
    float u = x * x;
    float p = -8.3231870e-3 + u * 2.2695018e-3; // 6e-9
    p = 2.1762503e-2 + u * p;
    p = -5.3958461e-2 + u * p;
    p = 0.133333 + u * p;
    p = -0.33333334 + u * p;
    return x + x * u * p;
  }
  return with_sign_of(1.0 - 2.0 / (exp_exact(2.0 * magnitude) + 1.0), x);
}

// erfc(z) for z >= 0.89, relative 1e-7 besides the exponential's z^2 * 1e-7.
float erfc_tail(const float z) {
  float t = 1.0 / (1.0 + 0.5 * z);
  float p = 6.5985858e-2 + t * 9.2237303e-3;
  p = -0.19393879 + t * p;
  p = 6.4060368e-2 + t * p;
  p = 6.5569550e-2 + t * p;
  p = 0.17889909 + t * p;
  p = 0.24665268 + t * p;
  p = 0.28209955 + t * p;
  p = 0.28209478 + t * p;
  return t * p * exp_exact(-z * z);
}

// erf(x) / x for |x| <= 0.894: 7e-8.
float erf_over_x(const float x) {
  float u = x * x;
  float p = -8.1876153e-4 + u * 8.5653912e-5;
  p = 5.2048857e-3 + u * p;
  p = -2.6860913e-2 + u * p;
  p = 0.11283723 + u * p;
  p = -0.37612635 + u * p;
  return 1.1283792 + u * p;
}

float erf_exact(const float x) {
  if (is_nan(x)) {
    return x;
  }
  float z = abs(x);
  if (z < 0.89) {
    return x * erf_over_x(x);
  }
  return z > 4.0 ? with_sign_of(1.0, x) : with_sign_of(1.0 - erfc_tail(z), x);
}

// x times the normal distribution function of x.
float gelu_exact(const float x) {
  float z = abs(x) * 0.70710678;
  if (is_nan(x) || z < 0.89) {
    return 0.5 * x * (1.0 + erf_exact(x * 0.70710678));
  }
  float tail = 0.5 * erfc_tail(min(z, 12.0));
  return x > 0.0 ? x * (1.0 - tail) : x * tail;
}

// Its tanh approximation, as x * sigmoid: nothing overflows into infinity / infinity.
float gelu_tanh(const float x) {
  return x * sigmoid(1.59576912 * (x + 0.044715 * x * x * x));
}

// 2 / pi in fixed point: 32 zero bits, then the fraction.
const uint TWO_OVER_PI[9] = uint[](
    0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
    0xdebbc561u);

uint two_over_pi_bits(const int first) {
  int word = first >> 5;
  int shift = first & 31;
  uint high = TWO_OVER_PI[word];
  return shift == 0 ? high : (high << shift) | (TWO_OVER_PI[word + 1] >> (32 - shift));
}

// x = quadrant * pi / 2 + returned, |returned| <= pi / 4, for any finite x: 24 bits of x times the
// 96 bits of 2 / pi that matter modulo 4.
float reduce_quadrant(const float x, out int quadrant) {
  float magnitude = abs(x);
  quadrant = 0;
  if (magnitude <= 0.785398) {
    return x;
  }
  int bits = floatBitsToInt(magnitude);
  int e = (bits >> 23) - 150;
  uint m = uint(bits & 0x007fffff) | 0x00800000u;
  // Bits of weight 2^(1 - e) and lower: higher ones only add multiples of 4.
  int first = e + 30;
  uint high0, low0, high1, low1, carry;
  umulExtended(m, two_over_pi_bits(first + 64), high0, low0);
  umulExtended(m, two_over_pi_bits(first + 32), high1, low1);
  uint middle = uaddCarry(low1, high0, carry);
  uint top = m * two_over_pi_bits(first) + high1 + carry;
  quadrant = int(top >> 30);
  // The fraction of a quadrant, 64 bits.
  top = (top << 2) | (middle >> 30);
  middle = (middle << 2) | (low0 >> 30);
  bool round_up = (top & 0x80000000u) != 0u;
  if (round_up) {
    quadrant = (quadrant + 1) & 3;
    top = ~top;
    middle = ~middle;
  }
  int lead = top != 0u ? 31 - findMSB(top) : 32;
  uint significant = lead == 0 ? top : lead == 32 ? middle : (top << lead) | (middle >> (32 - lead));
  float r = scale_by_power(float(significant), -32 - lead) * 1.57079633;
  bool negative = round_up != (x < 0.0);
  if (x < 0.0) {
    quadrant = (4 - quadrant) & 3;
  }
  return negative ? -r : r;
}

// sin and cos for |r| <= pi / 4: 4e-9 and 1e-9.
float sin_reduced(const float r) {
  float u = r * r;
  float p = -1.9840087e-4 + u * 2.7249896e-6;
  p = 8.3333319e-3 + u * p;
  p = -0.16666667 + u * p;
  return r + r * u * p;
}

float cos_reduced(const float r) {
  float u = r * r;
  float p = -1.3888302e-3 + u * 2.4547917e-5;
  p = 4.1666664e-2 + u * p;
  return 1.0 - (0.5 * u - u * u * p);
}

// sin(x + turns * pi / 2).
float sin_shifted(const float x, const int turns) {
  if (is_nan(x) || is_inf(x)) {
    return NAN;
  }
  int quadrant;
  float r = reduce_quadrant(x, quadrant);
  quadrant = (quadrant + turns) & 3;
  float value = (quadrant & 1) == 0 ? sin_reduced(r) : cos_reduced(r);
  return quadrant >= 2 ? -value : value;
}

float tan_exact(const float x) {
  if (is_nan(x) || is_inf(x)) {
    return NAN;
  }
  int quadrant;
  float r = reduce_quadrant(x, quadrant);
  float s = sin_reduced(r);
  float c = cos_reduced(r);
  return (quadrant & 1) == 0 ? s / c : -(c / s);
}

float sqrt_exact(const float x) {
  if (is_nan(x) || is_zero(x)) {
    return x;
  }
  return x < 0.0 ? NAN : is_inf(x) ? x : sqrt(x);
}

float rsqrt_exact(const float x) {
  if (is_nan(x)) {
    return x;
  }
  if (is_zero(x)) {
    return with_sign_of(INF, x);
  }
  return x < 0.0 ? NAN : is_inf(x) ? 0.0 : inversesqrt(x);
}
#endif
