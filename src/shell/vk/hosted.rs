//! Devices that the host opened: numbers by which the option `host_device` names them. Nothing of
//! the host is destroyed here.

use super::device::{Opened, Owner};
use super::features::Features;
use super::gpu::Gpu;
use super::instance::Instance;
use super::physical::computes;
use super::queue::{Queue, QueueLock};
use super::snapshot::Snapshot;
use super::{failure, lock};
use crate::base::error::{Error, ErrorKind, Result};
use ash::vk::{self, Handle as _};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, Weak};

/// What the host says of its device.
pub struct Handles {
    /// PFN_vkGetInstanceProcAddr.
    pub get_instance_proc_addr: *const c_void,
    /// VkInstance.
    pub instance: *mut c_void,
    /// VkPhysicalDevice.
    pub physical_device: *mut c_void,
    /// VkDevice.
    pub device: *mut c_void,
    /// VkQueue.
    pub queue: *mut c_void,
    /// Its family.
    pub queue_family: u32,
    /// What the instance was made for.
    pub api_version: u32,
    /// Chain of enabled features.
    pub features: *const c_void,
}

impl Handles {
    /// What can be checked without calling Vulkan.
    fn check(&self) -> Result<()> {
        for (name, null) in [
            (
                "get_instance_proc_addr",
                self.get_instance_proc_addr.is_null(),
            ),
            ("instance", self.instance.is_null()),
            ("physical_device", self.physical_device.is_null()),
            ("device", self.device.is_null()),
            ("queue", self.queue.is_null()),
        ] {
            if null {
                return Err(Error::argument(format!("host device: {name} is null")));
            }
        }
        if self.api_version < vk::API_VERSION_1_1 {
            return Err(no_device(format!(
                "api_version is {}.{}, 1.1 is needed",
                vk::api_version_major(self.api_version),
                vk::api_version_minor(self.api_version)
            )));
        }
        Ok(())
    }
}

fn no_device(why: String) -> Error {
    Error::new(ErrorKind::NoDevice, format!("host device: {why}"))
}

fn number(handle: *mut c_void) -> u64 {
    handle.expose_provenance() as u64
}

struct Hosted {
    id: u32,
    physical: vk::PhysicalDevice,
    instance: Arc<Instance>,
    snapshot: Snapshot,
    handle: ash::Device,
    queue: vk::Queue,
    queue_family: u32,
    lock: Option<QueueLock>,
    /// Among those of the instance.
    index: usize,
    /// What this library made on it, while delegates use that.
    gpu: Weak<Gpu>,
    /// Devices hold it until they are destroyed: alone, nothing is left.
    in_use: Arc<()>,
}

struct List {
    next_id: u32,
    hosted: Vec<Hosted>,
}

static LIST: Mutex<List> = Mutex::new(List {
    next_id: 1,
    hosted: Vec::new(),
});

/// Checks what the host says as far as it can be checked, and gives it a number.
///
/// # Safety
/// The handles are of one instance and alive until [`remove`]; the chain is one of Vulkan.
pub unsafe fn add(handles: &Handles, lock_queue: Option<QueueLock>) -> Result<u32> {
    handles.check()?;
    // SAFETY: the host says what they are; none is null.
    let (instance, handle) = unsafe {
        let get = std::mem::transmute::<*const c_void, vk::PFN_vkGetInstanceProcAddr>(
            handles.get_instance_proc_addr,
        );
        let instance = Instance::of_host(get, vk::Instance::from_raw(number(handles.instance)))?;
        let device = vk::Device::from_raw(number(handles.device));
        let handle = ash::Device::load(instance.handle.fp_v1_0(), device);
        (Arc::new(instance), handle)
    };
    let physical = vk::PhysicalDevice::from_raw(number(handles.physical_device));
    // SAFETY: the instance is alive.
    let all = unsafe { instance.handle.enumerate_physical_devices() }
        .map_err(|e| failure("host device: vkEnumeratePhysicalDevices", e))?;
    let index = all
        .iter()
        .position(|&one| one == physical)
        .ok_or_else(|| Error::argument("host device: physical_device is none of the instance"))?;
    // SAFETY: the host's promise.
    let snapshot = unsafe { Snapshot::ask_host(&instance, physical, handles.features) }?;
    computes(&snapshot, handles.queue_family).map_err(no_device)?;
    let mut list = lock(&LIST);
    let id = list.next_id;
    list.next_id = id
        .checked_add(1)
        .ok_or_else(|| Error::internal("too many host devices"))?;
    list.hosted.push(Hosted {
        id,
        physical,
        instance,
        snapshot,
        handle,
        queue: vk::Queue::from_raw(number(handles.queue)),
        queue_family: handles.queue_family,
        lock: lock_queue,
        index,
        gpu: Weak::new(),
        in_use: Arc::new(()),
    });
    Ok(id)
}

/// Forgets a device that no delegate uses.
pub fn remove(id: u32) -> Result<()> {
    let mut list = lock(&LIST);
    let at = find(&list, id)?;
    if Arc::strong_count(&list.hosted[at].in_use) > 1 {
        return Err(Error::argument(format!(
            "host device {id} is in use by delegates"
        )));
    }
    list.hosted.remove(at);
    Ok(())
}

/// What runs on the host's device `id`, shared by its delegates.
pub(super) fn open(id: u32) -> Result<Arc<Gpu>> {
    let mut list = lock(&LIST);
    let at = find(&list, id)?;
    let hosted = &mut list.hosted[at];
    if let Some(gpu) = hosted.gpu.upgrade() {
        // Lost is lost: only the host can open another.
        gpu.alive()?;
        return Ok(gpu);
    }
    let gpu = Gpu::new(Opened {
        instance: hosted.instance.clone(),
        physical: hosted.physical,
        snapshot: hosted.snapshot.clone(),
        index: hosted.index,
        features: Features::usable(&hosted.snapshot),
        handle: hosted.handle.clone(),
        queue: Queue::new(hosted.queue, hosted.queue_family, hosted.lock),
        owner: Owner::Host {
            _in_use: hosted.in_use.clone(),
        },
    })?;
    hosted.gpu = Arc::downgrade(&gpu);
    drop(list);
    log::info!("device of the host: {}", gpu.name());
    Ok(gpu)
}

fn find(list: &List, id: u32) -> Result<usize> {
    let found = list.hosted.iter().position(|hosted| hosted.id == id);
    found.ok_or_else(|| Error::argument(format!("host device {id} is not one that was added")))
}
