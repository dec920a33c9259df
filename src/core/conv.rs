//! A convolution as data: its sizes, the ways to do it, and what is reported of it.

mod algorithm;
mod geometry;
mod plan;
mod tile;

pub use algorithm::{ConvAlgorithm, Sums};
pub use geometry::{tiles, ConvGeometry};
pub use plan::{ConvPlan, ConvReport, WeightSource};
pub use tile::{DepthwiseTile, ImplicitTile, Units, WinogradTile};
