//! The convolution planner: which algorithm, in which tiles, in how much workspace. Pure and total:
//! sizes come from untrusted programs, so all arithmetic is checked or wide enough.
//!
//! [`plan_conv2d`] chooses, [`check`] says whether a plan from anywhere else may be obeyed, and
//! [`candidates`] lists all that may be.

mod candidates;
mod check;
mod choose;
mod im2col;
mod implicit;
mod paths;
mod planner;
mod problem;
mod winograd;
mod workspace;

pub use candidates::candidates;
pub use check::check;
pub use choose::plan_conv2d;
pub use problem::{Problem, MAX_TILES};
