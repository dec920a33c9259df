//! What operators emit into: tensors, constants and dispatches of the program being compiled.
//!
//! Operators say what they read and write; buffers, barriers and descriptor sets follow from that.
//! Shape operators bind a window into an existing buffer and emit nothing.

mod copy;
mod dispatch;
mod parts;
mod program;
mod scope;
mod tensors;

pub use copy::dense_layout;
pub use dispatch::{Bind, DispatchDesc, Grid, LINE_LOCAL_SIZE};
pub use program::ProgramBuilder;
pub use scope::{Cut, PieceTarget};
pub use tensors::Want;
