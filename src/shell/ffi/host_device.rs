//! Devices that the host opened. This file is part of what the header is made of.
#![allow(non_camel_case_types, reason = "the names of the C header")]

use super::call::{self, guard, write};
use super::{convert, etvk_status};
use crate::base::error::Error;
use crate::shell::vk::{hosted, QueueLock};
use std::ffi::c_void;

/// Called around every use of a host's queue, on any thread. It must not call this library, which
/// answers ETVK_STATUS_INVALID_ARGUMENT.
pub type etvk_queue_callback = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// A Vulkan device that the host opened. Set it to zero, then fill it; what is said of
/// etvk_create_info.struct_size holds here too. Nothing here is destroyed by this library, and all
/// of it has to stay until etvk_host_device_remove has succeeded.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct etvk_host_device {
    /// sizeof(etvk_host_device).
    pub struct_size: u32,
    /// apiVersion of the VkApplicationInfo that the instance was made with: at least 1.1.
    pub api_version: u32,
    /// vkGetInstanceProcAddr of the loader that the instance came from.
    pub get_instance_proc_addr: *const c_void,
    /// The VkInstance.
    pub instance: *mut c_void,
    /// The VkPhysicalDevice, of Vulkan 1.1 or later.
    pub physical_device: *mut c_void,
    /// The VkDevice.
    pub device: *mut c_void,
    /// A VkQueue of the device. Work is submitted to it during create, resize and execute.
    pub queue: *mut c_void,
    /// The queue's family, which must compute.
    pub queue_family: u32,
    /// 0.
    pub reserved: u32,
    /// The pNext chain of the VkDeviceCreateInfo that the device was made with; read during the call
    /// only. No feature is required. Those that are found there are used: 16-bit storage buffers,
    /// shaderFloat16, vulkanMemoryModel with cooperativeMatrix. May be null.
    pub features: *const c_void,
    /// Locks the queue, against the host's own threads. Called in pairs with unlock_queue, on one
    /// thread, around each submission and not while waiting for it. The host must not hold the lock
    /// when it calls this library. Both may be null when no other thread uses the queue during
    /// calls of this library.
    pub lock_queue: etvk_queue_callback,
    /// See lock_queue.
    pub unlock_queue: etvk_queue_callback,
    /// Passed to both.
    pub queue_context: *mut c_void,
}

/// Makes the host's device known; *out gets a number for the option host_device, by which delegates
/// run on it, beside others on devices of this library.
#[no_mangle]
pub unsafe extern "C" fn etvk_host_device_add(
    info: *const etvk_host_device,
    out: *mut u32,
) -> etvk_status {
    guard(|| {
        call::check_out(out, "out")?;
        // SAFETY: the caller says that `info` points at `struct_size` bytes.
        let info = unsafe { convert::sized(info) }?;
        let lock = match (info.lock_queue, info.unlock_queue) {
            (None, None) => None,
            (Some(lock), Some(unlock)) => {
                // SAFETY: the host says that any thread may call them until the device is removed.
                Some(unsafe { QueueLock::new(lock, unlock, info.queue_context) })
            }
            _ => return Err(Error::argument("lock_queue and unlock_queue go together")),
        };
        if info.reserved != 0 {
            return Err(Error::argument("reserved is not 0"));
        }
        let handles = hosted::Handles {
            get_instance_proc_addr: info.get_instance_proc_addr,
            instance: info.instance,
            physical_device: info.physical_device,
            device: info.device,
            queue: info.queue,
            queue_family: info.queue_family,
            api_version: info.api_version,
            features: info.features,
        };
        // SAFETY: the host says that the handles are alive and stay, and what the chain is.
        let id = unsafe { hosted::add(&handles, lock) }?;
        // SAFETY: `out` was checked above.
        unsafe { write(out, id, "out") }
    })
}

/// Forgets the host's device, which the host may destroy afterwards. ETVK_STATUS_INVALID_ARGUMENT,
/// and nothing changes, while delegates on it live.
#[no_mangle]
pub extern "C" fn etvk_host_device_remove(id: u32) -> etvk_status {
    guard(|| hosted::remove(id))
}
