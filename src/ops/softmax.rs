//! Softmax and its logarithm over any dim.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::{Element, Layout};
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::rows::Rows;
use crate::ops::support::{Args, Op};

/// A call of `aten._softmax` or `aten._log_softmax`.
#[derive(Clone)]
pub struct Softmax {
    input: ValueId,
    dim: i64,
    form: Form,
    output: ValueId,
}

/// Numbered as in `shaders/softmax.comp`.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Form {
    Plain = 0,
    Logarithm = 1,
}

impl Op for Softmax {
    const NAMES: &'static [&'static str] = &["aten._log_softmax.default", "aten._softmax.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        let plain = args.op() == "aten._softmax.default";
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            form: if plain { Form::Plain } else { Form::Logarithm },
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
        let mut spec = rows.spec().to_vec();
        spec.extend([
            source.element as u32,
            target.element as u32,
            self.form as u32,
        ]);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::SoftmaxHalf
            } else {
                Shader::SoftmaxPlain
            },
            local_size: rows.local_size(),
            spec,
            push: rows.push()?,
            bindings: vec![Bind::read(&source), Bind::write(&target)],
            workgroups: rows.workgroups(program)?,
        })
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
