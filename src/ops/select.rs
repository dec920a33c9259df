//! `where`: each element from one of two tensors.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::kernels::select;
use crate::core::tensor::Element;
use crate::ops::support::builder::{Bind, ProgramBuilder};
use crate::ops::support::elementwise::Elementwise;
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// A call of `aten.where.self`.
#[derive(Clone)]
pub struct Where {
    condition: ValueId,
    left: ValueId,
    right: ValueId,
    output: ValueId,
}

impl Op for Where {
    const NAMES: &'static [&'static str] = &["aten.where.self"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            condition: args.tensor(0)?,
            left: args.tensor(1)?,
            right: args.tensor(2)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let ids = [self.condition, self.left, self.right];
        let call = Elementwise::<3, 4>::new(program, ids, self.output, select::MAX_RANK)?;
        let [condition, left, right] = &call.operands;
        let target = &call.target;
        if condition.element != Element::I32 {
            return Err(Error::unsupported(format!(
                "a condition of {:?}",
                condition.dtype
            )));
        }
        let half = [left, right, target]
            .iter()
            .any(|t| t.element == Element::F16);
        let walk = call.strided.walk()?;
        let [from_condition, from_left, from_right, to] = walk.windows;
        let kernel = select::Call {
            variant: select::Variant::with_half(half),
            spec: select::Spec {
                rank: walk.rank,
                condition: condition.element,
                left: left.element,
                right: right.element,
                target: target.element,
            },
            push: select::Push {
                count: walk.count,
                sizes: walk.sizes,
                condition: from_condition,
                left: from_left,
                right: from_right,
                target: to,
            },
            bindings: select::Bindings {
                condition: Bind::read(condition),
                left: Bind::read(left),
                right: Bind::read(right),
                target: Bind::write(target),
            },
        };
        program.dispatch_line(kernel, call.strided.count())
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let operands = [self.condition, self.left, self.right];
        let result = Whole::broadcast(program, &operands, self.output)?;
        pointwise(self, program, &operands, result).map(Some)
    }
}
