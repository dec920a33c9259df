//! Channels to space and back.

use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::shuffle::{factor, result_dims, shuffle, Direction};
use crate::ops::support::{Args, Op};

/// A call of `aten.pixel_shuffle` or `aten.pixel_unshuffle`.
pub struct PixelShuffle {
    input: ValueId,
    factor: u32,
    direction: Direction,
    output: ValueId,
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
        shuffle(program, [&source, &target], self.factor, self.direction)
    }
}
