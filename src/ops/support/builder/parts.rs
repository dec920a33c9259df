//! Tensors that are larger than what a kernel may bind: windows in parts of their buffers, and calls
//! that see slices of their values.

use super::program::ProgramBuilder;
use super::scope::{Cut, PieceTarget, Scope};
use crate::base::error::{Error, Result};
use crate::core::graph::{Value, ValueId};
use crate::core::memory::Objects;
use crate::core::program::{BufferDesc, BufferId, BufferKind};
use crate::core::tensor::{dense_strides, Layout, Tensor, CHANNEL_PACK, MAX_ELEMENTS};
use crate::ops::support::window;

impl ProgramBuilder<'_> {
    /// Most bytes of elements of `size_bytes` that one binding shows, one memory object holds and
    /// kernels can index.
    fn most_shown_bytes(&self, size_bytes: u64) -> u64 {
        let range = self.limits().max_storage_buffer_range_bytes;
        range
            .min(MAX_ELEMENTS.saturating_mul(size_bytes))
            .min(Objects::of(self.limits()).object_bytes)
    }

    /// Whether kernels may bind all of a dense tensor of `dims` in any layout.
    pub fn fits(&self, id: ValueId, dims: &[u32]) -> Result<bool> {
        let size_bytes = self
            .limits()
            .element(self.graph().tensor(id)?.dtype)
            .size_bytes();
        let padded = dims.iter().enumerate().map(|(d, &extent)| {
            let extent = u64::from(extent);
            match d {
                1 if (3..=4).contains(&dims.len()) => extent.next_multiple_of(CHANNEL_PACK.into()),
                _ => extent,
            }
        });
        let bytes = padded.fold(size_bytes, u64::saturating_mul);
        Ok(bytes.saturating_add(16) <= self.most_shown_bytes(size_bytes))
    }

    /// Whether some tensor of the graph, at its largest, is more than a kernel may bind.
    pub(super) fn exceeds(&self) -> Result<bool> {
        for (id, value) in (0..).map(ValueId).zip(&self.graph().values) {
            if let Value::Tensor(spec) = value {
                if !self.fits(id, &spec.dims)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether calls may have to be done in pieces.
    pub fn may_exceed(&self) -> bool {
        self.may_exceed
    }

    /// `window` as a kernel can bind it: as it is, or in a part of its buffer that shows little more
    /// than the window reaches; `None` where even that is more than the device can show.
    pub fn shown(&mut self, window: &Tensor) -> Result<Option<Tensor>> {
        let size_bytes = window.element.size_bytes();
        let most = self.most_shown_bytes(size_bytes);
        let whole = self.program.buffer(window.buffer);
        if whole.size_bytes <= most || matches!(whole.kind, BufferKind::Part { .. }) {
            return Ok(Some(window.clone()));
        }
        let whole_bytes = whole.size_bytes;
        self.check_window(window)?;
        let Some((low, high)) = window.extent() else {
            return Ok(Some(window.clone()));
        };
        let align = self.limits().storage_buffer_alignment_bytes.max(16);
        let (low, high) = (low.unsigned_abs() * size_bytes, high.unsigned_abs() / 4 + 1);
        // Kernels read whole groups of four.
        let start = low / align * align;
        let end = (high * 4 * size_bytes)
            .next_multiple_of(16)
            .min(whole_bytes);
        // A buffer that exceeds a memory object begins with one.
        let objects = Objects::of(self.limits());
        if end - start > most || !objects.holds(start, end - start) {
            return Ok(None);
        }
        let buffer = self.part(window.buffer, start, end - start)?;
        let moved = i64::try_from(start / size_bytes).map_err(|_| Error::internal("offset"))?;
        Ok(Some(Tensor {
            buffer,
            offset: window.offset - moved,
            ..window.clone()
        }))
    }

    /// [`Self::shown`] for a window that no copy can make smaller.
    pub(super) fn bindable(&mut self, window: &Tensor) -> Result<Tensor> {
        self.shown(window)?.ok_or_else(|| {
            Error::unsupported(format!(
                "a kernel needs all of {:?} of dims {:?}, the device's largest storage range is {} \
                 bytes",
                window.dtype,
                window.dims,
                self.limits().max_storage_buffer_range_bytes
            ))
        })
    }

    fn part(&mut self, of: BufferId, offset_bytes: u64, size_bytes: u64) -> Result<BufferId> {
        let kind = BufferKind::Part { of, offset_bytes };
        if let Some(&part) = self.parts.get(&(kind, size_bytes)) {
            return Ok(part);
        }
        let part = self.desc(BufferDesc { kind, size_bytes })?;
        self.parts.insert((kind, size_bytes), part);
        Ok(part)
    }

    /// Lowers a piece of a call by `body`, which sees slices of the values in `cuts` and whose
    /// results go to `targets`.
    pub fn piece(
        &mut self,
        cuts: &[Cut],
        targets: &[PieceTarget],
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut scope = Scope::default();
        let mut before: Vec<(ValueId, Tensor)> = Vec::new();
        for cut in cuts {
            if self.constant(cut.id)?.is_some() {
                scope.constants.push(*cut);
                continue;
            }
            let whole = self.tensor(cut.id)?;
            let slice = window::slice(&whole, cut.dim, cut.start, cut.len, 1)?;
            self.windows.insert(cut.id, slice);
            before.push((cut.id, whole));
        }
        let target = |target: &PieceTarget| (target.id, target.window.clone());
        scope.targets = targets.iter().map(target).collect();
        self.scopes.push(scope);
        let done = body(self);
        self.scopes.pop();
        // The last cut of a value that is cut twice was made of the first.
        for (id, whole) in before.into_iter().rev() {
            self.windows.insert(id, whole);
        }
        done?;
        for target in targets {
            let result = self.windows.remove(&target.id);
            let result = result.ok_or_else(|| Error::internal("a piece without its result"))?;
            if result != target.window {
                self.copy(&result, &target.window)?;
            }
        }
        Ok(())
    }

    /// The result `id` of a call that is done in pieces, all of it.
    pub fn whole(&mut self, id: ValueId, dims: &[u32], layout: Layout) -> Result<Tensor> {
        // A piece of a piece writes into what the outer one was given.
        if let Some(target) = self.scopes.last().and_then(|scope| scope.targets.get(&id)) {
            return Ok(target.clone());
        }
        let whole = self.output(id, dims, layout)?;
        self.windows.remove(&id);
        Ok(whole)
    }

    /// Binds `id` to the result that its pieces have filled.
    pub fn filled(&mut self, id: ValueId, whole: Tensor) {
        self.windows.insert(id, whole);
    }

    /// Slices of the constant `id` that the present piece reads, the outermost piece's first.
    pub(super) fn constant_cuts(&self, id: ValueId) -> Vec<Cut> {
        let cuts = self.scopes.iter().flat_map(|scope| &scope.constants);
        cuts.filter(|cut| cut.id == id).copied().collect()
    }

    /// Strides of the constant `id`, seen as of `dims` now, in its bytes, and where it begins there.
    /// `dims` may have a height of 1 that the constant lacks.
    pub fn constant_strides(&self, id: ValueId, dims: &[u32]) -> Result<(Vec<i64>, i64)> {
        let cuts = self.constant_cuts(id);
        let mut whole = dims.to_vec();
        if let Some(spec) = cuts.first().map(|cut| self.graph().tensor(cut.id)) {
            for cut in &cuts {
                whole[cut.dim] = spec.as_ref().map_or(0, |spec| spec.dims[cut.dim]);
            }
        }
        let (strides, _) = dense_strides(&whole, Layout::Contiguous)?;
        let offset = cuts
            .iter()
            .map(|cut| i64::from(cut.start) * strides[cut.dim])
            .sum();
        Ok((strides, offset))
    }
}
