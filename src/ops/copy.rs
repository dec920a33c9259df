//! Copies: prepack, clone and dtype conversion, and the copy that everything else is built on.

use super::{Args, Op};
use crate::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::shader::Shader;
use crate::strided::Strided;
use crate::tensor::{DType, Element, Layout, Tensor};

/// Invocations per workgroup of element-wise kernels: a whole number of every vendor's subgroups.
pub const LINE_LOCAL_SIZE: u32 = 64;

/// Loop dims of the copy kernel.
const MAX_RANK: usize = 8;

/// The same values in another tensor, perhaps of another type.
pub struct Copy {
    input: ValueId,
    output: ValueId,
}

impl Op for Copy {
    const NAMES: &'static [&'static str] = &[
        "et_vk.prepack.default",
        "aten.clone.default",
        "aten.alias_copy.default",
        "aten.detach_copy.default",
        "aten._to_copy.default",
        "dim_order_ops._to_dim_order_copy.default",
        "dim_order_ops._clone_dim_order.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        Ok(Self {
            input: args.tensor(0)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let graph = program.graph();
        let (from, to) = (
            graph.tensor(self.input)?.dtype,
            graph.tensor(self.output)?.dtype,
        );
        if from == to {
            return program.alias(self.output, self.input);
        }
        let source = program.operand(self.input, Want::Any)?;
        let dims = source.dims.clone();
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        emit(program, &source, &target)
    }
}

/// The layout in which an element-wise kernel best writes what it computes from `source`.
pub fn dense_layout(source: &Tensor) -> Layout {
    if source.dims.len() == 4 && source.has_strides(Layout::ChannelsPacked) {
        Layout::ChannelsPacked
    } else {
        Layout::Contiguous
    }
}

/// Emits the copy of `source` into `target`: same dims, any windows, any types.
pub fn emit(program: &mut ProgramBuilder<'_>, source: &Tensor, target: &Tensor) -> Result<()> {
    if source.dims != target.dims {
        return Err(Error::internal(format!(
            "copy of {:?} to {:?}",
            source.dims, target.dims
        )));
    }
    let narrow = match target.dtype {
        _ if source.dtype == target.dtype => 0,
        DType::Bool => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        _ => 0,
    };
    let strided = Strided::new(&source.dims, &[source, target])?;
    let rank = u32::try_from(strided.rank()).map_err(|_| Error::internal("rank"))?;
    let half = source.element == Element::F16 || target.element == Element::F16;
    program.dispatch(DispatchDesc {
        shader: if half {
            Shader::CopyHalf
        } else {
            Shader::CopyPlain
        },
        local_size: [LINE_LOCAL_SIZE, 1, 1],
        spec: vec![rank, source.element as u32, target.element as u32, narrow],
        workgroups: program.line(strided.count(), LINE_LOCAL_SIZE)?,
        push: strided.push(MAX_RANK)?,
        bindings: vec![Bind::read(source), Bind::write(target)],
    })
}
