//! The GPU shell: the only user of `ash` and `gpu-allocator`. It turns plain data (a program, its
//! memory plan) into Vulkan objects and knows nothing of graphs or operators.
//!
//! Every object is owned by a Rust value that destroys it, and every such value holds its
//! [`Device`], so things end in the right order on every path, half-made ones included.

mod cache_file;
mod cache_place;
mod commands;
mod device;
mod features;
pub mod hosted;
mod image;
mod instance;
mod memory;
mod physical;
mod pipeline;
mod pipeline_cache;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod upload;
mod usage;
pub mod validation;
mod workspace;

pub use device::Device;
pub use hosted::QueueLock;
pub use record::{Recording, Timing};
pub use session::{MemoryReport, Prepared, ReadConstant, Reserved, Session, Terms, POISON};
pub use usage::{process_memory, ProcessMemory};
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
