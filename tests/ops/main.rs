//! Conformance of every operator with a scalar f64 reference, on the device.

#[path = "../common/blob.rs"]
mod blob;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/reference.rs"]
mod reference;
#[path = "../common/run.rs"]
mod run;

mod binary;
mod compare;
mod conv2d;
mod create;
mod denormals;
mod dynamic;
mod fed;
mod gather;
mod grid_priors;
mod integers;
mod matmul;
mod moves;
mod norm;
mod pool;
mod quantize;
mod quantized_conv;
mod reduce;
mod resample;
mod select;
mod softmax;
mod state;
mod strided_operands;
mod symint;
mod unary;
mod windows;
