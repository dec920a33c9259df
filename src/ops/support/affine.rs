//! Integers that stand for `scale * (integer - zero_point)`.

use super::args::Args;
use crate::base::error::{Error, Result};

/// What an integer stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Distance of neighbours.
    pub scale: f64,
    /// The integer of 0.
    pub zero_point: i32,
}

impl Affine {
    /// Numbers as they are.
    pub const PLAIN: Self = Self {
        scale: 1.0,
        zero_point: 0,
    };

    /// Arguments `i` and `i + 1`.
    pub fn parse(args: &Args<'_>, i: usize) -> Result<Self> {
        Self::new(args.number(i)?, args.int(i + 1)?)
    }

    /// Checked numbers.
    pub fn new(scale: f64, zero_point: i64) -> Result<Self> {
        let (given, inverse) = (scale as f32, (1.0 / scale) as f32);
        let zero = i32::try_from(zero_point)
            .ok()
            .filter(|z| z.unsigned_abs() < 1 << 15);
        match zero {
            // Neither it nor its inverse may leave the range of floats.
            Some(zero_point) if given > 0.0 && given.is_normal() && inverse.is_normal() => {
                Ok(Self { scale, zero_point })
            }
            _ => Err(Error::unsupported(format!(
                "quantization by {scale} with zero point {zero_point}"
            ))),
        }
    }

    /// What kernels multiply by to make integers.
    pub fn inverse(self) -> f32 {
        (1.0 / self.scale) as f32
    }

    /// What kernels multiply by to make numbers.
    pub fn factor(self) -> f32 {
        self.scale as f32
    }

    /// Whether every 8-bit integer stays as it is when it comes to stand for a number of `to`.
    pub fn keeps(self, to: Self) -> bool {
        self.zero_point == to.zero_point && (self.scale / to.scale - 1.0).abs() < 1e-3
    }
}
