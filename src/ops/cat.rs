//! Concatenation: one copy per input into its part of the output.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::tensor::{Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::window::{existing_dim, slice};
use crate::ops::support::{Args, Op};

/// A call of `aten.cat`.
pub struct Cat {
    inputs: Vec<ValueId>,
    dim: i64,
    output: ValueId,
}

impl Op for Cat {
    const NAMES: &'static [&'static str] = &["aten.cat.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        let inputs: Option<Vec<ValueId>> = args.tensors(0)?.into_iter().collect();
        Ok(Self {
            inputs: inputs.ok_or_else(|| Error::blob("argument 0 holds none"))?,
            dim: args.int(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut parts: Vec<(ValueId, Tensor)> = Vec::with_capacity(self.inputs.len());
        for &id in &self.inputs {
            let part = program.tensor(id)?;
            // PyTorch skips empty tensors of rank 1, whatever the others are.
            if part.dims != [0] || self.inputs.len() == 1 {
                parts.push((id, part));
            }
        }
        let Some((_, first)) = parts.first() else {
            let none = program.tensor(
                *self
                    .inputs
                    .first()
                    .ok_or_else(|| Error::blob("no inputs"))?,
            )?;
            return program.bind(self.output, none);
        };
        let d = existing_dim(self.dim, &first.dims)?;
        let mut dims = first.dims.clone();
        let mut total: u32 = 0;
        for (id, part) in &parts {
            dims[d] = part.dims.get(d).copied().unwrap_or(0);
            if part.dims != dims {
                return Err(Error::blob(format!(
                    "{id} of dims {:?} beside {:?} along dim {d}",
                    part.dims, first.dims
                )));
            }
            total = total
                .checked_add(dims[d])
                .ok_or_else(|| Error::blob(format!("dim {d} overflows")))?;
        }
        dims[d] = total;
        let packed = parts
            .iter()
            .any(|(_, p)| dense_layout(p) == Layout::ChannelsPacked);
        let layout = if packed {
            Layout::ChannelsPacked
        } else {
            Layout::Contiguous
        };
        let target = program.output_any(self.output, &dims, layout)?;
        let mut start = 0;
        for (_, part) in &parts {
            program.copy(part, &slice(&target, d, start, part.dims[d], 1)?)?;
            start += part.dims[d];
        }
        Ok(())
    }
}
