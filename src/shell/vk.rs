//! The GPU shell: the only user of `ash`. It turns plain data (a program, its memory plan) into Vulkan
//! objects and knows nothing of graphs or operators.
//!
//! ```text
//! open, hosted       the device that the options ask for: found among the open ones, or opened
//!   gpu              a device with what its delegates share: pipelines, workspaces, images, threads
//! session            the memory of one delegate; recordings of programs in it; runs
//!   record, upload   commands made from programs; constants on their way to the device
//!     memory, image, workspace, pipeline, commands     what owns Vulkan objects
//!       device       the handle, the queue, the limits, whether it is lost, what may still run
//!         snapshot, physical, features                 what a driver says, and what is decided from it
//!           instance, queue, requirements              the loader; the queue's locks; what drivers ask for
//! ```
//!
//! Files import only what stands below them. `snapshot` alone asks drivers what they can do; choosing a
//! device, its features and memory types are pure functions, tested without a GPU.
//!
//! Every object is owned by a Rust value that destroys it, and every such value holds its `Device`, so
//! things end in the right order on every path, half-made ones included. Where the GPU may still use
//! what was submitted (`Device::may_free`), nothing is destroyed at all.

mod cache_file;
mod cache_place;
mod commands;
mod device;
mod features;
pub mod forked;
mod gpu;
pub mod hosted;
mod image;
mod instance;
mod ledger;
mod memory;
mod open;
mod physical;
mod pipeline;
mod pipeline_cache;
mod purpose;
mod queue;
mod record;
mod requirements;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;
mod upload;
pub mod validation;
mod workspace;

pub use gpu::Gpu;
pub use ledger::{process_memory, MemoryReport, ProcessMemory};
pub use pipeline::Pipelines;
pub use queue::QueueLock;
pub use record::{Recording, Timing};
pub use session::{Committed, Prepared, ReadConstant, Session, SessionOptions, POISON};
pub use workspace::Sharing;

use crate::base::error::{Error, ErrorKind};
use ash::vk;

/// The one place where Vulkan's results become our errors.
fn failure(what: &str, result: vk::Result) -> Error {
    let kind = match result {
        vk::Result::ERROR_OUT_OF_HOST_MEMORY
        | vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
        | vk::Result::ERROR_OUT_OF_POOL_MEMORY
        | vk::Result::ERROR_FRAGMENTED_POOL
        | vk::Result::ERROR_FRAGMENTATION
        | vk::Result::ERROR_TOO_MANY_OBJECTS
        | vk::Result::ERROR_MEMORY_MAP_FAILED => ErrorKind::OutOfMemory,
        vk::Result::ERROR_DEVICE_LOST => ErrorKind::DeviceLost,
        vk::Result::TIMEOUT => ErrorKind::Timeout,
        vk::Result::ERROR_INCOMPATIBLE_DRIVER
        | vk::Result::ERROR_INITIALIZATION_FAILED
        | vk::Result::ERROR_LAYER_NOT_PRESENT
        | vk::Result::ERROR_EXTENSION_NOT_PRESENT
        | vk::Result::ERROR_FEATURE_NOT_PRESENT => ErrorKind::NoDevice,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{what}: {result:?}"))
}

/// Locks even after a panic elsewhere: what these mutexes guard is never left half-changed.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
