//! The copy that everything else is built on.

use super::dispatch::{Bind, DispatchDesc, LINE_LOCAL_SIZE};
use super::program::ProgramBuilder;
use crate::base::error::{Error, Result};
use crate::core::conv::tiles;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Layout, Tensor};
use crate::ops::support::window;

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
        if source.numel() == 0 {
            return Ok(());
        }
        match (self.shown(source)?, self.shown(target)?) {
            (Some(source), Some(target)) => self.emit_copy(&source, &target),
            _ => self.copy_halves(source, target),
        }
    }

    /// The same in two, across the dim that reaches farthest in either buffer.
    fn copy_halves(&mut self, source: &Tensor, target: &Tensor) -> Result<()> {
        let reach_bytes = |t: &Tensor, d: usize| {
            let step = t.strides[d].unsigned_abs() * t.element.size_bytes();
            u64::from(t.dims[d] - 1) * step
        };
        let farthest = (0..source.dims.len())
            .filter(|&d| source.dims[d] > 1)
            .max_by_key(|&d| reach_bytes(source, d).max(reach_bytes(target, d)))
            .ok_or_else(|| Error::unsupported("one element exceeds the device's storage range"))?;
        let extent = source.dims[farthest];
        for (start, len) in tiles(extent, extent.div_ceil(2)) {
            let half = |t: &Tensor| window::slice(t, farthest, start, len, 1);
            self.copy(&half(source)?, &half(target)?)?;
        }
        Ok(())
    }

    fn emit_copy(&mut self, source: &Tensor, target: &Tensor) -> Result<()> {
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
