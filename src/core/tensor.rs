//! Element types and strided tensors. Plain data.

use crate::base::error::{Error, Result};
use crate::core::ids::BufferId;
use crate::core::kernels::lib::Narrow;

pub use crate::core::kernels::lib::Element;

/// Element type of a tensor in a program or at the host boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DType {
    Bool,
    U8,
    I8,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl DType {
    /// Size of one element in host memory.
    pub fn size_bytes(self) -> u64 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// What 32-bit results become in a tensor of this type.
    pub fn narrow(self) -> Narrow {
        match self {
            Self::Bool => Narrow::Bool,
            Self::U8 => Narrow::U8,
            Self::I8 => Narrow::I8,
            _ => Narrow::None,
        }
    }

    /// Whether arithmetic on it is floating point.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

impl Element {
    /// Size of one element in device memory.
    pub fn size_bytes(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

/// Order in which a dense tensor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row-major in the order of the dims, without gaps: PyTorch's contiguous.
    Contiguous,
    /// `[n, h, w, c]` for dims `[n, c, h, w]` (or `[n, w, c]` for `[n, c, w]`), with `c` padded to
    /// [`CHANNEL_PACK`]. The contents of the pad lanes are undefined: readers mask them.
    ChannelsPacked,
}

/// Channels of a [`Layout::ChannelsPacked`] tensor are padded to a multiple of this.
pub const CHANNEL_PACK: u32 = 4;

/// Strides in elements of a dense tensor, and how many elements its memory holds (pad included).
pub fn dense_strides(dims: &[u32], layout: Layout) -> Result<(Vec<i64>, u64)> {
    // Memory order, innermost first, as indices into dims.
    let rank = dims.len();
    let mut order: Vec<usize> = (0..rank).rev().collect();
    if layout == Layout::ChannelsPacked {
        if !(3..=4).contains(&rank) {
            return Err(Error::internal(format!(
                "channels-packed layout of rank {rank}"
            )));
        }
        order.retain(|&d| d != 1);
        order.insert(0, 1);
    }
    let mut strides = vec![0i64; rank];
    let mut size: u64 = 1;
    for d in order {
        strides[d] = i64::try_from(size).map_err(|_| too_large(dims))?;
        let extent = match layout {
            Layout::ChannelsPacked if d == 1 => {
                u64::from(dims[d]).next_multiple_of(CHANNEL_PACK.into())
            }
            _ => u64::from(dims[d]),
        };
        size = size.checked_mul(extent).ok_or_else(|| too_large(dims))?;
    }
    if size > MAX_ELEMENTS {
        return Err(too_large(dims));
    }
    Ok((strides, size))
}

/// Kernels index elements with 32-bit signed integers.
pub const MAX_ELEMENTS: u64 = i32::MAX as u64;

fn too_large(dims: &[u32]) -> Error {
    Error::unsupported(format!(
        "a tensor of dims {dims:?} has more than {MAX_ELEMENTS} elements"
    ))
}

/// A strided window into a device buffer. Shape operators (permute, slice, expand, flip...) only
/// make another window; kernels read any window.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The memory.
    pub buffer: BufferId,
    /// Type that the program means.
    pub dtype: DType,
    /// Type in memory.
    pub element: Element,
    /// Sizes, outermost first.
    pub dims: Vec<u32>,
    /// Distance between neighbours of each dim, in elements; 0 repeats, negative flips.
    pub strides: Vec<i64>,
    /// First element, in elements from the start of the buffer.
    pub offset: i64,
}

impl Tensor {
    /// Number of elements that the window shows.
    pub fn numel(&self) -> u64 {
        self.dims.iter().map(|&d| u64::from(d)).product()
    }

    /// Whether the window is exactly the dense tensor of `layout`, starting at its buffer's start.
    pub fn is_dense(&self, layout: Layout) -> bool {
        self.offset == 0 && self.has_strides(layout)
    }

    /// Whether the strides are those of a dense tensor, wherever it starts. Sizes of 1 have no stride.
    pub fn has_strides(&self, layout: Layout) -> bool {
        dense_strides(&self.dims, layout).is_ok_and(|(strides, _)| {
            self.dims
                .iter()
                .zip(&self.strides)
                .zip(&strides)
                .all(|((&d, a), b)| d <= 1 || a == b)
        })
    }

    /// Lowest and highest element index that the window reaches; `None` when it has no elements.
    pub fn extent(&self) -> Option<(i64, i64)> {
        if self.dims.contains(&0) {
            return None;
        }
        let (mut low, mut high) = (self.offset, self.offset);
        for (&d, &s) in self.dims.iter().zip(&self.strides) {
            let reach = i64::from(d - 1).saturating_mul(s);
            if reach < 0 {
                low = low.saturating_add(reach);
            } else {
                high = high.saturating_add(reach);
            }
        }
        Some((low, high))
    }
}
