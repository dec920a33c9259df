//! The table of operators.

use super::support::builder::ProgramBuilder;
use super::support::{pieces, Args, Known, Op};
use crate::base::error::Result;
use crate::core::graph::{Graph, Node, Step, ValueId};
use std::collections::HashMap;
use std::sync::OnceLock;

/// An entry of the operator table: [`Op`] without its type.
pub struct OpEntry {
    /// Names under which exported graphs call it.
    pub names: &'static [&'static str],
    /// Names that only passes give.
    pub internal: &'static [&'static str],
    /// The operator's type with its module.
    pub type_name: fn() -> &'static str,
    /// Parses the arguments and lowers the call.
    pub lower: fn(&Node, &mut ProgramBuilder<'_>) -> Result<()>,
    /// See [`Op::step`].
    pub step: fn(&Args<'_>, ValueId, &Graph) -> Option<Step>,
    /// See [`Op::accepts`].
    pub accepts: fn(&Args<'_>, Step) -> bool,
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
        type_name: std::any::type_name::<T>,
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
    op::<super::batch_norm::BatchNorm>(),
    op::<super::binary::Binary>(),
    op::<super::cat::Cat>(),
    op::<super::conv2d::Conv2d>(),
    op::<super::copy::Copy>(),
    op::<super::create::Arange>(),
    op::<super::create::Full>(),
    op::<super::dequantize_channel::DequantizeChannel>(),
    op::<super::expand::Expand>(),
    op::<super::expand::Repeat>(),
    op::<super::gather::Gather>(),
    op::<super::grid_priors::GridPriors>(),
    op::<super::grid_sampler::GridSampler>(),
    op::<super::matmul::Matmul>(),
    op::<super::norm::Norm>(),
    op::<super::pad::Pad>(),
    op::<super::permute::Flip>(),
    op::<super::permute::Permute>(),
    op::<super::pixel_shuffle::PixelShuffle>(),
    op::<super::pool::Pool>(),
    op::<super::quantize::Quantize>(),
    op::<super::quantized_conv::QuantizedConv>(),
    op::<super::reduce::Reduce>(),
    op::<super::resample::Resample>(),
    op::<super::select::Where>(),
    op::<super::slice::Select>(),
    op::<super::slice::Slice>(),
    op::<super::slice::Split>(),
    op::<super::slice::Unfold>(),
    op::<super::softmax::Softmax>(),
    op::<super::symint::SymInt>(),
    op::<super::unary::Unary>(),
    op::<super::view::Squeeze>(),
    op::<super::view::Unsqueeze>(),
    op::<super::view::View>(),
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
