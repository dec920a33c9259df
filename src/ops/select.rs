//! `where`: each element from one of two tensors.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::Element;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::ops::support::elementwise::{Elementwise, LOCAL_SIZE};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel: push constants hold no more.
const MAX_RANK: usize = 5;

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
        let call = Elementwise::new(program, &ids, self.output, MAX_RANK)?;
        let [condition, left, right] = [0, 1, 2].map(|i| &call.operands[i]);
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
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::SelectHalf
            } else {
                Shader::SelectPlain
            },
            local_size: [LOCAL_SIZE, 1, 1],
            spec: vec![
                call.strided.rank() as u32,
                condition.element as u32,
                left.element as u32,
                right.element as u32,
                target.element as u32,
            ],
            workgroups: program.line(call.strided.count(), LOCAL_SIZE)?,
            push: call.strided.push(MAX_RANK)?,
            bindings: vec![
                Bind::read(condition),
                Bind::read(left),
                Bind::read(right),
                Bind::write(target),
            ],
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let operands = [self.condition, self.left, self.right];
        let result = Whole::broadcast(program, &operands, self.output)?;
        pointwise(self, program, &operands, result).map(Some)
    }
}
