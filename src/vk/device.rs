//! The open device: its features and its queue. One per physical device, shared by
//! all delegates; the last one to go destroys it.

use super::image::{DriverImages, ImageFacts, WatchedImages};
use super::instance::{loader, offers, Instance, Validation, LIFETIME};
use super::memory::buffer_info;
use super::physical::{candidate, choose, describe, has_matrix_16x16, timestamp_period, Candidate};
use super::pipeline::Pipelines;
use super::workspace::Shared;
use super::{failure, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::tensor::{DeviceImages, DeviceLimits, ImageShape};
use ash::prelude::VkResult;
use ash::{ext, khr, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use std::ffi::{c_char, CString};
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
    pub(super) queue_family: u32,
    queue: Mutex<vk::Queue>,
    names: Option<ext::debug_utils::Device>,
    limits: DeviceLimits,
    images: Arc<DriverImages>,
    max_bindings: u32,
    timestamp_period_ns: Option<f32>,
    /// Memory types that a buffer and all images can share.
    pub(super) shared_memory_types: u32,
    granularity_bytes: u64,
    name: String,
    index: usize,
    lost: AtomicBool,
    pub(super) instance: Arc<Instance>,
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

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether there is the device that `options` ask for. It is not opened: that takes long.
    pub fn probe(options: &Options) -> Result<()> {
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
        let mut device = Self::create(instance, physical, index, queue_family)?;
        let facts = match ImageFacts::ask(&device, physical) {
            Ok(facts) => facts,
            Err(error) => {
                alive.push(Arc::new(device));
                return Err(error);
            }
        };
        device.shared_memory_types = facts.shared_types;
        let device = Arc::new_cyclic(|weak| {
            device.images = Arc::new(facts.of(weak.clone()));
            device
        });
        shared.push(Arc::downgrade(&device));
        log::info!("device {index}: {}", device.name);
        Ok(device)
    }

    fn create(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        index: usize,
        queue_family: u32,
    ) -> Result<Self> {
        // SAFETY: `physical` was enumerated from `instance`, which is alive.
        let present = unsafe {
            instance
                .handle
                .enumerate_device_extension_properties(physical)
        }
        .map_err(|e| failure("vkEnumerateDeviceExtensionProperties", e))?;
        let float16_offered = offers(&present, khr::shader_float16_int8::NAME);
        let mut has_storage16 = vk::PhysicalDevice16BitStorageFeatures::default();
        let mut has_float16 = vk::PhysicalDeviceShaderFloat16Int8Features::default();
        let matrix_offered = instance.matrices
            && offers(&present, khr::cooperative_matrix::NAME)
            && offers(&present, khr::vulkan_memory_model::NAME);
        let mut has_matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut has_model = vk::PhysicalDeviceVulkanMemoryModelFeatures::default();
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut has_storage16);
        if float16_offered {
            features = features.push_next(&mut has_float16);
        }
        if matrix_offered {
            features = features
                .push_next(&mut has_matrix)
                .push_next(&mut has_model);
        }
        // SAFETY: the chain holds structures that the device knows: core 1.1, or offered above.
        unsafe {
            instance
                .handle
                .get_physical_device_features2(physical, &mut features)
        };
        let storage_16bit = has_storage16.storage_buffer16_bit_access == vk::TRUE;
        let arithmetic_16bit = float16_offered && has_float16.shader_float16 == vk::TRUE;

        let (mut limits, max_bindings, name) = describe(&instance.handle, physical);
        let matrix_16x16 = matrix_offered
            && has_matrix.cooperative_matrix == vk::TRUE
            && has_model.vulkan_memory_model == vk::TRUE
            && storage_16bit
            && arithmetic_16bit
            && limits.subgroup_size == 32
            && has_matrix_16x16(&loader()?, &instance.handle, physical)?;

        let mut extensions: Vec<*const c_char> = Vec::new();
        let mut storage16 = vk::PhysicalDevice16BitStorageFeatures::default()
            .storage_buffer16_bit_access(storage_16bit);
        let mut float16 =
            vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(true);
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(queue_family)
            .queue_priorities(&priorities)];
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .push_next(&mut storage16);
        if arithmetic_16bit {
            extensions.push(khr::shader_float16_int8::NAME.as_ptr());
            info = info.push_next(&mut float16);
        }
        let mut matrix =
            vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
        let mut model =
            vk::PhysicalDeviceVulkanMemoryModelFeatures::default().vulkan_memory_model(true);
        if matrix_16x16 {
            extensions.push(khr::cooperative_matrix::NAME.as_ptr());
            extensions.push(khr::vulkan_memory_model::NAME.as_ptr());
            info = info.push_next(&mut matrix).push_next(&mut model);
        }
        let info = info.enabled_extension_names(&extensions);
        // SAFETY: every pointer in `info` lives until the call returns.
        let handle = unsafe { instance.handle.create_device(physical, &info, None) }
            .map_err(|e| failure("vkCreateDevice", e))?;

        // SAFETY: as above.
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
                // SAFETY: nothing was made from the device that is still alive.
                unsafe { handle.destroy_device(None) };
                return Err(error);
            }
        };
        // SAFETY: the family and its first queue were asked for above.
        let queue = unsafe { handle.get_device_queue(queue_family, 0) };
        let names = instance
            .names
            .then(|| ext::debug_utils::Device::new(&instance.handle, &handle));
        let timestamp_period_ns = timestamp_period(&instance.handle, physical, queue_family);
        limits.storage_16bit = storage_16bit;
        limits.arithmetic_16bit = arithmetic_16bit;
        limits.matrix_16x16 = matrix_16x16;
        Ok(Self {
            // SAFETY: `physical` is alive with its instance.
            memory: unsafe {
                instance
                    .handle
                    .get_physical_device_memory_properties(physical)
            },
            allocator: ManuallyDrop::new(Mutex::new(allocator)),
            queue: Mutex::new(queue),
            lost: AtomicBool::new(false),
            handle,
            pipelines,
            workspaces: Shared::default(),
            queue_family,
            names,
            limits,
            images: Arc::default(),
            max_bindings,
            timestamp_period_ns,
            shared_memory_types: buffer_types,
            granularity_bytes,
            name,
            index,
            instance,
        })
    }

    /// What planners may know of it, but for its images.
    pub fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    /// What planners may know of it. Every caller has its own view of the images, so that a failure
    /// of the driver comes to the one who asked.
    pub fn limits_with_images(&self) -> DeviceLimits {
        DeviceLimits {
            images: DeviceImages(Arc::new(WatchedImages::new(self.images.clone()))),
            ..self.limits.clone()
        }
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

    /// Sizes of allocations are multiples of this; at least 1.
    pub fn allocation_granularity_bytes(&self) -> u64 {
        self.granularity_bytes
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
            let submitted = self
                .handle
                .queue_submit(*lock(&self.queue), &submits, fence);
            self.check("vkQueueSubmit", submitted)?;
            let waited = self.handle.wait_for_fences(&[fence], true, u64::MAX);
            let waited = self.check("vkWaitForFences", waited);
            match waited {
                Ok(()) => Ok(()),
                Err(error) => self.wait_idle().and(Err(error)),
            }
        }
    }

    /// Waits until nothing runs on the device, after another wait has failed. A device that cannot
    /// even be waited for counts as lost, so that nobody uses it again.
    fn wait_idle(&self) -> Result<()> {
        let _queue = lock(&self.queue);
        for attempt in 1.. {
            // SAFETY: the device is alive and its queue locked.
            match unsafe { self.handle.device_wait_idle() } {
                Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST) => break,
                Err(_) if attempt < IDLE_ATTEMPTS => std::thread::sleep(IDLE_PAUSE),
                Err(e) => {
                    let lost = Err(vk::Result::ERROR_DEVICE_LOST);
                    return self.check(&format!("vkDeviceWaitIdle gave {e:?}, so"), lost);
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
            self.handle.destroy_device(None);
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
