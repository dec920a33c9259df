//! Tensors of the program being built: windows, dense copies, outputs, constants.

use super::program::{within_bound, CopyKey, ProgramBuilder};
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constant::Pack;
use crate::core::graph::ValueId;
use crate::core::image::ImageShape;
use crate::core::program::{BufferDesc, BufferId, BufferKind, Upload};
use crate::core::tensor::{dense_strides, DType, Element, Layout, Tensor};
use crate::ops::support::window;

/// What a kernel asks of a tensor that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Any window in device memory.
    Any,
    /// Exactly a dense tensor of this layout, at the start of its buffer.
    Dense(Layout),
}

impl ProgramBuilder<'_> {
    /// The window that `id` is now. It may lie in host-visible staging: see [`Self::read`].
    pub fn tensor(&mut self, id: ValueId) -> Result<Tensor> {
        if let Some(window) = self.windows.get(&id) {
            return Ok(window.clone());
        }
        if self.constant(id)?.is_none() {
            return Err(Error::blob(format!(
                "tensor {id} is read before anything writes it"
            )));
        }
        let spec = self.graph.tensor(self.resolve(id))?;
        let element = self.constraints.limits.element(spec.dtype);
        let mut window = self.upload(id, Pack::contiguous(spec.dtype, element, &spec.dims))?;
        window.dims.clone_from(&spec.dims);
        let cuts = self.constant_cuts(id);
        if cuts.is_empty() {
            self.windows.insert(id, window.clone());
        }
        cuts.iter().try_fold(window, |window, cut| {
            window::slice(&window, cut.dim, cut.start, cut.len, 1)
        })
    }

    /// Sizes of `id` now.
    pub fn dims(&mut self, id: ValueId) -> Result<Vec<u32>> {
        match self.windows.get(&id) {
            Some(window) => Ok(window.dims.clone()),
            None => {
                let mut dims = self.graph.tensor(self.resolve(id))?.dims.clone();
                for cut in self.constant_cuts(id) {
                    dims[cut.dim] = cut.len;
                }
                Ok(dims)
            }
        }
    }

    /// Uploads the constant `id` in the form `pack`; the same form twice is one upload. The result
    /// is dense over `pack.dims`.
    pub fn upload(&mut self, id: ValueId, pack: Pack) -> Result<Tensor> {
        let constant = self
            .constant(id)?
            .ok_or_else(|| Error::internal(format!("{id} is uploaded but is not a constant")))?;
        let upload = Upload { constant, pack };
        if let Some(tensor) = self.uploaded.get(&upload) {
            return Ok(tensor.clone());
        }
        let (strides, numel) = dense_strides(&upload.pack.dims, Layout::Contiguous)?;
        let index = self.program.uploads.len();
        let element = upload.pack.element;
        let buffer = self.buffer(BufferKind::Constant(index), element, numel)?;
        let tensor = Tensor {
            buffer,
            dtype: self.graph.tensor(self.resolve(id))?.dtype,
            element,
            dims: upload.pack.dims.clone(),
            strides,
            offset: 0,
        };
        self.program.uploads.push(upload.clone());
        self.uploaded.insert(upload, tensor.clone());
        Ok(tensor)
    }

    /// A tensor that a kernel can read: in device memory, as `want`. Copies only where it must, and
    /// the same copy only once.
    pub fn read(&mut self, window: &Tensor, want: Want) -> Result<Tensor> {
        let staged = matches!(
            self.program.buffer(window.buffer).kind,
            BufferKind::Input(_)
        );
        let element = self.constraints.limits.element(window.dtype);
        let layout = match want {
            Want::Any => Layout::Contiguous,
            Want::Dense(layout) => layout,
        };
        if !staged && window.element == element {
            let good = |shown: &Tensor| match want {
                Want::Any => true,
                Want::Dense(layout) => shown.is_dense(layout),
            };
            if let Some(shown) = self.shown(window)?.filter(good) {
                return Ok(shown);
            }
        }
        let key = |layout| CopyKey {
            buffer: window.buffer,
            offset: window.offset,
            dims: window.dims.clone(),
            strides: window.strides.clone(),
            layout,
            element,
        };
        if let Some(copy) = self.copies.get(&key(layout)) {
            return Ok(copy.clone());
        }
        if want == Want::Any {
            if let Some(copy) = self.copies.get(&key(Layout::ChannelsPacked)) {
                return Ok(copy.clone());
            }
        }
        let copy = self.temporary(window.dtype, &window.dims, layout)?;
        self.copy(window, &copy)?;
        let copy = self.bindable(&copy)?;
        self.copies.insert(key(layout), copy.clone());
        Ok(copy)
    }

    /// The value `id` for a kernel that reads it as `want`.
    pub fn operand(&mut self, id: ValueId, want: Want) -> Result<Tensor> {
        let window = self.tensor(id)?;
        self.read(&window, want)
    }

    /// A new dense tensor that lives until its last dispatch.
    pub fn temporary(&mut self, dtype: DType, dims: &[u32], layout: Layout) -> Result<Tensor> {
        let element = self.constraints.limits.element(dtype);
        let (strides, numel) = dense_strides(dims, layout)?;
        let buffer = self.buffer(BufferKind::Temporary, element, numel)?;
        Ok(Tensor {
            buffer,
            dtype,
            element,
            dims: dims.to_vec(),
            strides,
            offset: 0,
        })
    }

    /// The convolution workspace, `size_bytes` of it.
    pub fn workspace(&mut self, size_bytes: u64) -> Result<BufferId> {
        self.check_workspace(size_bytes)?;
        self.buffer(BufferKind::Workspace, Element::F32, size_bytes.div_ceil(4))
    }

    /// The convolution workspace as an image that takes `size_bytes` of it.
    pub fn workspace_image(&mut self, image: ImageShape, size_bytes: u64) -> Result<BufferId> {
        self.check_workspace(size_bytes)?;
        self.desc(BufferDesc {
            kind: BufferKind::WorkspaceImage(image),
            size_bytes,
        })
    }

    /// The image that `id` is, if it is one.
    pub fn image(&self, id: BufferId) -> Option<ImageShape> {
        match self.program.buffer(id).kind {
            BufferKind::WorkspaceImage(image) => Some(image),
            _ => None,
        }
    }

    fn check_workspace(&self, size_bytes: u64) -> Result<()> {
        let planned = self.constraints.budget.check(size_bytes);
        planned.map_err(|e| Error::internal(e.message))
    }

    /// The tensor that `id` becomes: `dims` in `layout`, to be written by the next dispatches.
    pub fn output(&mut self, id: ValueId, dims: &[u32], layout: Layout) -> Result<Tensor> {
        let dtype = self.check_output(id, dims)?;
        let dense = |shown: &Tensor| shown.is_dense(layout);
        if let Some(shown) = self.piece_target(id, dims)?.filter(dense) {
            return Ok(shown);
        }
        let tensor = self.temporary(dtype, dims, layout)?;
        self.windows.insert(id, tensor.clone());
        Ok(tensor)
    }

    /// Where the present piece of a call may write its result `id`, if it may: `id` is that then.
    fn piece_target(&mut self, id: ValueId, dims: &[u32]) -> Result<Option<Tensor>> {
        let scope = self.scopes.last();
        let Some(target) = scope.and_then(|scope| scope.targets.get(&id)).cloned() else {
            return Ok(None);
        };
        if target.dims != dims {
            return Err(Error::internal(format!(
                "a piece of dims {dims:?} for a slice of {:?}",
                target.dims
            )));
        }
        let shown = self.shown(&target)?;
        if shown.is_some() {
            self.windows.insert(id, target);
        }
        Ok(shown)
    }

    /// As [`Self::output`] for kernels that write through any strides: `preferred` is the layout,
    /// unless only the host reads the result; then it goes straight into staging.
    pub fn output_any(&mut self, id: ValueId, dims: &[u32], preferred: Layout) -> Result<Tensor> {
        let dtype = self.check_output(id, dims)?;
        if let Some(shown) = self.piece_target(id, dims)? {
            return Ok(shown);
        }
        let host = self.graph.tensor(id)?.host_dtype;
        let element = self.constraints.limits.element(dtype);
        match self.only_output(id) {
            Some(index) if self.constraints.limits.element(host) == element => {
                let (strides, numel) = dense_strides(dims, Layout::Contiguous)?;
                let buffer = self.buffer(BufferKind::Output(index), element, numel)?;
                let dims = dims.to_vec();
                let tensor = Tensor {
                    buffer,
                    dtype,
                    element,
                    dims,
                    strides,
                    offset: 0,
                };
                self.windows.insert(id, tensor.clone());
                Ok(tensor)
            }
            _ => self.output(id, dims, preferred),
        }
    }

    /// Makes `id` the window `window`; its dims must be what the program was exported for.
    pub fn bind(&mut self, id: ValueId, window: Tensor) -> Result<()> {
        let dtype = self.check_output(id, &window.dims)?;
        self.check_window(&window)?;
        self.windows.insert(id, Tensor { dtype, ..window });
        Ok(())
    }

    fn check_output(&self, id: ValueId, dims: &[u32]) -> Result<DType> {
        let spec = self.graph.tensor(id)?;
        within_bound(dims, &spec.dims).map_err(|e| {
            Error::new(
                ErrorKind::InvalidBlob,
                format!("result {id}: {}", e.message),
            )
        })?;
        if spec.constant.is_some() || self.inputs.contains(&id) {
            return Err(Error::blob(format!(
                "result {id} is a constant or an input"
            )));
        }
        if self.windows.contains_key(&id) || self.aliases.contains_key(&id) {
            return Err(Error::blob(format!("result {id} is written twice")));
        }
        Ok(spec.dtype)
    }

    /// Checks that a window stays inside its buffer: no kernel can then leave it.
    pub(super) fn check_window(&self, window: &Tensor) -> Result<()> {
        let Some((low, high)) = window.extent() else {
            return Ok(());
        };
        let have = self.program.buffer(window.buffer).size_bytes / window.element.size_bytes();
        if low < 0 || u64::try_from(high).unwrap_or(u64::MAX) >= have {
            return Err(Error::internal(format!(
                "a window of elements {low} to {high} in a buffer of {have}"
            )));
        }
        Ok(())
    }
}
