//! What several operators share: the table's trait, arguments, the builder that they emit into,
//! windows, loops, and the GEMM.

pub mod affine;
pub mod args;
pub mod builder;
pub mod elementwise;
pub mod fill;
pub mod gemm;
pub mod known;
pub mod op;
pub mod pieces;
pub mod planes;
pub mod rows;
pub mod shuffle;
pub mod window;

pub use args::Args;
pub use known::Known;
pub use op::Op;
