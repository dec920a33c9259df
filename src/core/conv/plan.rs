//! What is planned for one convolution, and what is reported of it.

use super::algorithm::ConvAlgorithm;
use super::geometry::ConvGeometry;

/// Where a convolution's weight comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightSource {
    /// It is known at load.
    Constant {
        /// Elements of the output at the program's largest input size, which decides what only one
        /// form of the weight serves: smaller sizes must take the same.
        most_outputs: u64,
    },
    /// The program computes it.
    Computed,
}

/// All that is decided for one convolution. Nothing chooses again when it is emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvPlan {
    /// The choice: kernel, tile, parts.
    pub algorithm: ConvAlgorithm,
    /// Bytes of the shared workspace that it uses; never above the budget.
    pub workspace_bytes: u64,
    /// Predicted device memory traffic: every operand once, columns twice.
    pub moved_bytes: u64,
    /// Why this algorithm.
    pub reason: String,
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
