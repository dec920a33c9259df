//! etvk: an independent Vulkan backend for ExecuTorch programs.
//!
//! Two halves. A **pure core** decides everything and is tested without a GPU:
//!
//! ```text
//! bytes --parse--> Graph --compile--> Program --memory--> MemoryPlan, hazards
//!                          (ops: one file per operator; ops::conv2d::plan chooses algorithms)
//! ```
//!
//! A **thin shell** obeys: `vk` records a [`program::Program`] into a command buffer once per set
//! of input sizes and submits it per inference; `delegate` joins the two halves; `ffi` is the C ABI.
//!
//! Imports point one way: `ffi -> delegate -> {parse, compile, vk}`, `compile -> ops -> builder ->
//! {graph, program, tensor}`. Operators never see `vk`; `vk` never sees operators or graphs.
//! `tests/layering.rs` keeps this, and the compiler keeps `unsafe` inside `vk` and `ffi`.

pub mod builder;
pub mod compile;
pub mod constant;
pub mod delegate;
pub mod error;
#[allow(
    unsafe_code,
    reason = "raw pointers from C: each is checked, and its use says why it is sound"
)]
pub mod ffi;
pub mod graph;
pub mod log_sink;
pub mod memory;
pub mod ops;
pub mod options;
pub mod parallel;
pub mod parse;
pub mod passes;
pub mod program;
pub mod shader;
pub mod state;
pub mod strided;
pub mod tensor;
#[allow(
    unsafe_code,
    reason = "Vulkan is a C API: every call is unsafe and says why it is sound"
)]
pub mod vk;
