//! The open device: its features and its queue. One per physical device, shared by
//! all delegates; the last one to go destroys it.

use super::features::Features;
use super::hosted::{self, QueueLock};
use super::image::{DriverImages, ImageFacts};
use super::instance::{Instance, Validation, LIFETIME};
use super::memory::buffer_info;
use super::physical::{candidate, choose, describe, timestamp_period, Candidate};
use super::pipeline::Pipelines;
use super::workspace::Shared;
use super::{failure, lock};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::parallel::Workers;
use crate::core::device::{DeviceLimits, ImageSizes};
use crate::core::image::ImageShape;
use crate::core::options::Options;
use ash::prelude::VkResult;
use ash::{ext, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// An open device.
pub struct Device {
    pub(super) handle: ash::Device,
    /// Dropped by hand: before the device it allocates from.
    pub(super) allocator: ManuallyDrop<Mutex<Allocator>>,
    pub(super) memory: vk::PhysicalDeviceMemoryProperties,
    pub(super) pipelines: Pipelines,
    /// Workspaces of delegates that share them.
    pub(super) workspaces: Shared,
    workers: Workers,
    pub(super) queue_family: u32,
    queue: Mutex<vk::Queue>,
    owner: Owner,
    names: Option<ext::debug_utils::Device>,
    limits: DeviceLimits,
    images: Arc<DriverImages>,
    max_bindings: u32,
    timestamp_period_ns: Option<f32>,
    /// Memory types that a buffer and all images can share.
    pub(super) shared_memory_types: u32,
    name: String,
    index: usize,
    lost: AtomicBool,
    pub(super) instance: Arc<Instance>,
}

/// Who opened a device, and destroys it.
pub(super) enum Owner {
    Us,
    Host {
        lock: Option<QueueLock>,
        /// Dropped after everything else of the device.
        _in_use: Arc<()>,
    },
}

/// How often, and how far apart, waiting for an idle device is tried when the driver is short of
/// memory: what was submitted must have ended before its memory is reused.
const IDLE_ATTEMPTS: u32 = 10;
const IDLE_PAUSE: Duration = Duration::from_millis(20);

static SHARED: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

/// Devices that outlive their last delegate because one of them asked for it.
static KEPT: Mutex<Vec<Arc<Device>>> = Mutex::new(Vec::new());

impl Device {
    /// The device that `options` ask for: an open one if it is still good, else a new one.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        // Whatever is looked at may be down to this owner: it must end after the guard is gone.
        if let Some(id) = options.host_device {
            return match options.device_index {
                None => hosted::open(id),
                Some(_) => Err(Error::argument(
                    "the options host_device and device_index exclude each other",
                )),
            };
        }
        let mut alive = Vec::new();
        let device = {
            let _lifetime = lock(&LIFETIME);
            Self::find_or_create(options, &mut alive)?
        };
        let mut kept = lock(&KEPT);
        // A lost device is kept no longer.
        let (lost, good): (Vec<_>, Vec<_>) = kept.drain(..).partition(|d| d.is_lost());
        *kept = good;
        alive.extend(lost);
        if options.keep_device && !kept.iter().any(|d| Arc::ptr_eq(d, &device)) {
            kept.push(device.clone());
        }
        drop(kept);
        Ok(device)
    }

    /// Number of devices that are open.
    pub fn open_count() -> usize {
        let shared = lock(&SHARED);
        shared.iter().filter(|d| d.strong_count() > 0).count()
    }

    /// Lets go of the devices that the option `keep_device` keeps; those in use end with their last
    /// delegate.
    pub fn release_kept() {
        let kept = std::mem::take(&mut *lock(&KEPT));
        drop(kept);
    }

    /// Threads for copies between the host and the device.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether there is the device that `options` ask for. It is not opened: that takes long.
    pub fn probe(options: &Options) -> Result<()> {
        if options.host_device.is_some() {
            return Self::open(options).map(drop);
        }
        let _lifetime = lock(&LIFETIME);
        Self::find(options).map(|_| ())
    }

    /// The device that `options` ask for, its index among all, and the queue family to use.
    fn find(options: &Options) -> Result<(Arc<Instance>, vk::PhysicalDevice, usize, u32)> {
        let validation = if options.validation {
            Validation::On
        } else {
            Validation::Off
        };
        let instance = Instance::shared(validation)?;
        // SAFETY: the instance is alive.
        let physical = unsafe { instance.handle.enumerate_physical_devices() }
            .map_err(|e| failure("no Vulkan device: vkEnumeratePhysicalDevices", e))?;
        let candidates: Vec<Candidate> = physical
            .iter()
            .map(|&device| candidate(&instance.handle, device))
            .collect();
        let (index, queue_family) = choose(&candidates, options.device_index)?;
        Ok((instance, physical[index], index, queue_family))
    }

    fn find_or_create(options: &Options, alive: &mut Vec<Arc<Self>>) -> Result<Arc<Self>> {
        let (instance, physical, index, queue_family) = Self::find(options)?;
        let mut shared = lock(&SHARED);
        shared.retain(|weak| weak.strong_count() > 0);
        alive.extend(shared.iter().filter_map(Weak::upgrade));
        let good = |device: &&Arc<Self>| {
            device.index == index && Arc::ptr_eq(&device.instance, &instance) && !device.is_lost()
        };
        if let Some(device) = alive.iter().find(good) {
            return Ok(device.clone());
        }
        let device = Self::create(instance, physical, index, queue_family)?;
        let device = match device.with_images(physical) {
            Ok(device) => device,
            Err((device, error)) => {
                alive.push(Arc::new(device));
                return Err(error);
            }
        };
        shared.push(Arc::downgrade(&device));
        log::info!("device {index}: {}", device.name);
        Ok(device)
    }

    /// The same with what is known of its images, shared. A failure gives it back, to be dropped
    /// where [`LIFETIME`] is free.
    #[allow(
        clippy::result_large_err,
        reason = "once per device, and it must be given back"
    )]
    pub(super) fn with_images(
        mut self,
        physical: vk::PhysicalDevice,
    ) -> std::result::Result<Arc<Self>, (Self, Error)> {
        let facts = match ImageFacts::ask(&self, physical) {
            Ok(facts) => facts,
            Err(error) => return Err((self, error)),
        };
        self.shared_memory_types = facts.shared_types;
        self.limits.image_extents = facts.extents();
        Ok(Arc::new_cyclic(|weak| {
            self.images = Arc::new(facts.of(weak.clone()));
            self
        }))
    }

    fn create(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        index: usize,
        queue_family: u32,
    ) -> Result<Self> {
        let (limits, ..) = describe(&instance.handle, physical);
        let features = Features::offered(&instance, physical, limits.subgroup_size)?;
        let handle = features.open(&instance, physical, queue_family)?;
        // SAFETY: the device was opened with the first queue of the family.
        let queue = unsafe { handle.get_device_queue(queue_family, 0) };
        Self::assemble(
            instance,
            (physical, index),
            handle,
            (queue, queue_family),
            features,
            Owner::Us,
        )
    }

    /// What this library makes on a device that is open with `features`. A device that is ours is
    /// destroyed on failure.
    pub(super) fn assemble(
        instance: Arc<Instance>,
        (physical, index): (vk::PhysicalDevice, usize),
        handle: ash::Device,
        (queue, queue_family): (vk::Queue, u32),
        features: Features,
        owner: Owner,
    ) -> Result<Self> {
        let (mut limits, max_bindings, name) = describe(&instance.handle, physical);
        // SAFETY: `physical` is one of the instance, which is alive.
        let properties = unsafe { instance.handle.get_physical_device_properties(physical) };
        // From here on `handle` must be destroyed by hand until `Self` owns it.
        let parts = Allocator::new(&AllocatorCreateDesc {
            instance: instance.handle.clone(),
            device: handle.clone(),
            physical_device: physical,
            debug_settings: Default::default(),
            buffer_device_address: false,
            allocation_sizes: Default::default(),
        })
        .map_err(|e| Error::internal(format!("gpu-allocator: {e}")))
        .and_then(|allocator| {
            let granularity = granularity(&handle)?;
            Ok((
                allocator,
                granularity,
                Pipelines::new(&handle, &properties)?,
            ))
        });
        let (allocator, (granularity_bytes, buffer_types), pipelines) = match parts {
            Ok(parts) => parts,
            Err(error) => {
                if matches!(owner, Owner::Us) {
                    // SAFETY: nothing was made from the device that is still alive.
                    unsafe { handle.destroy_device(None) };
                }
                return Err(error);
            }
        };
        let names = instance
            .names
            .then(|| ext::debug_utils::Device::new(&instance.handle, &handle));
        let timestamp_period_ns = timestamp_period(&instance.handle, physical, queue_family);
        limits.allocation_granularity_bytes = granularity_bytes;
        limits.storage_16bit = features.storage_16bit;
        limits.arithmetic_16bit = features.arithmetic_16bit;
        limits.matrix_16x16 = features.matrix_16x16;
        Ok(Self {
            // SAFETY: `physical` is alive with its instance.
            memory: unsafe {
                instance
                    .handle
                    .get_physical_device_memory_properties(physical)
            },
            allocator: ManuallyDrop::new(Mutex::new(allocator)),
            queue: Mutex::new(queue),
            owner,
            lost: AtomicBool::new(false),
            handle,
            pipelines,
            workspaces: Shared::default(),
            workers: Workers::default(),
            queue_family,
            names,
            limits,
            images: Arc::default(),
            max_bindings,
            timestamp_period_ns,
            shared_memory_types: buffer_types,
            name,
            index,
            instance,
        })
    }

    /// What planners may know of it.
    pub fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    /// What its driver allocates for images.
    pub fn images(&self) -> &dyn ImageSizes {
        &*self.images
    }

    /// Bytes that the driver allocates for an image; `None` where it makes none.
    pub(super) fn image_bytes(&self, image: ImageShape) -> Result<Option<u64>> {
        self.images.allocation_bytes(image)
    }

    /// Its name, as the driver gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index among all enumerated devices.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether it runs under the validation layer.
    pub fn validated(&self) -> bool {
        self.instance.validation == Validation::On
    }

    /// Bytes that the driver allocates for a buffer of `size_bytes` (not 0).
    pub(super) fn required_bytes(&self, size_bytes: u64) -> Result<u64> {
        let required = requirements(&self.handle, size_bytes);
        Ok(self.check("vkCreateBuffer", required)?.size)
    }

    /// Storage buffers that one dispatch may bind.
    pub(super) fn max_bindings(&self) -> u32 {
        self.max_bindings
    }

    /// What one tick of a timestamp is; `None` when the queue has none.
    pub(super) fn timestamp_period_ns(&self) -> Option<f32> {
        self.timestamp_period_ns
    }

    /// Fails once the device is lost: nothing on it can be trusted any more.
    pub fn alive(&self) -> Result<()> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::DeviceLost,
                "the device was lost in an earlier call",
            ));
        }
        Ok(())
    }

    /// Turns a Vulkan result into ours, and remembers a lost device.
    pub(super) fn check<T>(&self, what: &str, result: ash::prelude::VkResult<T>) -> Result<T> {
        result.map_err(|e| {
            if e == vk::Result::ERROR_DEVICE_LOST && !self.lost.swap(true, Ordering::AcqRel) {
                log::error!("device {} was lost: {what}", self.index);
            }
            failure(what, e)
        })
    }

    /// Gives `object` a name that debuggers and layers see.
    pub(super) fn name_object(&self, object: impl vk::Handle, name: &str) {
        let (Some(names), Ok(name)) = (&self.names, CString::new(name)) else {
            return;
        };
        let info = vk::DebugUtilsObjectNameInfoEXT::default()
            .object_handle(object)
            .object_name(&name);
        // SAFETY: the extension is enabled and the object belongs to this device. A name that
        // could not be set is no failure.
        let _ = unsafe { names.set_debug_utils_object_name(&info) };
    }

    /// Runs `commands` and waits. On failure nothing of it is running any more.
    pub(super) fn submit_and_wait(
        &self,
        commands: vk::CommandBuffer,
        fence: vk::Fence,
    ) -> Result<()> {
        self.alive()?;
        let buffers = [commands];
        let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
        // SAFETY: the fence and the recorded commands belong to this device; the caller owns both
        // for this call. The queue is locked while it is used.
        unsafe {
            self.check("vkResetFences", self.handle.reset_fences(&[fence]))?;
            let submitted =
                self.with_queue(|queue| self.handle.queue_submit(queue, &submits, fence));
            self.check("vkQueueSubmit", submitted)?;
            let waited = self.handle.wait_for_fences(&[fence], true, u64::MAX);
            let waited = self.check("vkWaitForFences", waited);
            match waited {
                Ok(()) => Ok(()),
                Err(error) => self.wait_idle().and(Err(error)),
            }
        }
    }

    /// Runs `body` while nobody else uses the queue.
    fn with_queue<T>(&self, body: impl FnOnce(vk::Queue) -> T) -> T {
        let queue = lock(&self.queue);
        let _held = match &self.owner {
            Owner::Host {
                lock: Some(lock), ..
            } => Some(lock.hold()),
            _ => None,
        };
        body(*queue)
    }

    /// Waits until nothing runs on the queue, after another wait has failed. A device that cannot
    /// even be waited for counts as lost, so that nobody uses it again.
    fn wait_idle(&self) -> Result<()> {
        for attempt in 1.. {
            // SAFETY: the device is alive and its queue locked: our own has no other. On a host's
            // device, only this queue is ours to wait for.
            let idle = self.with_queue(|queue| unsafe {
                match self.owner {
                    Owner::Us => self.handle.device_wait_idle(),
                    Owner::Host { .. } => self.handle.queue_wait_idle(queue),
                }
            });
            match idle {
                Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST) => break,
                Err(_) if attempt < IDLE_ATTEMPTS => std::thread::sleep(IDLE_PAUSE),
                Err(e) => {
                    let lost = Err(vk::Result::ERROR_DEVICE_LOST);
                    return self.check(&format!("waiting for an idle device gave {e:?}, so"), lost);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _lifetime = lock(&LIFETIME);
        // SAFETY: buffers, recordings and sessions held this device and are gone, so nothing of it
        // is in use; the allocator and the pipelines go first, each exactly once.
        unsafe {
            ManuallyDrop::drop(&mut self.allocator);
            self.pipelines.destroy(&self.handle);
            if matches!(self.owner, Owner::Us) {
                self.handle.destroy_device(None);
            }
        }
    }
}

/// What a buffer of one byte is rounded up to, and the memory types of buffers.
fn granularity(device: &ash::Device) -> Result<(u64, u32)> {
    let requirements = requirements(device, 1).map_err(|e| failure("vkCreateBuffer", e))?;
    Ok((
        requirements.size.max(requirements.alignment).max(1),
        requirements.memory_type_bits,
    ))
}

/// What the driver asks for a buffer of `size_bytes` (not 0).
fn requirements(device: &ash::Device, size_bytes: u64) -> VkResult<vk::MemoryRequirements> {
    // SAFETY: the device is alive; the buffer is destroyed at once and was used by nothing.
    unsafe {
        let buffer = device.create_buffer(&buffer_info(size_bytes), None)?;
        let requirements = device.get_buffer_memory_requirements(buffer);
        device.destroy_buffer(buffer, None);
        Ok(requirements)
    }
}
