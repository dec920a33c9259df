//! Copies: prepack, clone and dtype conversion.

use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::ops::support::builder::{dense_layout, ProgramBuilder, Want};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// The name under which constants of the program are made readable.
const PREPACK: &str = "et_vk.prepack.default";

/// The same values in another tensor, perhaps of another type.
#[derive(Clone)]
pub struct Copy {
    is_prepack: bool,
    input: ValueId,
    output: ValueId,
}

impl Op for Copy {
    const NAMES: &'static [&'static str] = &[
        PREPACK,
        "aten.clone.default",
        "aten.alias_copy.default",
        "aten.detach_copy.default",
        "aten._to_copy.default",
        "dim_order_ops._to_dim_order_copy.default",
        "dim_order_ops._clone_dim_order.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        Ok(Self {
            is_prepack: args.op() == PREPACK,
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

    fn passes_on(&self) -> Option<ValueId> {
        Some(self.input)
    }

    fn unpacks(&self) -> Option<ValueId> {
        self.is_prepack.then_some(self.input)
    }
}
