//! The convolution planner: which algorithm, which tiles, how much workspace. Pure and total.

/// Sizes of a convolution. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the field's own terms")]
pub struct ConvGeometry {
    pub n: u32,
    pub c_in: u32,
    pub h_in: u32,
    pub w_in: u32,
    pub c_out: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub output_padding: [u32; 2],
    pub groups: u32,
    pub transposed: bool,
}

/// How a convolution is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvAlgorithm {
    /// 1x1, stride 1, no padding: a GEMM over the input as it lies.
    Pointwise,
    /// One input channel per group, as many outputs as inputs: register tiles over channels.
    Depthwise,
    /// One invocation per output; no workspace.
    Direct,
    /// im2col of a tile of output rows (and columns), then GEMM, once per tile.
    Im2col {
        /// Output rows per tile, at most; tiles are balanced.
        h_out_tile: u32,
        /// Output columns per tile, at most.
        w_out_tile: u32,
    },
}

/// How one convolution of a program is done, for the reports.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvReport {
    /// The exporter's node id.
    pub node: u32,
    /// Sizes.
    pub geometry: ConvGeometry,
    /// Output height and width.
    pub output: [u32; 2],
    /// The choice.
    pub algorithm: ConvAlgorithm,
    /// Number of tiles.
    pub tile_count: u32,
    /// Number of dispatches.
    pub dispatch_count: u32,
    /// Bytes of the shared workspace that it uses.
    pub workspace_bytes: u64,
    /// Predicted device memory traffic.
    pub moved_bytes: u64,
    /// Why this algorithm.
    pub reason: String,
}
