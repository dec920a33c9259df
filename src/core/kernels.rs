//! Kernels as Rust calls them, a module for each `shaders/*.comp`, which `shaders/build.rs` generates
//! from the names that GLSL gives: push constants, specialization constants, bindings and variants. A
//! word that is missing, swapped or of another type does not compile. What kernels share, and what both
//! languages must know alike, is in [`lib`].

use super::shader::Shader;

/// What is passed as 32-bit words.
pub trait Words {
    /// Appends them.
    fn push_to(&self, words: &mut Vec<u32>);

    /// All of them.
    fn words(&self) -> Vec<u32> {
        let mut words = Vec::new();
        self.push_to(&mut words);
        words
    }
}

impl Words for u32 {
    fn push_to(&self, words: &mut Vec<u32>) {
        words.push(*self);
    }
}

impl Words for i32 {
    fn push_to(&self, words: &mut Vec<u32>) {
        words.push(*self as u32);
    }
}

impl Words for f32 {
    fn push_to(&self, words: &mut Vec<u32>) {
        words.push(self.to_bits());
    }
}

impl Words for bool {
    fn push_to(&self, words: &mut Vec<u32>) {
        words.push(u32::from(*self));
    }
}

impl<T: Words, const N: usize> Words for [T; N] {
    fn push_to(&self, words: &mut Vec<u32>) {
        self.iter().for_each(|element| element.push_to(words));
    }
}

/// A call of a kernel; the generated modules hold one for each.
pub trait KernelCall {
    /// What is bound.
    type Bind;
    /// The code.
    fn shader(&self) -> Shader;
    /// Memory that a workgroup shares.
    fn shared_bytes(&self) -> u64;
    /// Invocations that a workgroup must have, where the kernel counts on a number.
    fn threads(&self) -> Option<u64>;
    /// Specialization constants 3, 4, ...: 0, 1 and 2 are the workgroup size.
    fn spec(&self) -> Vec<u32>;
    /// Push constants.
    fn push(&self) -> Vec<u32>;
    /// What is bound as 0, 1, 2, ...
    fn into_bindings(self) -> Vec<Self::Bind>;
}

pub use generated::*;

#[allow(
    missing_docs,
    unused_imports,
    unused_parens,
    clippy::all,
    reason = "the names are the shaders', and text that a program writes need not be pretty"
)]
mod generated {
    use super::{KernelCall, Words};

    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}
