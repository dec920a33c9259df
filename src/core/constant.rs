//! Constants: how serialized bytes become what kernels read. Packing is pure and runs on the CPU,
//! straight from the host's mapped bytes into staging memory.

mod pack;
mod read;
mod winograd;
mod write;

pub use pack::{Pack, Transform};
pub use read::{read_float, read_int, ConstantData};

#[cfg(test)]
mod tests;
