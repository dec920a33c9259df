//! Copies: prepack, clone and dtype conversion.

use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::ops::support::builder::{dense_layout, ProgramBuilder, Want};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// The same values in another tensor, perhaps of another type.
#[derive(Clone)]
pub struct Copy {
    input: ValueId,
    output: ValueId,
}

impl Op for Copy {
    const NAMES: &'static [&'static str] = &[
        "et_vk.prepack.default",
        "aten.clone.default",
        "aten.alias_copy.default",
        "aten.detach_copy.default",
        "aten._to_copy.default",
        "dim_order_ops._to_dim_order_copy.default",
        "dim_order_ops._clone_dim_order.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        Ok(Self {
            input: args.tensor(0)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let graph = program.graph();
        let (from, to) = (
            graph.tensor(self.input)?.dtype,
            graph.tensor(self.output)?.dtype,
        );
        if from == to {
            return program.alias(self.output, self.input);
        }
        let source = program.operand(self.input, Want::Any)?;
        let dims = source.dims.clone();
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        program.copy(&source, &target)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let graph = program.graph();
        if graph.tensor(self.input)?.dtype == graph.tensor(self.output)?.dtype {
            return Ok(None);
        }
        let dims = program.dims(self.input)?;
        let result = Whole::like(program, self.input, self.output, dims)?;
        pointwise(self, program, &[self.input], result).map(Some)
    }
}
