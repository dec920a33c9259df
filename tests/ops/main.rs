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
mod conv2d;
mod create;
mod matmul;
mod select;
mod symint;
mod unary;
