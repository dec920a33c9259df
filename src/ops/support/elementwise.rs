//! What element-wise operators share: the loop over broadcast operands, numbers as arguments.

use super::Args;
use crate::base::error::{Error, Result};
use crate::core::broadcast;
use crate::core::graph::{Value, ValueId};
use crate::core::strided::Strided;
use crate::core::tensor::{dense_strides, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{ProgramBuilder, Want};

/// A number as an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// From an integer or a boolean.
    Int(i64),
    /// From a double.
    Double(f64),
}

impl Scalar {
    /// Argument `i`.
    pub fn parse(args: &Args<'_>, i: usize) -> Result<Self> {
        match args.value(i)? {
            Value::Double(x) => Ok(Self::Double(*x)),
            _ => args.int(i).map(Self::Int),
        }
    }

    /// Argument `i`, which may be absent.
    pub fn optional(args: &Args<'_>, i: usize) -> Result<Option<Self>> {
        if args.is_none(i)? {
            return Ok(None);
        }
        Self::parse(args, i).map(Some)
    }

    /// The bits of the nearest 32-bit float; beyond its range, infinity.
    pub fn float_bits(self) -> u32 {
        (self.double() as f32).to_bits()
    }

    /// As a double.
    pub fn double(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Double(x) => x,
        }
    }

    /// The integer that it is, if it is one. Exported graphs share one value for 1 and 1.0.
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(n),
            Self::Double(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(x as i64),
            Self::Double(_) => None,
        }
    }

    /// The nearest 32-bit integer not above it; ends of the range where it lies outside.
    pub fn floor_i32(self) -> i32 {
        match self {
            Self::Int(n) => saturated(n),
            // A float cast saturates.
            Self::Double(x) => x.floor() as i32,
        }
    }

    /// The nearest 32-bit integer not below it.
    pub fn ceil_i32(self) -> i32 {
        match self {
            Self::Int(n) => saturated(n),
            Self::Double(x) => x.ceil() as i32,
        }
    }
}

fn saturated(n: i64) -> i32 {
    i32::try_from(n).unwrap_or(if n < 0 { i32::MIN } else { i32::MAX })
}

/// The low 32 bits: what arithmetic modulo 2^32 sees of `n`.
pub fn wrapped(n: i64) -> u32 {
    (n & 0xFFFF_FFFF) as u32
}

/// An element-wise call that is ready to dispatch: `N` operands, output and the loop over all `W` of
/// them.
pub struct Elementwise<const N: usize, const W: usize> {
    /// Operands, readable by kernels.
    pub operands: [Tensor; N],
    /// What the kernel writes.
    pub target: Tensor,
    /// The loop; its windows are the operands and then the target.
    pub strided: Strided<W>,
}

impl<const N: usize, const W: usize> Elementwise<N, W> {
    /// Reads `operands`, broadcast together, and makes `output` for a kernel whose loop has at most
    /// `max_rank` dims.
    pub fn new(
        program: &mut ProgramBuilder<'_>,
        operands: [ValueId; N],
        output: ValueId,
        max_rank: u32,
    ) -> Result<Self> {
        let max_rank = max_rank as usize;
        let mut read = Vec::with_capacity(N);
        for id in operands {
            read.push(program.operand(id, Want::Any)?);
        }
        let mut operands = <[Tensor; N]>::try_from(read)
            .map_err(|_| Error::internal("as many operands as values"))?;
        let shapes: Vec<&[u32]> = operands.iter().map(|t| t.dims.as_slice()).collect();
        let dims = broadcast::joined(&shapes)?;
        let mut layout = operands
            .iter()
            .find(|t| t.dims == dims)
            .map_or(Layout::Contiguous, dense_layout);
        // A loop has at most as many dims as the result. Where that may be too many, dense copies
        // of the broadcast operands make it one.
        if dims.len() > max_rank {
            let result = Tensor {
                strides: dense_strides(&dims, Layout::Contiguous)?.0,
                offset: 0,
                ..broadcast::over(&operands[0], &dims)?
            };
            if Self::walk(&dims, &operands, &result)?.rank() > max_rank {
                for operand in &mut operands {
                    let whole = broadcast::over(operand, &dims)?;
                    *operand = program.read(&whole, Want::Dense(Layout::Contiguous))?;
                }
                layout = Layout::Contiguous;
            }
        }
        let target = program.output_any(output, &dims, layout)?;
        let strided = Self::walk(&dims, &operands, &target)?;
        Ok(Self {
            operands,
            target,
            strided,
        })
    }

    fn walk(dims: &[u32], operands: &[Tensor; N], target: &Tensor) -> Result<Strided<W>> {
        const { assert!(W == N + 1, "the operands and the target") };
        let windows = std::array::from_fn(|at| operands.get(at).unwrap_or(target));
        Strided::new(dims, windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_integers_and_floats() {
        assert_eq!(Scalar::Double(2.0).integer(), Some(2));
        assert_eq!(Scalar::Double(2.5).integer(), None);
        assert_eq!(Scalar::Double(f64::INFINITY).integer(), None);
        assert_eq!(
            Scalar::Double(f64::MAX).float_bits(),
            f32::INFINITY.to_bits()
        );
        assert_eq!(Scalar::Int(i64::MAX).floor_i32(), i32::MAX);
        assert_eq!(Scalar::Double(-2.5).floor_i32(), -3);
        assert_eq!(Scalar::Double(-2.5).ceil_i32(), -2);
        assert_eq!(Scalar::Double(-1e300).ceil_i32(), i32::MIN);
        assert_eq!(wrapped(-1), u32::MAX);
        assert_eq!(wrapped(1 << 32 | 7), 7);
    }
}
