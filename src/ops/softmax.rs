//! Softmax and its logarithm over any dim.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::kernels::softmax;
use crate::core::tensor::{Element, Layout};
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, ProgramBuilder, Want};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::rows::Rows;
use crate::ops::support::{Args, Op};

/// A call of `aten._softmax` or `aten._log_softmax`.
#[derive(Clone)]
pub struct Softmax {
    input: ValueId,
    dim: i64,
    logarithm: bool,
    output: ValueId,
}

impl Op for Softmax {
    const NAMES: &'static [&'static str] = &["aten._log_softmax.default", "aten._softmax.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            logarithm: args.op() == "aten._log_softmax.default",
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut source = program.operand(self.input, Want::Any)?;
        if source.element == Element::I32 {
            return Err(Error::unsupported(format!("softmax of {:?}", source.dtype)));
        }
        let rank = source.dims.len();
        let dim = wrap_dim(self.dim, rank)?;
        let in_row: Vec<bool> = (0..rank).map(|d| d == dim).collect();
        let dims = source.dims.clone();
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        if source.numel() == 0 {
            return Ok(());
        }
        let rows = match Rows::new(&source, &target, &in_row)? {
            Some(rows) => rows,
            None => {
                source = program.read(&source, Want::Dense(Layout::Contiguous))?;
                Rows::new(&source, &target, &in_row)?
                    .ok_or_else(|| Error::unsupported(format!("softmax of dims {dims:?}")))?
            }
        };
        let half = source.element == Element::F16 || target.element == Element::F16;
        let [outer_rank, inner_rank] = rows.ranks();
        let call = softmax::Call {
            variant: softmax::Variant::with_half(half),
            spec: softmax::Spec {
                outer_rank,
                inner_rank,
                source: source.element,
                target: target.element,
                logarithm: self.logarithm,
            },
            push: softmax::Push { rows: rows.rows()? },
            bindings: softmax::Bindings {
                source: Bind::read(&source),
                target: Bind::write(&target),
            },
        };
        let grid = rows.grid(program)?;
        program.dispatch(call, grid)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let dims = program.dims(self.input)?;
        let dim = wrap_dim(self.dim, dims.len())?;
        let result = Whole::like(program, self.input, self.output, dims)?;
        let mut pieces = pointwise(self, program, &[self.input], result)?;
        pieces.axes.retain(|axis| axis.result_dims != [dim]);
        Ok(Some(pieces))
    }
}
