//! Programs at any size below their bound: memory is reserved once, bits are those of a program
//! that was made for the size, and a size that cannot be is an error that changes nothing.

#[path = "../common/blob.rs"]
mod blob;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/reference.rs"]
mod reference;
#[path = "../common/run.rs"]
mod run;

mod nets;
mod refused;
mod reserved;
mod resized;
mod shared;
