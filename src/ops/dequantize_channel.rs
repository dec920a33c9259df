//! Integers with a scale and a zero point for each channel, turned into numbers. Exporters leave it
//! on the weights of convolutions that they do not fuse into integer ones.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{Element, Tensor};
use crate::ops::support::builder::{dense_layout, LINE_LOCAL_SIZE};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, pointwise, Pieces, Whole};
use crate::ops::support::window::{existing_dim, insert};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel: push constants hold no more.
const MAX_RANK: usize = 5;

/// A call of `quantized_decomposed.dequantize_per_channel`.
#[derive(Clone)]
pub struct DequantizeChannel {
    input: ValueId,
    scales: ValueId,
    zero_points: Option<ValueId>,
    axis: i64,
    output: ValueId,
}

impl Op for DequantizeChannel {
    const NAMES: &'static [&'static str] = &["quantized_decomposed.dequantize_per_channel.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        // The range and the types that follow the axis change nothing.
        args.expect_len(9)?;
        Ok(Self {
            input: args.tensor(0)?,
            scales: args.tensor(1)?,
            zero_points: args.optional_tensor(2)?,
            axis: args.int(3)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let scales = program.operand(self.scales, Want::Any)?;
        let zeros = self
            .zero_points
            .map(|id| program.operand(id, Want::Any))
            .transpose()?;
        let dims = source.dims.clone();
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        let integers = |t: &Tensor| t.element == Element::I32;
        let fits = integers(&source)
            && !integers(&scales)
            && zeros.as_ref().is_none_or(integers)
            && !integers(&target);
        if !fits {
            return Err(Error::unsupported(format!(
                "{:?} by {:?} into {:?}",
                source.dtype, scales.dtype, target.dtype
            )));
        }
        let axis = existing_dim(self.axis, &dims)?;
        let scale_window = spread(&scales, &dims, axis)?;
        // Without zero points the integers stand in their place, unread.
        let zero_window = match &zeros {
            Some(zeros) => spread(zeros, &dims, axis)?,
            None => source.clone(),
        };
        let windows = [&source, &scale_window, &zero_window, &target];
        let strided = Strided::new(&dims, &windows)?;
        let half = [&scales, &target].iter().any(|t| t.element == Element::F16);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::DequantizeChannelHalf
            } else {
                Shader::DequantizeChannelPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                strided.rank() as u32,
                scales.element as u32,
                target.element as u32,
                u32::from(zeros.is_some()),
            ],
            workgroups: program.line(strided.count(), LINE_LOCAL_SIZE)?,
            push: strided.push(MAX_RANK)?,
            bindings: vec![
                Bind::read(&source),
                Bind::read(&scale_window),
                Bind::read(&zero_window),
                Bind::write(&target),
            ],
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let dims = program.dims(self.input)?;
        let channel = existing_dim(self.axis, &dims)?;
        let result = Whole::like(program, self.input, self.output, dims)?;
        let mut pieces = pointwise(self, program, &[self.input], result)?;
        for dim in 0..pieces.axes.len() {
            if pieces.axes[dim].result_dims == [channel] {
                let parameters = [Some(self.scales), self.zero_points];
                let parameters = parameters.into_iter().flatten().map(|id| (id, 0));
                let cut = [(self.input, channel)].into_iter().chain(parameters);
                pieces.axes[dim] = cut_along(self, channel, cut.collect());
            }
        }
        Ok(Some(pieces))
    }
}

/// `[n]` as the window over `dims` that goes along `axis`. Exporters pad `n` for kernels of fours.
fn spread(t: &Tensor, dims: &[u32], axis: usize) -> Result<Tensor> {
    let &[n] = t.dims.as_slice() else {
        return Err(Error::blob(format!("parameters of dims {:?}", t.dims)));
    };
    if n < dims[axis] {
        return Err(Error::blob(format!("{n} parameters for dims {dims:?}")));
    }
    let mut window = crate::ops::support::window::slice(t, 0, 0, dims[axis], 1)?;
    for (d, &size) in dims.iter().enumerate() {
        if d != axis {
            window = insert(&window, d, size);
        }
    }
    Ok(window)
}
