//! The table of operators.

use super::support::builder::ProgramBuilder;
use super::support::{pieces, Args, Known, Op};
use super::{
    batch_norm, binary, cat, conv2d, copy, create, dequantize_channel, expand, gather, grid_priors,
    grid_sampler, matmul, norm, pad, permute, pixel_shuffle, pool, quantize, quantized_conv,
    reduce, resample, select, slice, softmax, symint, unary, view,
};
use crate::base::error::Result;
use crate::core::graph::{Fused, Graph, Node, ValueId};
use std::collections::HashMap;
use std::sync::OnceLock;

/// An entry of the operator table: [`Op`] without its type.
pub struct OpEntry {
    /// Names under which exported graphs call it.
    pub names: &'static [&'static str],
    /// Names that only passes give.
    pub internal: &'static [&'static str],
    /// Parses the arguments and lowers the call.
    pub lower: fn(&Node, &mut ProgramBuilder<'_>) -> Result<()>,
    /// See [`Op::step`].
    pub step: fn(&Args<'_>, ValueId, &Graph) -> Option<Fused>,
    /// See [`Op::accepts`].
    pub accepts: fn(&Args<'_>, Fused) -> bool,
    /// See [`Op::passes_on`].
    pub passes_on: fn(&Args<'_>) -> Option<ValueId>,
    /// See [`Op::unpacks`].
    pub unpacks: fn(&Args<'_>) -> Option<ValueId>,
    /// See [`Op::writes`].
    pub writes: fn(&Args<'_>) -> Result<Vec<ValueId>>,
    /// See [`Op::bounds`].
    pub bounds: fn(&Args<'_>, &mut Known<'_>) -> Option<()>,
    /// See [`Op::make_up`].
    pub make_up: fn(&Args<'_>, &mut Known<'_>) -> Option<()>,
}

const fn op<T: Op>() -> OpEntry {
    OpEntry {
        names: T::NAMES,
        internal: T::INTERNAL,
        lower: |node, program| {
            let op = T::parse(&Args::new(program.graph(), node, program.integers()))?;
            pieces::lower(&op, program)
        },
        step: |args, operand, graph| T::parse(args).ok()?.step(operand, graph),
        accepts: |args, step| T::parse(args).is_ok_and(|op| op.accepts(step)),
        passes_on: |args| T::parse(args).ok()?.passes_on(),
        unpacks: |args| T::parse(args).ok()?.unpacks(),
        writes: T::writes,
        bounds: T::bounds,
        make_up: T::make_up,
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

/// The entry that serves the operator `name`, an internal one too.
pub fn find(name: &str) -> Option<&'static OpEntry> {
    static ENTRIES: OnceLock<HashMap<&str, &OpEntry>> = OnceLock::new();
    let entries = ENTRIES.get_or_init(|| {
        let named = |entry: &'static OpEntry| {
            let names = entry.names.iter().chain(entry.internal);
            names.map(move |&name| (name, entry))
        };
        OPS.iter().flat_map(named).collect()
    });
    entries.get(name).copied()
}

/// The entry that serves `name` in an exported graph.
pub fn find_exported(name: &str) -> Option<&'static OpEntry> {
    find(name).filter(|entry| entry.names.contains(&name))
}

#[cfg(test)]
mod tests;
