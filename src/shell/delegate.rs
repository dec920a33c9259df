//! One loaded program on one device: the pure core and the GPU shell joined. Safe Rust.

pub mod host;
mod kept;
mod loaded;
mod phases;
mod ports;
pub mod profile;
mod report;

pub use loaded::Delegate;
