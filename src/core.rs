//! Programs as plain data, before operators give them meaning and after: what is read from bytes,
//! what a device can do, what a caller chose, and what a GPU run is made of. No Vulkan.

pub mod broadcast;
pub mod constant;
pub mod constraints;
pub mod conv;
pub mod device;
pub mod gemm;
pub mod graph;
pub mod ids;
pub mod image;
pub mod kernels;
pub mod memory;
pub mod options;
pub mod parse;
pub mod profile;
pub mod program;
pub mod shader;
pub mod strided;
pub mod tensor;
pub mod valid;
pub mod words;
