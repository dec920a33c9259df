//! Channels to space and back: one copy between two windows of rank 6.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::tensor::Tensor;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::window::{permute, split};
use crate::ops::support::{Args, Op};

/// A call of `aten.pixel_shuffle` or `aten.pixel_unshuffle`.
pub struct PixelShuffle {
    input: ValueId,
    factor: u32,
    direction: Direction,
    output: ValueId,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    /// `[c r r, h, w]` to `[c, h r, w r]`.
    Shuffle,
    /// `[c, h r, w r]` to `[c r r, h, w]`.
    Unshuffle,
}

impl Op for PixelShuffle {
    const NAMES: &'static [&'static str] =
        &["aten.pixel_shuffle.default", "aten.pixel_unshuffle.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        Ok(Self {
            input: args.tensor(0)?,
            factor: factor(args, 1)?,
            direction: if args.op() == "aten.pixel_shuffle.default" {
                Direction::Shuffle
            } else {
                Direction::Unshuffle
            },
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let dims = result_dims(&source, self.factor, self.direction)?;
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        match self.direction {
            Direction::Shuffle => shuffle(program, &source, &target, self.factor),
            Direction::Unshuffle => {
                let wide = space_view(&source, self.factor)?;
                program.copy(&wide, &channel_view(&target, self.factor)?)
            }
        }
    }
}

/// Argument `i`, a factor.
pub fn factor(args: &Args<'_>, i: usize) -> Result<u32> {
    let factor = args.int(i)?;
    u32::try_from(factor)
        .ok()
        .filter(|&r| r > 0)
        .ok_or_else(|| Error::blob(format!("factor {factor}")))
}

/// Dims of the shuffle of `source` by `r`.
pub fn shuffled_dims(source: &Tensor, r: u32) -> Result<Vec<u32>> {
    result_dims(source, r, Direction::Shuffle)
}

/// Copies the shuffle of `source` by `r` into `target`, which has [`shuffled_dims`].
pub fn shuffle(
    program: &mut ProgramBuilder<'_>,
    source: &Tensor,
    target: &Tensor,
    r: u32,
) -> Result<()> {
    program.copy(&channel_view(source, r)?, &space_view(target, r)?)
}

fn result_dims(source: &Tensor, r: u32, direction: Direction) -> Result<Vec<u32>> {
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
