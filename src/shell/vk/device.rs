//! An open device: its handle, its queue, what is known of it, and whether it can still be used.

use super::features::Features;
use super::instance::{Instance, Validation, LIFETIME};
use super::queue::Queue;
use super::snapshot::{ImageFormat, Snapshot};
use super::{failure, forked, lock, physical, requirements};
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::device::{DeviceLimits, ImageExtents};
use crate::core::image::ImageShape;
use ash::prelude::VkResult;
use ash::{ext, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A device, destroyed with its last owner: everything that is made on it holds it.
pub(super) struct Device {
    pub(super) handle: ash::Device,
    /// Dropped by hand: before the device that it allocates from. Absent until that works.
    allocator: Option<Mutex<Allocator>>,
    queue: Queue,
    owner: Owner,
    names: Option<ext::debug_utils::Device>,
    limits: DeviceLimits,
    max_bindings: u32,
    timestamp_period_ns: Option<f32>,
    memory: vk::PhysicalDeviceMemoryProperties,
    /// Images that can lie in the workspace.
    images: Vec<ImageFormat>,
    workspace_memory_types: u32,
    name: String,
    index: usize,
    lost: AtomicBool,
    unfinished: Mutex<Unfinished>,
    instance: Arc<Instance>,
}

/// Who opened a device, and destroys it.
pub(super) enum Owner {
    Us,
    /// Holds what tells that the host's device is in use. Dropped after everything else of the device.
    Host {
        _in_use: Arc<()>,
    },
}

/// A device that was just opened.
pub(super) struct Opened {
    pub(super) instance: Arc<Instance>,
    pub(super) physical: vk::PhysicalDevice,
    pub(super) snapshot: Snapshot,
    /// Its place among all devices of the instance.
    pub(super) index: usize,
    /// What it was opened with.
    pub(super) features: Features,
    pub(super) handle: ash::Device,
    pub(super) queue: Queue,
    pub(super) owner: Owner,
}

/// Submissions whose end nobody has seen.
#[derive(Default)]
struct Unfinished {
    fences: Vec<vk::Fence>,
    /// Whether something of the device was leaked because of them. Then all of it is: a device must
    /// not be destroyed before what was made on it.
    abandoned: bool,
}

/// How often, and how far apart, waiting is tried when the driver is short of memory: what was
/// submitted must have ended before its memory is reused.
const WAIT_ATTEMPTS: u32 = 10;
const WAIT_PAUSE: Duration = Duration::from_millis(20);

/// How long the end of something is waited for a second time.
const PATIENCE: Duration = Duration::from_secs(1);

impl Device {
    /// Takes over what was opened, also on failure.
    pub(super) fn new(opened: Opened) -> Result<Arc<Self>> {
        let Opened {
            instance,
            physical,
            snapshot,
            index,
            features,
            handle,
            queue,
            owner,
        } = opened;
        let names = instance
            .names
            .then(|| ext::debug_utils::Device::new(&instance.handle, &handle));
        // From here on `Drop` cleans up.
        let mut device = Self {
            handle,
            allocator: None,
            owner,
            names,
            limits: physical::limits(&snapshot, features),
            max_bindings: physical::max_bindings(&snapshot),
            timestamp_period_ns: physical::timestamp_period_ns(&snapshot, queue.family()),
            queue,
            memory: snapshot.memory,
            images: Vec::new(),
            workspace_memory_types: 0,
            name: physical::name(&snapshot),
            index,
            lost: AtomicBool::new(false),
            unfinished: Mutex::default(),
            instance,
        };
        let allocator = Allocator::new(&AllocatorCreateDesc {
            instance: device.instance.handle.clone(),
            device: device.handle.clone(),
            physical_device: physical,
            debug_settings: Default::default(),
            buffer_device_address: false,
            allocation_sizes: Default::default(),
        });
        let allocator = allocator.map_err(|e| Error::internal(format!("gpu-allocator: {e}")))?;
        device.allocator = Some(Mutex::new(allocator));
        let smallest = device.buffer_requirements(1)?;
        device.limits.allocation_granularity_bytes = smallest.size.max(smallest.alignment).max(1);
        device.workspace_memory_types = smallest.memory_type_bits;
        device.ask_images(&snapshot.images)?;
        Ok(Arc::new(device))
    }

    /// Keeps those of `formats` that can lie where buffers can, and the memory types for that.
    fn ask_images(&mut self, formats: &[ImageFormat]) -> Result<()> {
        let mut extents = ImageExtents::default();
        for &format in formats {
            let smallest = ImageShape {
                dimensions: format.dimensions,
                extent: [1; 3],
                element: format.element,
            };
            // The memory types of an image do not depend on its extent.
            let asked = requirements::of_image(&self.handle, smallest, format.max_bytes);
            let asked = self.check("vkCreateImage", asked)?;
            let shared = self.workspace_memory_types & asked.map_or(0, |r| r.memory_type_bits);
            if shared != 0 {
                self.workspace_memory_types = shared;
                extents.set(format.dimensions, format.element, format.max_extent);
                self.images.push(format);
            }
        }
        self.limits.image_extents = extents;
        Ok(())
    }

    /// What planners may know of it.
    pub(super) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    /// Its name, as the driver gives it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its index among all enumerated devices.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Whether it runs under the validation layer.
    pub(super) fn validated(&self) -> bool {
        self.instance.validation == Validation::On
    }

    pub(super) fn memory(&self) -> &vk::PhysicalDeviceMemoryProperties {
        &self.memory
    }

    /// What memory for buffers comes from.
    pub(super) fn allocator(&self) -> Result<MutexGuard<'_, Allocator>> {
        let allocator = self.allocator.as_ref().map(lock);
        allocator.ok_or_else(|| Error::internal("the device has no allocator yet"))
    }

    /// Memory types that a buffer and all images of [`Device::images`] can share.
    pub(super) fn workspace_memory_types(&self) -> u32 {
        self.workspace_memory_types
    }

    /// The images that can lie in such memory.
    pub(super) fn images(&self) -> &[ImageFormat] {
        &self.images
    }

    /// What the driver asks for a buffer of `size_bytes` (not 0).
    pub(super) fn buffer_requirements(&self, size_bytes: u64) -> Result<vk::MemoryRequirements> {
        let asked = requirements::of_buffer(&self.handle, size_bytes);
        self.check("vkCreateBuffer", asked)
    }

    /// Bytes that the driver allocates for a buffer of `size_bytes` (not 0).
    pub(super) fn allocated_bytes(&self, size_bytes: u64) -> Result<u64> {
        Ok(self.buffer_requirements(size_bytes)?.size)
    }

    pub(super) fn queue_family(&self) -> u32 {
        self.queue.family()
    }

    /// Storage buffers that one dispatch may bind.
    pub(super) fn max_bindings(&self) -> u32 {
        self.max_bindings
    }

    /// What one tick of a timestamp is; `None` when the queue has none.
    pub(super) fn timestamp_period_ns(&self) -> Option<f32> {
        self.timestamp_period_ns
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Fails once the device is lost: nothing on it can be trusted any more.
    pub(super) fn alive(&self) -> Result<()> {
        forked::check()?;
        if self.is_lost() {
            return Err(Error::new(
                ErrorKind::DeviceLost,
                "the device was lost in an earlier call",
            ));
        }
        Ok(())
    }

    fn lose(&self, why: &str) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            log::error!("device {} was lost: {why}", self.index);
        }
    }

    /// Turns a Vulkan result into ours, and remembers a lost device.
    pub(super) fn check<T>(&self, what: &str, result: VkResult<T>) -> Result<T> {
        result.map_err(|e| {
            if e == vk::Result::ERROR_DEVICE_LOST {
                self.lose(what);
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

    /// Runs `commands` and waits for `fence`, at most `timeout`. What has not ended then, or cannot
    /// be waited for, may run on: the device counts as lost, and [`Device::may_free`] knows of it.
    pub(super) fn submit_and_wait(
        &self,
        commands: vk::CommandBuffer,
        fence: vk::Fence,
        timeout: Duration,
    ) -> Result<()> {
        self.alive()?;
        let buffers = [commands];
        let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
        // SAFETY: the fence and the recorded commands belong to this device; the caller owns both
        // for this call. The queue is locked while it is used.
        unsafe {
            self.check("vkResetFences", self.handle.reset_fences(&[fence]))?;
            let submit = |queue| self.handle.queue_submit(queue, &submits, fence);
            self.check("vkQueueSubmit", self.queue.with(submit))?;
        }
        self.wait(fence, timeout)
    }

    pub(super) fn wait(&self, fence: vk::Fence, timeout: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut first_error = None;
        let mut attempts = 0;
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            match self.wait_once(fence, left) {
                Ok(()) => return first_error.map_or(Ok(()), Err),
                Err(vk::Result::TIMEOUT) if left.is_zero() => {
                    let ms = timeout.as_millis();
                    let why = format!("it has not finished within {ms} ms (option timeout_ms)");
                    return Err(self.give_up(fence, ErrorKind::Timeout, &why));
                }
                // A driver may give up early.
                Err(vk::Result::TIMEOUT) => {}
                Err(result) => {
                    first_error =
                        first_error.or(self.check::<()>("vkWaitForFences", Err(result)).err());
                    attempts += 1;
                    if attempts == WAIT_ATTEMPTS {
                        let why = format!("waiting for it gave {result:?}");
                        return Err(self.give_up(fence, ErrorKind::DeviceLost, &why));
                    }
                }
            }
            std::thread::sleep(WAIT_PAUSE.min(left));
        }
    }

    /// The error of a submission that may run on.
    fn give_up(&self, fence: vk::Fence, kind: ErrorKind, why: &str) -> Error {
        lock(&self.unfinished).fences.push(fence);
        self.lose(why);
        Error::new(kind, format!("the device: {why}"))
    }

    fn wait_once(&self, fence: vk::Fence, timeout: Duration) -> VkResult<()> {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the fence is of this device, and its owner keeps it until it is signalled.
        unsafe { self.handle.wait_for_fences(&[fence], true, nanoseconds) }
    }

    /// Whether the GPU is done with everything of this device that its owners are done with. Where it
    /// is not, objects must be leaked: it may still use them.
    pub(super) fn may_free(&self) -> bool {
        let mut unfinished = lock(&self.unfinished);
        let has_ended = |fence| {
            let waited = self.wait_once(fence, PATIENCE);
            matches!(waited, Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST))
        };
        let ended = unfinished.fences.drain(..).all(has_ended);
        unfinished.abandoned |= !ended;
        !unfinished.abandoned
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _lifetime = lock(&LIFETIME);
        let may_free = self.may_free();
        if let Some(allocator) = self.allocator.take() {
            match may_free {
                true => drop(allocator),
                false => std::mem::forget(allocator),
            }
        }
        if matches!(self.owner, Owner::Us) && may_free {
            // SAFETY: everything that was made on it held it and is gone, and the GPU is done.
            unsafe { self.handle.destroy_device(None) };
        }
    }
}
