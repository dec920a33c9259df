//! etvk: an independent Vulkan backend for ExecuTorch programs.
//!
//! Two halves. A **pure core** decides everything and is tested without a GPU:
//!
//! ```text
//! bytes --parse--> Graph --passes--> Graph --compile--> Program --memory--> MemoryPlan, hazards
//! ```
//!
//! [`compile::load::plan`] is all of that line: one pure function of bytes, named data, what is known
//! of the device, and what the caller chose. A **thin shell** obeys: [`shell::vk`] records a
//! [`core::program::Program`] into a command buffer once per set of input sizes and submits it per
//! inference; [`shell::delegate`] joins the two halves; [`shell::ffi`] is the C ABI.
//!
//! The folders are the layers, the lowest first; each imports only what stands before it:
//!
//! | folder | what it holds |
//! |--|--|
//! | `base` | errors, log records, threads |
//! | `core` | graphs, programs, devices and choices as plain data; parsing; memory planning |
//! | `ops/support` | what operators share: arguments, the builder they emit into, windows, the GEMM |
//! | `ops` | one file per operator, and their table |
//! | `compile` | passes, bounds, mutable buffers, the loop over nodes, the load |
//! | `shell` | Vulkan, loaded programs, the C ABI |
//!
//! Operators never see `shell`, nor one another; `shell::vk` never sees operators or graphs. Names of
//! operators and the order of their arguments stand in `ops` alone: what others need to know of a call,
//! they ask its [`ops::support::Op`]. No two files import one another, directly or by way of others:
//! `tests/layering.rs` computes the graph of imports from the source and names the files of any circle.
//! The compiler keeps `unsafe` inside `shell::vk` and `shell::ffi`.

pub mod base;
pub mod compile;
pub mod core;
pub mod ops;
pub mod shell;
