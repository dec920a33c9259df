//! The operator table, and typed access to a node's arguments.
//!
//! An operator is one file under `ops/`, its shader(s), one line in [`OPS`] and one test.

pub mod args;
pub mod batch_norm;
pub mod binary;
pub mod cat;
pub mod conv2d;
pub mod copy;
pub mod create;
pub mod dequantize_channel;
pub mod elementwise;
pub mod expand;
pub mod gather;
pub mod gemm;
pub mod grid_priors;
pub mod grid_sampler;
pub mod matmul;
pub mod norm;
pub mod pad;
pub mod permute;
pub mod pixel_shuffle;
pub mod planes;
pub mod pool;
pub mod quantize;
pub mod quantized_conv;
pub mod reduce;
pub mod resample;
pub mod rows;
pub mod select;
pub mod slice;
pub mod softmax;
pub mod symint;
pub mod unary;
pub mod view;
pub mod window;

pub use args::Args;
pub use elementwise::Scalar;

use crate::builder::ProgramBuilder;
use crate::error::Result;
use crate::graph::Node;

/// Which steps on its result an operator's kernels do (see [`crate::graph::Fused`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// None: passes leave what follows alone.
    None,
    /// Activations without operands of their own.
    Activation,
    /// An activation (also with slopes), an addition, an activation.
    Full,
}

/// One operator: its names, and how a call of it becomes dispatches.
pub trait Op: Sized {
    /// Names under which exported graphs call it.
    const NAMES: &'static [&'static str];
    /// Which steps on the result its kernels do.
    const EPILOGUE: Epilogue = Epilogue::None;
    /// Reads the arguments. Positions are named here and nowhere else.
    fn parse(args: &Args<'_>) -> Result<Self>;
    /// Emits dispatches and binds the outputs.
    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()>;
}

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
            T::parse(&Args::new(program.graph(), node, program.integers()))?.lower(program)
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
