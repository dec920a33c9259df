//! Numbers from a seed. Tests print the seed when they fail.
#![allow(dead_code, unreachable_pub, reason = "no test binary uses all of it")]

/// A small generator (xorshift64*); the same seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Spread small seeds; 0 would stay 0.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From `low` to `high`, both inclusive.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1).unsigned_abs()) as i64
    }

    /// From `low` up to `high`.
    pub fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn floats(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.float(low, high)).collect()
    }

    pub fn ints(&mut self, count: usize, low: i64, high: i64) -> Vec<f64> {
        (0..count).map(|_| self.int(low, high) as f64).collect()
    }

    /// Magnitudes of all sizes between two powers of two, both signs.
    pub fn wide(&mut self, count: usize, low_power: f64, high_power: f64) -> Vec<f64> {
        let one = |r: &mut Self| {
            let sign = if r.bits() & 1 == 0 { 1.0 } else { -1.0 };
            sign * r.float(low_power, high_power).exp2()
        };
        (0..count).map(|_| one(self)).collect()
    }
}
