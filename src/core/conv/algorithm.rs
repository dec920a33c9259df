//! The ways to do a convolution: all that its kernels are told beside the geometry.

use super::tile::{DepthwiseTile, ImplicitTile, WinogradTile};
use crate::core::gemm::GemmKernel;
use crate::core::image::ImageShape;
use std::fmt;

/// How K, or the inputs, are summed. The number of parts sets rounding: shape and device decide it,
/// never the budget, which decides only where the sums of the parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sums {
    /// At once.
    Whole,
    /// One part after the other, each added to those before it; needs no workspace.
    Serial {
        /// How many; at least 2.
        parts: u32,
    },
    /// All parts side by side into the workspace; then they are added.
    Parts {
        /// How many; at least 2.
        parts: u32,
        /// Output pixels whose sums of all parts lie in the workspace together: a tile of the output.
        pixels_tile: u32,
    },
}

impl Sums {
    /// The number of parts.
    pub fn parts(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Serial { parts } | Self::Parts { parts, .. } => parts,
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => write!(f, "summed at once"),
            Self::Serial { parts } => write!(f, "{parts} parts in turn"),
            Self::Parts { parts, pixels_tile } => {
                write!(
                    f,
                    "{parts} parts side by side, {pixels_tile} pixels at a time"
                )
            }
        }
    }
}

/// How a convolution is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvAlgorithm {
    /// 1x1, stride 1, no padding: a GEMM over the input as it lies.
    Pointwise {
        /// The GEMM's kernel.
        kernel: GemmKernel,
    },
    /// One input channel per group, as many outputs as inputs: register tiles over channels.
    Depthwise {
        /// The kernel's specialization.
        tile: DepthwiseTile,
    },
    /// Every invocation computes its outputs on its own; no workspace.
    Direct,
    /// im2col of a tile of output rows (and columns), then GEMM, once per tile.
    Im2col {
        /// The GEMM's kernel.
        kernel: GemmKernel,
        /// Output rows per tile, at most; tiles are balanced.
        h_out_tile: u32,
        /// Output columns per tile, at most; less than all only when `h_out_tile` is 1.
        w_out_tile: u32,
        /// The image that holds the columns of a tile; `None` for a buffer.
        image: Option<ImageShape>,
    },
    /// A GEMM that gathers its left operand from the image; no columns.
    Implicit {
        /// The kernel and its specialization.
        tile: ImplicitTile,
        /// How K is summed.
        sums: Sums,
    },
    /// Winograd's F(4x4, 3x3): 36 products per channel where the definition has 144. Largest error
    /// against f64 over the largest output, of the layers in tests/bench: 3.3e-6. A tile that holds a
    /// NaN, an infinity or an overflow is computed again from the definition.
    Winograd {
        /// The kernel's specialization.
        tile: WinogradTile,
        /// How the inputs are summed; parts side by side are of all pixels at once.
        sums: Sums,
    },
}

impl fmt::Display for ConvAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointwise { kernel } => write!(f, "pointwise, {kernel}"),
            Self::Depthwise { tile } => write!(f, "depthwise, {tile}"),
            Self::Direct => write!(f, "direct"),
            Self::Im2col {
                kernel,
                h_out_tile,
                w_out_tile,
                image,
            } => {
                write!(f, "im2col of {h_out_tile}x{w_out_tile} in ")?;
                match image {
                    None => write!(f, "a buffer, {kernel}"),
                    Some(image) => write!(f, "an image of {:?}, {kernel}", image.extent),
                }
            }
            Self::Implicit { tile, sums } => write!(f, "implicit, {tile}, {sums}"),
            Self::Winograd { tile, sums } => write!(f, "winograd, {tile}, {sums}"),
        }
    }
}
