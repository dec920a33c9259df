//! The copy that everything else is built on.

use super::dispatch::{Bind, DispatchDesc, LINE_LOCAL_SIZE};
use super::program::ProgramBuilder;
use crate::base::error::{Error, Result};
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Layout, Tensor};

/// Loop dims of the copy kernel.
const MAX_RANK: usize = 8;

/// The layout in which an element-wise kernel best writes what it computes from `source`.
pub fn dense_layout(source: &Tensor) -> Layout {
    if source.dims.len() == 4 && source.has_strides(Layout::ChannelsPacked) {
        Layout::ChannelsPacked
    } else {
        Layout::Contiguous
    }
}

impl ProgramBuilder<'_> {
    /// Emits the copy of `source` into `target`: same dims, any windows, any types.
    pub fn copy(&mut self, source: &Tensor, target: &Tensor) -> Result<()> {
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
        self.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::CopyHalf
            } else {
                Shader::CopyPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![rank, source.element as u32, target.element as u32, narrow],
            workgroups: self.line(strided.count(), LINE_LOCAL_SIZE)?,
            push: strided.push(MAX_RANK)?,
            bindings: vec![Bind::read(source), Bind::write(target)],
        })
    }
}
