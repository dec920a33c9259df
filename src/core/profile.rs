//! What choices know of a device beside its limits: which kernels suit it, and what they take. A
//! profile is a table, never code: one more device is one more table and one more line in `choose`.

mod choose;
mod costs;
mod cpu;
mod large_gpu;
mod small_gpu;

pub use choose::PROFILES;
pub use costs::{
    DepthwiseCosts, DeviceProfile, GemmCosts, ImplicitCosts, PartCosts, PathRules, RegisterGemm,
    SlicedGemm, TiledGemm, TimedTile, TimedWinogradTile, WinogradCosts,
};
