//! Channels to space and back: one copy between two windows of rank 6.

use super::args::Args;
use super::builder::ProgramBuilder;
use super::window::{permute, split};
use crate::base::error::{Error, Result};
use crate::core::tensor::Tensor;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `[c r r, h, w]` to `[c, h r, w r]`.
    Shuffle,
    /// `[c, h r, w r]` to `[c r r, h, w]`.
    Unshuffle,
}

/// Argument `i`, a factor.
pub fn factor(args: &Args<'_>, i: usize) -> Result<u32> {
    let factor = args.int(i)?;
    u32::try_from(factor)
        .ok()
        .filter(|&r| r > 0)
        .ok_or_else(|| Error::blob(format!("factor {factor}")))
}

/// Copies `source`, shuffled by `r`, into `target`, which has [`result_dims`].
pub fn shuffle(
    program: &mut ProgramBuilder<'_>,
    [source, target]: [&Tensor; 2],
    r: u32,
    direction: Direction,
) -> Result<()> {
    let (from, to) = match direction {
        Direction::Shuffle => (channel_view(source, r)?, space_view(target, r)?),
        Direction::Unshuffle => (space_view(source, r)?, channel_view(target, r)?),
    };
    program.copy(&from, &to)
}

/// Dims of `source`, shuffled by `r`.
pub fn result_dims(source: &Tensor, r: u32, direction: Direction) -> Result<Vec<u32>> {
    let wrong = || Error::blob(format!("factor {r} of dims {:?}", source.dims));
    let c = source.dims.len().checked_sub(3).ok_or_else(wrong)?;
    let mut dims = source.dims.clone();
    let square = r.checked_mul(r).ok_or_else(wrong)?;
    match direction {
        Direction::Shuffle => {
            dims[c] /= square;
            for d in [c + 1, c + 2] {
                dims[d] = dims[d].checked_mul(r).ok_or_else(wrong)?;
            }
        }
        Direction::Unshuffle => {
            dims[c] = dims[c].checked_mul(square).ok_or_else(wrong)?;
            dims[c + 1] /= r;
            dims[c + 2] /= r;
        }
    }
    Ok(dims)
}

/// `[.., c r r, h, w]` as `[.., c, r, r, h, w]`.
fn channel_view(t: &Tensor, r: u32) -> Result<Tensor> {
    let c = t.dims.len() - 3;
    split(t, c, &[t.dims[c] / (r * r), r, r])
}

/// `[.., c, h r, w r]` as `[.., c, r, r, h, w]`.
fn space_view(t: &Tensor, r: u32) -> Result<Tensor> {
    let c = t.dims.len() - 3;
    let rows = split(t, c + 1, &[t.dims[c + 1] / r, r])?;
    let both = split(&rows, c + 3, &[rows.dims[c + 3] / r, r])?;
    let order = [0, 2, 4, 1, 3].map(|d| c + d);
    permute(&both, &(0..c).chain(order).collect::<Vec<_>>())
}
