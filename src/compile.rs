//! Bytes to a program and its memory plan: the only place that joins graphs, operators and plans.

mod bounds;
pub mod load;
pub mod passes;
mod program;
pub mod state;
mod written;

pub use bounds::bound_shapes;
pub use program::compile;
