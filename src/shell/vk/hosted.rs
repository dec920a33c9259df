//! Devices that the host opened: numbers by which the option `host_device` names them. Nothing of
//! the host is destroyed here.

use super::device::{Device, Owner};
use super::features::Features;
use super::instance::Instance;
use super::lock;
use super::physical::{computes, describe};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::host_calls::Closed;
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

/// The host's lock of its queue.
#[derive(Clone, Copy)]
pub struct QueueLock {
    lock: unsafe extern "C" fn(*mut c_void),
    unlock: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
}

// SAFETY: the context is only passed back to the host's functions, which any thread may call.
unsafe impl Send for QueueLock {}
// SAFETY: as above, several at once.
unsafe impl Sync for QueueLock {}

impl QueueLock {
    /// # Safety
    /// Both can be called with the context, on any thread, until the device is removed.
    pub unsafe fn new(
        lock: unsafe extern "C" fn(*mut c_void),
        unlock: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    ) -> Self {
        Self {
            lock,
            unlock,
            context,
        }
    }

    pub(super) fn hold(&self) -> HeldQueue<'_> {
        // Our own lock of the queue is held.
        let _closed = Closed::enter();
        // SAFETY: the promise of `new`; devices that hold this keep the host's from being removed.
        unsafe { (self.lock)(self.context) };
        HeldQueue(self)
    }
}

/// Unlocks the host's queue at its end.
pub(super) struct HeldQueue<'a>(&'a QueueLock);

impl Drop for HeldQueue<'_> {
    fn drop(&mut self) {
        let _closed = Closed::enter();
        // SAFETY: as in `hold`.
        unsafe { (self.0.unlock)(self.0.context) };
    }
}

struct Hosted {
    id: u32,
    instance: Arc<Instance>,
    physical: vk::PhysicalDevice,
    handle: ash::Device,
    queue: vk::Queue,
    queue_family: u32,
    features: Features,
    lock: Option<QueueLock>,
    /// Among those of the instance.
    index: usize,
    /// What this library made on it, while delegates use that.
    device: Weak<Device>,
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
    for (name, null) in [
        (
            "get_instance_proc_addr",
            handles.get_instance_proc_addr.is_null(),
        ),
        ("instance", handles.instance.is_null()),
        ("physical_device", handles.physical_device.is_null()),
        ("device", handles.device.is_null()),
        ("queue", handles.queue.is_null()),
    ] {
        if null {
            return Err(Error::argument(format!("host device: {name} is null")));
        }
    }
    let no_device = |message: String| Error::new(ErrorKind::NoDevice, message);
    if handles.api_version < vk::API_VERSION_1_1 {
        return Err(no_device(format!(
            "host device: api_version is {}.{}, 1.1 is needed",
            vk::api_version_major(handles.api_version),
            vk::api_version_minor(handles.api_version)
        )));
    }
    let address = |handle: *mut c_void| handle.expose_provenance() as u64;
    // SAFETY: the host says what they are; none is null.
    let (instance, handle) = unsafe {
        let get = std::mem::transmute::<*const c_void, vk::PFN_vkGetInstanceProcAddr>(
            handles.get_instance_proc_addr,
        );
        let instance = Instance::of_host(get, vk::Instance::from_raw(address(handles.instance)))?;
        let device = vk::Device::from_raw(address(handles.device));
        let handle = ash::Device::load(instance.handle.fp_v1_0(), device);
        (Arc::new(instance), handle)
    };
    let physical = vk::PhysicalDevice::from_raw(address(handles.physical_device));
    // SAFETY: the instance is alive.
    let all = unsafe { instance.handle.enumerate_physical_devices() }
        .map_err(|e| super::failure("host device: vkEnumeratePhysicalDevices", e))?;
    let index = all
        .iter()
        .position(|&one| one == physical)
        .ok_or_else(|| Error::argument("host device: physical_device is none of the instance"))?;
    computes(&instance.handle, physical, handles.queue_family)
        .map_err(|why| no_device(format!("host device: {why}")))?;
    let (limits, ..) = describe(&instance.handle, physical);
    // SAFETY: the host's promise.
    let features = unsafe { Features::of_chain(handles.features) }.with_usable_matrices(
        &instance,
        physical,
        limits.subgroup_size,
    )?;
    let mut list = lock(&LIST);
    let id = list.next_id;
    list.next_id = id
        .checked_add(1)
        .ok_or_else(|| Error::internal("too many host devices"))?;
    list.hosted.push(Hosted {
        id,
        instance,
        physical,
        handle,
        queue: vk::Queue::from_raw(address(handles.queue)),
        queue_family: handles.queue_family,
        features,
        lock: lock_queue,
        index,
        device: Weak::new(),
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
pub(super) fn open(id: u32) -> Result<Arc<Device>> {
    let mut list = lock(&LIST);
    let at = find(&list, id)?;
    let hosted = &mut list.hosted[at];
    if let Some(device) = hosted.device.upgrade() {
        // Lost is lost: only the host can open another.
        device.alive()?;
        return Ok(device);
    }
    let owner = Owner::Host {
        lock: hosted.lock,
        _in_use: hosted.in_use.clone(),
    };
    let device = Device::assemble(
        hosted.instance.clone(),
        (hosted.physical, hosted.index),
        hosted.handle.clone(),
        (hosted.queue, hosted.queue_family),
        hosted.features,
        owner,
    )?;
    let device = device
        .with_images(hosted.physical)
        .map_err(|(_, error)| error)?;
    hosted.device = Arc::downgrade(&device);
    log::info!("device of the host: {}", device.name());
    Ok(device)
}

fn find(list: &List, id: u32) -> Result<usize> {
    let found = list.hosted.iter().position(|hosted| hosted.id == id);
    found.ok_or_else(|| Error::argument(format!("host device {id} is not one that was added")))
}
