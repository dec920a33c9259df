//! Tiles that kernels are specialized for, as data. `ops::conv2d::tiles` says what follows from them.

use std::fmt;

/// What multiplies in an implicit GEMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Units {
    /// Invocations: `conv2d_implicit.comp`.
    Invocations,
    /// Matrix units, by the subgroup of 32: `conv2d_matrix.comp`.
    Matrices,
    /// The same, 16 columns of the image wide, whose inputs lie in shared memory until all taps
    /// have seen them: `conv2d_patch.comp`.
    Patches,
}

/// Work of one workgroup of an implicit GEMM, and of one invocation, or of one subgroup in matrices of
/// 16x16. Numbers that end in 4 count groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImplicitTile {
    /// Output pixels.
    pub tile_m: u32,
    /// Output channels.
    pub tile_n4: u32,
    /// Of K, per step.
    pub tile_k4: u32,
    /// Pixels of an invocation, or matrices of a subgroup.
    pub thread_m: u32,
    /// Channels in fours, or matrices.
    pub thread_n4: u32,
    /// What multiplies.
    pub units: Units,
    /// Steps of K in shared memory: a second is filled while the first is multiplied.
    pub buffers: u32,
}

impl fmt::Display for ImplicitTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = match self.units {
            Units::Invocations => "invocations",
            Units::Matrices => "matrices",
            Units::Patches => "patches",
        };
        let [n, k] = [self.tile_n4, self.tile_k4].map(|fours| u64::from(fours) * 4);
        write!(f, "tiles of {}x{n}x{k} by {units}", self.tile_m)
    }
}

/// Work of one workgroup and of one invocation of `conv2d_winograd.comp`. Numbers that end in 4 count
/// groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WinogradTile {
    /// Output channels of a workgroup.
    pub tile_n4: u32,
    /// Of an invocation.
    pub thread_n4: u32,
    /// Products of an invocation, of 36.
    pub thread_positions: u32,
    /// Output channels whose products meet in shared memory together.
    pub pass_n4: u32,
}

impl fmt::Display for WinogradTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = u64::from(self.tile_n4) * 4;
        write!(f, "{n} channels, {} positions", self.thread_positions)
    }
}

/// How `conv2d_depthwise.comp` is specialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DepthwiseTile {
    /// Neighbours in a row of one invocation.
    pub pixels: u32,
    /// Whether the code is made for this size of the kernel and this step along a row.
    pub unrolled: bool,
}

impl fmt::Display for DepthwiseTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.unrolled { ", unrolled" } else { "" };
        write!(f, "{} pixels{how}", self.pixels)
    }
}
