//! Anchor points of a detector: the coordinates of every cell of a feature map.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::tensor::Layout;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::elementwise::Scalar;
use crate::ops::support::fill::emit_range;
use crate::ops::support::planes::plane_of;
use crate::ops::support::window::{insert, select, split};
use crate::ops::support::{Args, Op};

/// A call of `et_vk.grid_priors`: `[height width, 2]` of `(x + offset) stride, (y + offset) stride`.
pub struct GridPriors {
    input: ValueId,
    stride: f64,
    offset: f64,
    output: ValueId,
}

impl Op for GridPriors {
    const NAMES: &'static [&'static str] = &["et_vk.grid_priors.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            stride: args.number(1)?,
            offset: args.number(2)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let dims = program.dims(self.input)?;
        let [height, width] = plane_of(&dims)?;
        let count = height
            .checked_mul(width)
            .ok_or_else(|| Error::unsupported(format!("anchors of dims {dims:?}")))?;
        let target = program.output_any(self.output, &[count, 2], Layout::Contiguous)?;
        if !target.dtype.is_float() {
            return Err(Error::unsupported(format!("anchors of {:?}", target.dtype)));
        }
        let cells = split(&target, 0, &[height, width])?;
        let range = [self.offset * self.stride, self.stride].map(Scalar::Double);
        for (at, size) in [width, height].into_iter().enumerate() {
            let line = program.temporary(target.dtype, &[size], Layout::Contiguous)?;
            emit_range(program, &line, range)?;
            // x repeats over the rows, y within each.
            let repeated = if at == 0 {
                insert(&line, 0, height)
            } else {
                insert(&line, 1, width)
            };
            program.copy(&repeated, &select(&cells, 2, at as u32)?)?;
        }
        Ok(())
    }
}
