//! General matrix multiplication: what convolutions and linear layers are made of.

mod emit;
pub mod epilogue;
mod kernel;
pub mod packed;
mod plan;
mod product;

pub use emit::emit;
pub use epilogue::{Epilogue, PreparedEpilogue};
pub use plan::{kernels, GemmSizes};
pub use product::{Bias, Gemm, Matrix};
