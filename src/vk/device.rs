//! The device: which one, with what features, and its queue. One per physical device, shared by
//! all delegates; the last one to go destroys it.

use super::instance::{offers, Instance, Validation};
use super::memory::buffer_info;
use super::pipeline::Pipelines;
use super::{failure, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::tensor::{DeviceClass, DeviceLimits};
use ash::{ext, khr, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use std::ffi::{c_char, CStr, CString};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// An open device.
pub struct Device {
    pub(super) handle: ash::Device,
    /// Dropped by hand: before the device it allocates from.
    pub(super) allocator: ManuallyDrop<Mutex<Allocator>>,
    pub(super) memory: vk::PhysicalDeviceMemoryProperties,
    pub(super) pipelines: Pipelines,
    pub(super) queue_family: u32,
    queue: Mutex<vk::Queue>,
    names: Option<ext::debug_utils::Device>,
    limits: DeviceLimits,
    max_bindings: u32,
    granularity_bytes: u64,
    name: String,
    index: usize,
    lost: AtomicBool,
    instance: Arc<Instance>,
}

static SHARED: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

/// What choosing needs to know of a physical device.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    class: DeviceClass,
    /// A queue family that computes; `None` when there is none or the device is older than 1.1.
    queue_family: Option<u32>,
}

impl Device {
    /// The device that `options` ask for: an open one if it is still good, else a new one.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let validation = if options.validation {
            Validation::On
        } else {
            Validation::Off
        };
        let mut shared = lock(&SHARED);
        let instance = Instance::shared(validation)?;
        // SAFETY: the instance is alive.
        let physical = unsafe { instance.handle.enumerate_physical_devices() }
            .map_err(|e| failure("no Vulkan device: vkEnumeratePhysicalDevices", e))?;
        let candidates: Vec<Candidate> = physical
            .iter()
            .map(|&device| candidate(&instance.handle, device))
            .collect();
        let (index, queue_family) = choose(&candidates, options.device_index)?;
        shared.retain(|weak| weak.strong_count() > 0);
        let good = |device: &Arc<Self>| {
            device.index == index
                && Arc::ptr_eq(&device.instance, &instance)
                && !device.lost.load(Ordering::Acquire)
        };
        if let Some(device) = shared.iter().filter_map(Weak::upgrade).find(good) {
            return Ok(device);
        }
        let device = Arc::new(Self::create(
            instance,
            physical[index],
            index,
            queue_family,
        )?);
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
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut has_storage16);
        if float16_offered {
            features = features.push_next(&mut has_float16);
        }
        // SAFETY: the chain holds structures that the device knows: core 1.1, or offered above.
        unsafe {
            instance
                .handle
                .get_physical_device_features2(physical, &mut features)
        };
        let storage_16bit = has_storage16.storage_buffer16_bit_access == vk::TRUE;
        let arithmetic_16bit = float16_offered && has_float16.shader_float16 == vk::TRUE;

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
        let info = info.enabled_extension_names(&extensions);
        // SAFETY: every pointer in `info` lives until the call returns.
        let handle = unsafe { instance.handle.create_device(physical, &info, None) }
            .map_err(|e| failure("vkCreateDevice", e))?;

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
        .and_then(|allocator| Ok((allocator, granularity(&handle)?, Pipelines::new(&handle)?)));
        let (allocator, granularity_bytes, pipelines) = match parts {
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
        let (mut limits, max_bindings, name) = describe(&instance.handle, physical);
        limits.storage_16bit = storage_16bit;
        limits.arithmetic_16bit = arithmetic_16bit;
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
            queue_family,
            names,
            limits,
            max_bindings,
            granularity_bytes,
            name,
            index,
            instance,
        })
    }

    /// What planners may know of it.
    pub fn limits(&self) -> &DeviceLimits {
        &self.limits
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

    /// Storage buffers that one dispatch may bind.
    pub(super) fn max_bindings(&self) -> u32 {
        self.max_bindings
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
            if e == vk::Result::ERROR_DEVICE_LOST {
                self.lost.store(true, Ordering::Release);
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
            if waited.is_err() {
                let _queue = lock(&self.queue);
                let _ = self.handle.device_wait_idle();
            }
            self.check("vkWaitForFences", waited)
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: buffers, recordings and sessions held this device and are gone, so nothing of it
        // is in use; the allocator and the pipelines go first, each exactly once.
        unsafe {
            ManuallyDrop::drop(&mut self.allocator);
            self.pipelines.destroy(&self.handle);
            self.handle.destroy_device(None);
        }
    }
}

fn class_of(kind: vk::PhysicalDeviceType) -> DeviceClass {
    match kind {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceClass::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceClass::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceClass::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceClass::Cpu,
        _ => DeviceClass::Other,
    }
}

fn candidate(instance: &ash::Instance, physical: vk::PhysicalDevice) -> Candidate {
    // SAFETY: `physical` was enumerated from `instance`.
    let (properties, families) = unsafe {
        (
            instance.get_physical_device_properties(physical),
            instance.get_physical_device_queue_family_properties(physical),
        )
    };
    // A family that only computes does not wait behind a host's drawing.
    let computing = || {
        families
            .iter()
            .zip(0u32..)
            .filter(|(f, _)| f.queue_flags.contains(vk::QueueFlags::COMPUTE))
    };
    let queue_family = computing()
        .find(|(f, _)| !f.queue_flags.contains(vk::QueueFlags::GRAPHICS))
        .or_else(|| computing().next())
        .map(|(_, index)| index)
        .filter(|_| properties.api_version >= vk::API_VERSION_1_1);
    Candidate {
        class: class_of(properties.device_type),
        queue_family,
    }
}

/// Index and queue family of the device to use: the one asked for, else the first of the best kind.
fn choose(candidates: &[Candidate], asked: Option<u32>) -> Result<(usize, u32)> {
    let no_device = |message: String| Error::new(ErrorKind::NoDevice, message);
    if let Some(asked) = asked {
        let found = usize::try_from(asked)
            .ok()
            .and_then(|i| Some((i, candidates.get(i)?)));
        let (index, candidate) = found.ok_or_else(|| {
            no_device(format!(
                "device index {asked}: there are {} devices",
                candidates.len()
            ))
        })?;
        let family = candidate.queue_family.ok_or_else(|| {
            no_device(format!(
                "device index {asked} has no Vulkan 1.1 compute queue"
            ))
        })?;
        return Ok((index, family));
    }
    let rank = |class| match class {
        DeviceClass::Discrete => 0,
        DeviceClass::Integrated => 1,
        DeviceClass::Virtual => 2,
        DeviceClass::Other => 3,
        DeviceClass::Cpu => 4,
    };
    candidates
        .iter()
        .enumerate()
        .filter_map(|(index, c)| Some((rank(c.class), index, c.queue_family?)))
        .min()
        .map(|(_, index, family)| (index, family))
        .ok_or_else(|| {
            no_device(format!(
                "none of {} Vulkan devices computes with 1.1",
                candidates.len()
            ))
        })
}

/// What a buffer of one byte is rounded up to.
fn granularity(device: &ash::Device) -> Result<u64> {
    // SAFETY: the device is alive; the buffer is destroyed at once and was used by nothing.
    unsafe {
        let buffer = device
            .create_buffer(&buffer_info(1), None)
            .map_err(|e| failure("vkCreateBuffer", e))?;
        let requirements = device.get_buffer_memory_requirements(buffer);
        device.destroy_buffer(buffer, None);
        Ok(requirements.size.max(requirements.alignment).max(1))
    }
}

/// The limits (16-bit features left off), the storage buffers per dispatch, and the name.
fn describe(instance: &ash::Instance, physical: vk::PhysicalDevice) -> (DeviceLimits, u32, String) {
    let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
    let mut maintenance3 = vk::PhysicalDeviceMaintenance3Properties::default();
    let mut chain = vk::PhysicalDeviceProperties2::default()
        .push_next(&mut subgroup)
        .push_next(&mut maintenance3);
    // SAFETY: both chained structures are core in Vulkan 1.1, which the device has.
    unsafe { instance.get_physical_device_properties2(physical, &mut chain) };
    let properties = chain.properties;
    let raw = &properties.limits;
    let limits = DeviceLimits {
        class: class_of(properties.device_type),
        vendor_id: properties.vendor_id,
        max_storage_buffer_range_bytes: raw.max_storage_buffer_range.into(),
        max_allocation_bytes: maintenance3.max_memory_allocation_size,
        storage_buffer_alignment_bytes: raw.min_storage_buffer_offset_alignment,
        max_workgroup_count: raw.max_compute_work_group_count,
        max_workgroup_invocations: raw.max_compute_work_group_invocations,
        max_workgroup_size: raw.max_compute_work_group_size,
        max_shared_memory_bytes: raw.max_compute_shared_memory_size,
        max_push_constant_bytes: raw.max_push_constants_size,
        subgroup_size: subgroup.subgroup_size,
        storage_16bit: false,
        arithmetic_16bit: false,
    };
    let bindings = raw
        .max_per_stage_descriptor_storage_buffers
        .min(raw.max_descriptor_set_storage_buffers)
        .min(raw.max_per_stage_resources);
    let name = properties.device_name_as_c_str().unwrap_or(c"unnamed");
    (limits, bindings, CStr::to_string_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(class: DeviceClass) -> Candidate {
        Candidate {
            class,
            queue_family: Some(0),
        }
    }

    #[test]
    fn discrete_goes_before_integrated_virtual_other_and_cpu() {
        use DeviceClass::{Cpu, Discrete, Integrated, Other, Virtual};
        let order = [Discrete, Integrated, Virtual, Other, Cpu];
        for best in 0..order.len() {
            let mut candidates: Vec<_> = order[best..].iter().map(|&c| candidate(c)).collect();
            candidates.reverse();
            let (index, _) = choose(&candidates, None).expect("a device");
            assert_eq!(index, candidates.len() - 1);
        }
        let equal = [candidate(Discrete), candidate(Discrete)];
        assert_eq!(choose(&equal, None).expect("a device").0, 0);
    }

    #[test]
    fn an_index_counts_all_devices_and_is_never_replaced() {
        let mut deaf = candidate(DeviceClass::Discrete);
        deaf.queue_family = None;
        let candidates = [deaf, candidate(DeviceClass::Cpu)];
        assert_eq!(choose(&candidates, None).expect("a device").0, 1);
        assert_eq!(choose(&candidates, Some(1)).expect("a device").0, 1);
        for wrong in [0, 2, u32::MAX] {
            let error = choose(&candidates, Some(wrong)).expect_err("wrong index");
            assert_eq!(error.kind, ErrorKind::NoDevice);
            assert!(error.message.contains(&wrong.to_string()));
        }
        assert_eq!(
            choose(&[], None).expect_err("none").kind,
            ErrorKind::NoDevice
        );
    }
}
