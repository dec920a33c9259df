//! Batch norm with given statistics: an affine map per channel. One that follows a convolution was
//! folded into it by the exporter.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::program::Access;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{Element, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel.
const MAX_RANK: usize = 6;

/// A call of `aten._native_batch_norm_legit_no_training`.
#[derive(Clone)]
pub struct BatchNorm {
    input: ValueId,
    weight: Option<ValueId>,
    bias: Option<ValueId>,
    mean: ValueId,
    variance: ValueId,
    epsilon: f64,
    outputs: Vec<ValueId>,
}

impl Op for BatchNorm {
    const NAMES: &'static [&'static str] = &["aten._native_batch_norm_legit_no_training.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(8)?;
        Ok(Self {
            input: args.tensor(0)?,
            weight: args.optional_tensor(1)?,
            bias: args.optional_tensor(2)?,
            mean: args.tensor(3)?,
            variance: args.tensor(4)?,
            epsilon: args.number(6)?,
            outputs: args.outputs()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let dims = source.dims.clone();
        let Some(&channels) = dims.get(1) else {
            return Err(Error::blob(format!("batch norm of dims {dims:?}")));
        };
        if source.element == Element::I32 {
            return Err(Error::unsupported(format!(
                "batch norm of {:?}",
                source.dtype
            )));
        }
        let mut parameters = Vec::new();
        for id in [self.weight, self.bias, Some(self.mean), Some(self.variance)] {
            let Some(id) = id else {
                parameters.push(None);
                continue;
            };
            let parameter = program.operand(id, Want::Dense(Layout::Contiguous))?;
            if parameter.dims != [channels] {
                return Err(Error::blob(format!(
                    "parameter {id} of dims {:?} for {channels} channels",
                    parameter.dims
                )));
            }
            parameters.push(Some(parameter));
        }
        let output = *self
            .outputs
            .first()
            .ok_or_else(|| Error::blob("no outputs"))?;
        let target = program.output_any(output, &dims, dense_layout(&source))?;
        // Statistics of the batch, which inference does not have.
        for &id in self.outputs.iter().skip(1) {
            if program.is_used(id) {
                program.output(id, &[0], Layout::Contiguous)?;
            }
        }
        // The channel number of each element, as a window like the others.
        let mut strides = vec![0; dims.len()];
        strides[1] = 1;
        let channel = Tensor {
            strides,
            offset: 0,
            ..source.clone()
        };
        let strided = Strided::new(&dims, &[&channel, &source, &target])?;
        let mut push = strided.push(MAX_RANK)?;
        push.push((self.epsilon as f32).to_bits());
        let element = |t: &Option<Tensor>| t.as_ref().map_or(0, |t| t.element as u32);
        let has = u32::from(self.weight.is_some()) | u32::from(self.bias.is_some()) << 1;
        let rank = u32::try_from(strided.rank()).map_err(|_| Error::internal("rank"))?;
        let mut spec = vec![rank, source.element as u32, target.element as u32];
        spec.extend(parameters.iter().map(element));
        spec.push(has);
        let half = spec[1..7].contains(&(Element::F16 as u32));
        let mut bindings = vec![Bind::read(&source)];
        bindings.extend(parameters.iter().map(|t| match t {
            Some(t) => Bind::read(t),
            // Never touched: any buffer stands in its place.
            None => Bind::range(source.buffer, Access::Read, 0..0),
        }));
        bindings.push(Bind::write(&target));
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::BatchNormHalf
            } else {
                Shader::BatchNormPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec,
            workgroups: program.line(strided.count(), LINE_LOCAL_SIZE)?,
            push,
            bindings,
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let Some(&output) = self.outputs.first() else {
            return Ok(None);
        };
        let dims = program.dims(self.input)?;
        let result = Whole::like(program, self.input, output, dims)?;
        let mut pieces = pointwise(self, program, &[self.input], result)?;
        let parameters = [self.weight, self.bias, Some(self.mean), Some(self.variance)];
        let cut = [(self.input, 1)].into_iter();
        let cut = cut.chain(parameters.into_iter().flatten().map(|id| (id, 0)));
        if let Some(axis) = pieces.axes.iter_mut().find(|axis| axis.result_dims == [1]) {
            *axis = cut_along(self, 1, cut.collect());
        }
        Ok(Some(pieces))
    }
}
