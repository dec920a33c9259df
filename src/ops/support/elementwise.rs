//! What element-wise operators share: broadcasting, numbers as arguments.

use super::Args;
use crate::base::error::{Error, Result};
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

/// The dims that tensors of `all` dims broadcast to, as in NumPy.
pub fn broadcast_dims(all: &[&[u32]]) -> Result<Vec<u32>> {
    let rank = all.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let mut result = vec![1u32; rank];
    for dims in all {
        let lead = rank - dims.len();
        for (to, &d) in result[lead..].iter_mut().zip(*dims) {
            match (*to, d) {
                (a, b) if a == b || b == 1 => {}
                (1, b) => *to = b,
                _ => return Err(Error::blob(format!("dims {all:?} do not broadcast"))),
            }
        }
    }
    Ok(result)
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
        let dims = broadcast_dims(&shapes)?;
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
                ..broadcast(&operands[0], &dims)?
            };
            if Self::walk(&dims, &operands, &result)?.rank() > max_rank {
                for operand in &mut operands {
                    let whole = broadcast(operand, &dims)?;
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

/// The window that repeats `tensor` over `dims`.
fn broadcast(tensor: &Tensor, dims: &[u32]) -> Result<Tensor> {
    let lead = dims
        .len()
        .checked_sub(tensor.dims.len())
        .ok_or_else(|| Error::internal("broadcast to a smaller rank"))?;
    let mut strides = vec![0i64; lead];
    strides.extend(
        tensor
            .dims
            .iter()
            .zip(&tensor.strides)
            .map(|(&d, &s)| if d == 1 { 0 } else { s }),
    );
    Ok(Tensor {
        dims: dims.to_vec(),
        strides,
        ..tensor.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasts_as_numpy() {
        let ok = |all: &[&[u32]]| broadcast_dims(all).expect("broadcasts");
        assert_eq!(ok(&[&[2, 1, 3], &[4, 1]]), [2, 4, 3]);
        assert_eq!(ok(&[&[], &[5]]), [5]);
        assert_eq!(ok(&[&[1], &[0, 3]]), [0, 3]);
        assert_eq!(ok(&[&[], &[]]), [0u32; 0]);
        assert!(broadcast_dims(&[&[2], &[3]]).is_err());
        assert!(broadcast_dims(&[&[0], &[2]]).is_err());
    }

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
