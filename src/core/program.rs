//! A whole GPU run as plain data: buffers, constants to upload, dispatches. Nothing here calls
//! Vulkan; `vk::record` turns it into a command buffer.

pub use crate::core::ids::BufferId;

use crate::core::constant::Pack;
use crate::core::conv::ConvReport;
use crate::core::ids::{ConstantId, ValueId};
use crate::core::image::ImageShape;
use crate::core::shader::{BindingKind, Shader};
use crate::core::tensor::{DType, Element};
use std::ops::Range;

/// What memory a buffer lives in, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferKind {
    /// Lives from its first to its last dispatch, in the arena.
    Temporary,
    /// The convolution workspace: one memory object of its own, shared by all convolutions.
    Workspace,
    /// The same memory as an image; its size is what the driver asks for it. Whatever the memory
    /// held before is lost when a dispatch writes it.
    WorkspaceImage(ImageShape),
    /// The constant [`Program::uploads`]`[i]`; written once at load.
    Constant(usize),
    /// A mutable buffer that starts as [`Program::uploads`]`[i]`; keeps its bytes between runs and
    /// for all input sizes.
    State(usize),
    /// Host-visible staging of input `i`; written by the host before each run.
    Input(usize),
    /// Host-visible staging of output `i`; read by the host after each run.
    Output(usize),
    /// Bytes of another buffer, which is no part itself, from `offset_bytes` on (a multiple of the
    /// device's descriptor alignment): what kernels bind where a device cannot show all of it.
    Part {
        /// The buffer.
        of: BufferId,
        /// The first byte.
        offset_bytes: u64,
    },
}

impl BufferKind {
    /// How kernels bind it.
    pub fn binding(self) -> BindingKind {
        match self {
            Self::WorkspaceImage(_) => BindingKind::Image,
            _ => BindingKind::Buffer,
        }
    }
}

/// One buffer of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferDesc {
    /// Where it lives.
    pub kind: BufferKind,
    /// Its size; never 0.
    pub size_bytes: u64,
}

/// What a dispatch does to a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only reads.
    Read,
    /// Only writes.
    Write,
    /// Reads and writes.
    ReadWrite,
}

impl Access {
    /// Whether it writes.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// A buffer as one dispatch sees it. Binding number = position in [`Dispatch::bindings`].
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The buffer; the descriptor always shows all of it.
    pub buffer: BufferId,
    /// What the dispatch does.
    pub access: Access,
    /// Bytes of the buffer that it may touch: what hazards are derived from.
    pub range_bytes: Range<u64>,
}

/// One compute dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Index into the graph's nodes, for reports and profiles; `None` for copies at the edges.
    pub node: Option<usize>,
    /// The kernel.
    pub shader: Shader,
    /// Specialization constants 0, 1, 2, ...: constants 0, 1, 2 are the workgroup size in x, y, z.
    pub spec: Vec<u32>,
    /// Push constants, 32-bit words.
    pub push: Vec<u32>,
    /// Storage buffers and images of descriptor set 0, in binding order.
    pub bindings: Vec<Binding>,
    /// Number of workgroups in x, y, z; none is 0.
    pub workgroups: [u32; 3],
}

/// A constant to upload: which one, and in what form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upload {
    /// Which constant.
    pub constant: ConstantId,
    /// How its bytes become device memory.
    pub pack: Pack,
}

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A tensor through a staging buffer.
    Tensor(BufferId),
    /// A tensor without elements: nothing is copied.
    EmptyTensor,
    /// An integer that sizes depend on; an output integer has the given value.
    Integer(i64),
}

/// An input or an output of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Value in the graph.
    pub value: ValueId,
    /// What it carries.
    pub kind: PortKind,
    /// Type at the host boundary.
    pub dtype: DType,
    /// Type in the staging buffer, contiguous in the order of `dims`.
    pub element: Element,
    /// Sizes now.
    pub dims: Vec<u32>,
    /// Sizes at most.
    pub max_dims: Vec<u32>,
}

/// Everything that one inference needs, for one set of input sizes.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// All buffers; a [`BufferId`] is an index.
    pub buffers: Vec<BufferDesc>,
    /// Constants to upload once; the buffer kind names the index.
    pub uploads: Vec<Upload>,
    /// Dispatches in order.
    pub dispatches: Vec<Dispatch>,
    /// Inputs in the graph's order.
    pub inputs: Vec<Port>,
    /// Outputs in the graph's order.
    pub outputs: Vec<Port>,
    /// How each convolution is done, in node order.
    pub convolutions: Vec<ConvReport>,
}

impl Program {
    /// The buffer `id`.
    pub fn buffer(&self, id: BufferId) -> &BufferDesc {
        &self.buffers[id.0 as usize]
    }

    /// The buffer whose memory `id` shows, and the first byte of `id` there: itself from 0 unless it
    /// is a part.
    pub fn root(&self, id: BufferId) -> (BufferId, u64) {
        match self.buffer(id).kind {
            BufferKind::Part { of, offset_bytes } => (of, offset_bytes),
            _ => (id, 0),
        }
    }

    /// Whether `dispatch` only copies between the host's layout and the device's: inputs are read by
    /// such copies alone, and outputs are copied where no node's kernel writes them.
    pub fn at_edge(&self, dispatch: &Dispatch) -> bool {
        let mut kinds = dispatch.bindings.iter();
        kinds.any(|bind| match self.buffer(self.root(bind.buffer).0).kind {
            BufferKind::Input(_) => true,
            BufferKind::Output(_) => dispatch.node.is_none(),
            _ => false,
        })
    }

    /// Size of the convolution workspace; 0 when no convolution needs any.
    pub fn workspace_bytes(&self) -> u64 {
        self.buffers
            .iter()
            .filter_map(|b| match b.kind {
                BufferKind::Workspace | BufferKind::WorkspaceImage(_) => Some(b.size_bytes),
                _ => None,
            })
            .max()
            .unwrap_or(0)
    }
}
