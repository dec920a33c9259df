//! Batch norm with given statistics: an affine map per channel. One that follows a convolution was
//! folded into it by the exporter.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::kernels::batch_norm::{self, HAS_BIAS, HAS_WEIGHT};
use crate::core::program::Access;
use crate::core::strided::Strided;
use crate::core::tensor::{Element, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

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
        let parameter = |program: &mut ProgramBuilder<'_>, id: ValueId| {
            let parameter = program.operand(id, Want::Dense(Layout::Contiguous))?;
            if parameter.dims != [channels] {
                return Err(Error::blob(format!(
                    "parameter {id} of dims {:?} for {channels} channels",
                    parameter.dims
                )));
            }
            Ok(parameter)
        };
        let weight = self.weight.map(|id| parameter(program, id)).transpose()?;
        let bias = self.bias.map(|id| parameter(program, id)).transpose()?;
        let mean = parameter(program, self.mean)?;
        let variance = parameter(program, self.variance)?;
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
        let call = Call {
            source,
            weight,
            bias,
            mean,
            variance,
            target,
        };
        self.emit(program, &call)
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

/// One dispatch of the kernel.
struct Call {
    source: Tensor,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    mean: Tensor,
    variance: Tensor,
    target: Tensor,
}

impl BatchNorm {
    fn emit(&self, program: &mut ProgramBuilder<'_>, call: &Call) -> Result<()> {
        let Call {
            source,
            weight,
            bias,
            mean,
            variance,
            target,
        } = call;
        // The channel number of each element, as a window like the others.
        let mut strides = vec![0; source.dims.len()];
        strides[1] = 1;
        let channel = Tensor {
            strides,
            offset: 0,
            ..source.clone()
        };
        let strided = Strided::new(&source.dims, [&channel, source, target])?;
        let walk = strided.walk()?;
        let [from_channel, from, to] = walk.windows;
        let given = [weight.as_ref(), bias.as_ref()];
        let tensors = given.into_iter().flatten();
        let half = tensors
            .chain([source, mean, variance, target])
            .any(|t| t.element == Element::F16);
        let [has_weight, has_bias] = given.map(|t| u32::from(t.is_some()));
        let element = |t: &Option<Tensor>| t.as_ref().map_or(Element::F32, |t| t.element);
        // An absent buffer is never touched: any other stands in its place.
        let absent = || Bind::range(source.buffer, Access::Read, 0..0);
        let read = |t: &Option<Tensor>| t.as_ref().map_or_else(absent, Bind::read);
        let kernel = batch_norm::Call {
            variant: batch_norm::Variant::with_half(half),
            spec: batch_norm::Spec {
                rank: walk.rank,
                source: source.element,
                target: target.element,
                weight: element(weight),
                bias: element(bias),
                mean: mean.element,
                variance: variance.element,
                has: (has_weight * HAS_WEIGHT) | (has_bias * HAS_BIAS),
            },
            push: batch_norm::Push {
                count: walk.count,
                sizes: walk.sizes,
                channel: from_channel,
                source: from,
                target: to,
                epsilon: self.epsilon as f32,
            },
            bindings: batch_norm::Bindings {
                source: Bind::read(source),
                weight: read(weight),
                bias: read(bias),
                mean: Bind::read(mean),
                variance: Bind::read(variance),
                target: Bind::write(target),
            },
        };
        program.dispatch_line(kernel, strided.count())
    }
}
