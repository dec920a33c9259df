//! The numbers that choices read. Times are in nanoseconds; only comparisons count.

use crate::core::conv::{ImplicitTile, WinogradTile};
use crate::core::gemm::GemmKernel;

/// Everything that is known of one kind of device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceProfile {
    /// What it is called.
    pub name: &'static str,
    /// Where its numbers come from.
    pub source: &'static str,
    /// What runs workgroups independently: streaming multiprocessors, cores.
    pub processors: u64,
    /// Which paths suit which convolutions.
    pub paths: PathRules,
    /// Sums of parts.
    pub parts: PartCosts,
    /// The implicit GEMM.
    pub implicit: ImplicitCosts,
    /// Winograd.
    pub winograd: WinogradCosts,
    /// Depthwise convolutions.
    pub depthwise: DepthwiseCosts,
    /// Products of matrices.
    pub gemm: GemmCosts,
}

/// Which paths suit which convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathRules {
    /// Whether gathering the left operand is as fast as reading columns; otherwise 1x1 kernels read
    /// the input as it lies, and others columns.
    pub gathers: bool,
    /// Fewer multiply-adds are done directly.
    pub gemm_min_macs: u64,
    /// With at most so many outputs per group one invocation of the direct kernel reads each input
    /// once for all of them: done directly.
    pub direct_max_outputs_per_group: u32,
    /// From this K on, matrix units pay for any number of outputs.
    pub idle_matrices_min_k: u64,
    /// A group's K below this gives a GEMM too few steps per output.
    pub gemm_min_grouped_k: u64,
}

/// What summing in parts takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartCosts {
    /// More parts are not taken.
    pub most: u64,
    /// Sums of all parts stay within this, so that budgets down to it cost nothing.
    pub most_sums_bytes: u64,
    /// The barrier before the parts are added, and the dispatch that adds them.
    pub start_ns: u64,
    /// Sums that are written and read in a microsecond.
    pub sums_bytes_per_us: u64,
}

/// A tile of the implicit GEMM, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedTile {
    /// The tile.
    pub tile: ImplicitTile,
    /// What a processor takes for [`ImplicitCosts::round_k`] of K with 1, 2, .. workgroups on it; as
    /// many as there are numbers fit it.
    pub round_ns: &'static [u64],
}

/// What the implicit GEMM takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImplicitCosts {
    /// Tiles of invocations, largest first. The last must fit every device.
    pub invocation_tiles: &'static [TimedTile],
    /// Tiles of matrix units, by subgroup and by patch, each largest first.
    pub matrix_tiles: &'static [TimedTile],
    /// K that [`TimedTile::round_ns`] is for.
    pub round_k: u64,
    /// The dispatch.
    pub start_ns: u64,
    /// First loads and last stores, which no products hide.
    pub turn_ns: u64,
    /// The same where a patch is loaded whole.
    pub patch_turn_ns: u64,
    /// First loads that other subgroups do not hide, with one subgroup.
    pub alone_ns: u64,
    /// And at most.
    pub most_alone_ns: u64,
    /// Less is not worth a pipeline more: nets have many small layers, for which small tiles serve,
    /// and large tiles take long to compile.
    pub pipeline_ns: u64,
    /// Parts of a shorter K are not taken.
    pub part_min_k: u64,
    /// The same on matrix units.
    pub matrix_part_min_k: u64,
    /// Tiles of so many pixels per invocation and more are not taken for a K below `round_k`.
    pub tall_thread_m: u32,
    /// A patch is loaded by at most so many loads of 16 bytes per invocation: registers hold them.
    pub patch_max_loads: u64,
    /// With fewer inputs a patch is a fraction of a block.
    pub patch_min_channels: u32,
}

/// A tile of Winograd's kernel, and what a workgroup takes that has a processor to itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedWinogradTile {
    /// The tile.
    pub tile: WinogradTile,
    /// Its first loads and its outputs.
    pub start_ns: u64,
    /// Each quad of inputs.
    pub quad_ns: u64,
}

/// When Winograd is taken, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WinogradCosts {
    /// Whether it is taken unasked.
    pub unasked: bool,
    /// Not with fewer inputs or outputs: transforms, whose work grows with `c_in + c_out`, take longer
    /// than what the products save, which grows with `c_in * c_out`.
    pub min_channels: u32,
    /// Not for fewer multiply-adds at the largest image.
    pub min_macs: u64,
    /// Parts of fewer quads of inputs are not taken.
    pub part_min_quads: u64,
    /// Largest first.
    pub tiles: &'static [TimedWinogradTile],
}

/// How depthwise convolutions are done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthwiseCosts {
    /// Up to so many invocations, with one pixel each, are not too many.
    pub one_pixel_max_invocations: u64,
    /// Pixels of an invocation otherwise.
    pub pixels: u32,
    /// Whether common sizes are worth a pipeline of their own.
    pub unrolls: bool,
}

/// How matrices are multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmCosts {
    /// In registers alone, where nothing else is taken.
    pub register: RegisterGemm,
    /// In slices of K, where that may be.
    pub sliced: Option<SlicedGemm>,
    /// In tiles of shared memory.
    pub tiled: Option<TiledGemm>,
}

/// The register kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegisterGemm {
    /// From so many rows on an invocation has more than one.
    pub tall_min_rows: u64,
    /// Then so many.
    pub thread_m: u32,
    /// Its columns in fours, where there are as many.
    pub thread_n4: u32,
}

/// The kernel that sums slices of K side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicedGemm {
    /// Not for more rows.
    pub max_rows: u64,
    /// Not for a shorter K.
    pub min_k: u64,
    /// For one row.
    pub single: GemmKernel,
    /// For several.
    pub several: GemmKernel,
}

/// The kernel with tiles in shared memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TiledGemm {
    /// Not for fewer rows.
    pub min_rows: u64,
    /// For many columns.
    pub wide: GemmKernel,
    /// For at most `narrow_columns4`.
    pub narrow: GemmKernel,
    /// Where the others are fewer workgroups than `enough_workgroups`.
    pub small: GemmKernel,
    /// Columns in fours.
    pub narrow_columns4: u32,
    /// Fewer leave a large GPU half empty.
    pub enough_workgroups: u64,
}
