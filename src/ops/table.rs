//! The table of operators.

use super::support::builder::ProgramBuilder;
use super::support::{pieces, Args, Epilogue, Op};
use super::{
    batch_norm, binary, cat, conv2d, copy, create, dequantize_channel, expand, gather, grid_priors,
    grid_sampler, matmul, norm, pad, permute, pixel_shuffle, pool, quantize, quantized_conv,
    reduce, resample, select, slice, softmax, symint, unary, view,
};
use crate::base::error::Result;
use crate::core::graph::Node;

/// An entry of the operator table.
pub struct OpEntry {
    /// Names under which exported graphs call it.
    pub names: &'static [&'static str],
    /// Which steps on the result its kernels do.
    pub epilogue: Epilogue,
    /// Parses the arguments and lowers the call.
    pub lower: fn(&Node, &mut ProgramBuilder<'_>) -> Result<()>,
}

const fn op<T: Op>() -> OpEntry {
    OpEntry {
        names: T::NAMES,
        epilogue: T::EPILOGUE,
        lower: |node, program| {
            let op = T::parse(&Args::new(program.graph(), node, program.integers()))?;
            pieces::lower(&op, program)
        },
    }
}

/// Every operator of this backend. Add one line here.
pub static OPS: &[OpEntry] = &[
    op::<batch_norm::BatchNorm>(),
    op::<binary::Binary>(),
    op::<cat::Cat>(),
    op::<conv2d::Conv2d>(),
    op::<copy::Copy>(),
    op::<create::Arange>(),
    op::<create::Full>(),
    op::<dequantize_channel::DequantizeChannel>(),
    op::<expand::Expand>(),
    op::<expand::Repeat>(),
    op::<gather::Gather>(),
    op::<grid_priors::GridPriors>(),
    op::<grid_sampler::GridSampler>(),
    op::<matmul::Matmul>(),
    op::<norm::Norm>(),
    op::<pad::Pad>(),
    op::<permute::Flip>(),
    op::<permute::Permute>(),
    op::<pixel_shuffle::PixelShuffle>(),
    op::<pool::Pool>(),
    op::<quantize::Quantize>(),
    op::<quantized_conv::QuantizedConv>(),
    op::<reduce::Reduce>(),
    op::<resample::Resample>(),
    op::<select::Where>(),
    op::<slice::Select>(),
    op::<slice::Slice>(),
    op::<slice::Split>(),
    op::<slice::Unfold>(),
    op::<softmax::Softmax>(),
    op::<symint::SymInt>(),
    op::<unary::Unary>(),
    op::<view::Squeeze>(),
    op::<view::Unsqueeze>(),
    op::<view::View>(),
];

/// The entry that serves the operator `name`.
pub fn find(name: &str) -> Option<&'static OpEntry> {
    OPS.iter().find(|entry| entry.names.contains(&name))
}
