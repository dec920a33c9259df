//! The operators, one file each, and the table that finds them by name.
//!
//! An operator is one file here, its shader(s), one line in [`table::OPS`] and one test.

pub mod batch_norm;
pub mod binary;
pub mod cat;
pub mod conv2d;
pub mod copy;
pub mod create;
pub mod dequantize_channel;
pub mod expand;
pub mod gather;
pub mod grid_priors;
pub mod grid_sampler;
pub mod matmul;
pub mod norm;
pub mod pad;
pub mod permute;
pub mod pixel_shuffle;
pub mod pool;
pub mod quantize;
pub mod quantized_conv;
pub mod reduce;
pub mod resample;
pub mod select;
pub mod slice;
pub mod softmax;
pub mod support;
pub mod symint;
pub mod table;
pub mod unary;
pub mod view;
