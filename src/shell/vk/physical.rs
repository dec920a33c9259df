//! Physical devices: which one to take, and what it can do.

use super::failure;
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::device::ImageExtents;
use crate::core::device::{DeviceClass, DeviceLimits};
use ash::{khr, vk};
use std::ffi::CStr;

/// What choosing needs to know of a physical device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    class: DeviceClass,
    /// A queue family that computes; `None` when there is none or the device is older than 1.1.
    queue_family: Option<u32>,
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

pub(super) fn candidate(instance: &ash::Instance, physical: vk::PhysicalDevice) -> Candidate {
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
pub(super) fn choose(candidates: &[Candidate], asked: Option<u32>) -> Result<(usize, u32)> {
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

/// Why `queue_family` of `physical` cannot be used, if so.
pub(super) fn computes(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    queue_family: u32,
) -> std::result::Result<(), String> {
    // SAFETY: `physical` was enumerated from `instance`.
    let (properties, families) = unsafe {
        (
            instance.get_physical_device_properties(physical),
            instance.get_physical_device_queue_family_properties(physical),
        )
    };
    let found = usize::try_from(queue_family)
        .ok()
        .and_then(|i| families.get(i));
    if properties.api_version < vk::API_VERSION_1_1 {
        Err("physical_device is older than Vulkan 1.1".into())
    } else if !found.is_some_and(|f| f.queue_flags.contains(vk::QueueFlags::COMPUTE)) {
        Err(format!("queue family {queue_family} does not compute"))
    } else {
        Ok(())
    }
}

/// The limits (16-bit features and images left off), the storage buffers per dispatch, and the name.
pub(super) fn describe(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> (DeviceLimits, u32, String) {
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
        matrix_16x16: false,
        image_extents: ImageExtents::default(),
        allocation_granularity_bytes: 1,
    };
    let bindings = raw
        .max_per_stage_descriptor_storage_buffers
        .min(raw.max_descriptor_set_storage_buffers)
        .min(raw.max_per_stage_resources);
    let name = properties.device_name_as_c_str().unwrap_or(c"unnamed");
    (limits, bindings, CStr::to_string_lossy(name).into_owned())
}

/// Nanoseconds per tick of a timestamp; `None` when `queue_family` cannot take any.
pub(super) fn timestamp_period(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    queue_family: u32,
) -> Option<f32> {
    // SAFETY: `physical` was enumerated from `instance`.
    let (properties, families) = unsafe {
        (
            instance.get_physical_device_properties(physical),
            instance.get_physical_device_queue_family_properties(physical),
        )
    };
    let family = families.get(usize::try_from(queue_family).ok()?)?;
    (family.timestamp_valid_bits > 0).then_some(properties.limits.timestamp_period)
}

/// Whether the device, which offers the extension, multiplies matrices as kernels want it.
pub(super) fn has_matrix_16x16(
    entry: &ash::Entry,
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> Result<bool> {
    let functions = khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: `physical` was enumerated from `instance` and offers the extension.
    let kinds = unsafe { functions.get_physical_device_cooperative_matrix_properties(physical) }
        .map_err(|e| failure("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", e))?;
    Ok(kinds.iter().any(|kind| {
        use vk::ComponentTypeKHR as T;
        (kind.m_size, kind.n_size, kind.k_size) == (16, 16, 16)
            && (kind.a_type, kind.b_type) == (T::FLOAT16, T::FLOAT16)
            && (kind.c_type, kind.result_type) == (T::FLOAT32, T::FLOAT32)
            && kind.scope == vk::ScopeKHR::SUBGROUP
    }))
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
