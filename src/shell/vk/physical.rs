//! Physical devices: which one to take, and what it can do. Decided from plain data.

use super::features::Features;
use super::snapshot::Snapshot;
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::device::{DeviceClass, DeviceLimits, ImageExtents};
use ash::vk;

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

impl Candidate {
    /// A device with these properties and queue families.
    pub(super) fn new(
        properties: &vk::PhysicalDeviceProperties,
        families: &[vk::QueueFamilyProperties],
    ) -> Self {
        // A family that only computes does not wait behind a host's drawing.
        let computing = || {
            let numbered = families.iter().zip(0u32..);
            numbered.filter(|(f, _)| f.queue_flags.contains(vk::QueueFlags::COMPUTE))
        };
        let queue_family = computing()
            .find(|(f, _)| !f.queue_flags.contains(vk::QueueFlags::GRAPHICS))
            .or_else(|| computing().next())
            .map(|(_, index)| index)
            .filter(|_| properties.api_version >= vk::API_VERSION_1_1);
        Self {
            class: class_of(properties.device_type),
            queue_family,
        }
    }
}

/// The device to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its place among all candidates.
    pub(super) index: usize,
    pub(super) queue_family: u32,
}

/// The device that was asked for, else the first of the best kind.
pub(super) fn choose(candidates: &[Candidate], asked: Option<u32>) -> Result<Chosen> {
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
        let queue_family = candidate.queue_family.ok_or_else(|| {
            no_device(format!(
                "device index {asked} has no Vulkan 1.1 compute queue"
            ))
        })?;
        return Ok(Chosen {
            index,
            queue_family,
        });
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
        .map(|(_, index, queue_family)| Chosen {
            index,
            queue_family,
        })
        .ok_or_else(|| {
            no_device(format!(
                "none of {} Vulkan devices computes with 1.1",
                candidates.len()
            ))
        })
}

/// Why `queue_family` of the device cannot be used, if so.
pub(super) fn computes(snapshot: &Snapshot, queue_family: u32) -> std::result::Result<(), String> {
    if snapshot.properties.api_version < vk::API_VERSION_1_1 {
        return Err("physical_device is older than Vulkan 1.1".into());
    }
    let family = family(snapshot, queue_family);
    if !family.is_some_and(|f| f.queue_flags.contains(vk::QueueFlags::COMPUTE)) {
        return Err(format!("queue family {queue_family} does not compute"));
    }
    Ok(())
}

fn family(snapshot: &Snapshot, index: u32) -> Option<&vk::QueueFamilyProperties> {
    let index = usize::try_from(index).ok()?;
    snapshot.queue_families.get(index)
}

/// The limits of a device that is used with `features`. What an open device is asked for is left at
/// its least: the granularity of allocations, and images.
pub(super) fn limits(snapshot: &Snapshot, features: Features) -> DeviceLimits {
    let raw = &snapshot.properties.limits;
    DeviceLimits {
        class: class_of(snapshot.properties.device_type),
        vendor_id: snapshot.properties.vendor_id,
        max_storage_buffer_range_bytes: raw.max_storage_buffer_range.into(),
        max_allocation_bytes: snapshot.max_allocation_bytes,
        storage_buffer_alignment_bytes: raw.min_storage_buffer_offset_alignment,
        max_workgroup_count: raw.max_compute_work_group_count,
        max_workgroup_invocations: raw.max_compute_work_group_invocations,
        max_workgroup_size: raw.max_compute_work_group_size,
        max_shared_memory_bytes: raw.max_compute_shared_memory_size,
        max_push_constant_bytes: raw.max_push_constants_size,
        subgroup_size: snapshot.subgroup_size,
        storage_16bit: features.storage_16bit,
        arithmetic_16bit: features.arithmetic_16bit,
        matrix_16x16: features.matrix_16x16,
        allocation_granularity_bytes: 1,
        image_extents: ImageExtents::default(),
    }
}

/// Storage buffers that one dispatch may bind.
pub(super) fn max_bindings(snapshot: &Snapshot) -> u32 {
    let raw = &snapshot.properties.limits;
    raw.max_per_stage_descriptor_storage_buffers
        .min(raw.max_descriptor_set_storage_buffers)
        .min(raw.max_per_stage_resources)
}

/// The device's name, as the driver gives it.
pub(super) fn name(snapshot: &Snapshot) -> String {
    let name = snapshot.properties.device_name_as_c_str();
    name.unwrap_or(c"unnamed").to_string_lossy().into_owned()
}

/// Nanoseconds per tick of a timestamp; `None` when `queue_family` cannot take any.
pub(super) fn timestamp_period_ns(snapshot: &Snapshot, queue_family: u32) -> Option<f32> {
    let counts = family(snapshot, queue_family)?.timestamp_valid_bits > 0;
    counts.then_some(snapshot.properties.limits.timestamp_period)
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
            let chosen = choose(&candidates, None).expect("a device");
            assert_eq!(chosen.index, candidates.len() - 1);
        }
        let equal = [candidate(Discrete), candidate(Discrete)];
        assert_eq!(choose(&equal, None).expect("a device").index, 0);
    }

    #[test]
    fn an_index_counts_all_devices_and_is_never_replaced() {
        let mut deaf = candidate(DeviceClass::Discrete);
        deaf.queue_family = None;
        let candidates = [deaf, candidate(DeviceClass::Cpu)];
        assert_eq!(choose(&candidates, None).expect("a device").index, 1);
        assert_eq!(choose(&candidates, Some(1)).expect("a device").index, 1);
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
    fn with_families(flags: &[vk::QueueFlags]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.properties.api_version = vk::API_VERSION_1_1;
        let family = |&queue_flags| vk::QueueFamilyProperties {
            queue_flags,
            ..Default::default()
        };
        snapshot.queue_families = flags.iter().map(family).collect();
        snapshot
    }

    fn queue_family(snapshot: &Snapshot) -> Option<u32> {
        Candidate::new(&snapshot.properties, &snapshot.queue_families).queue_family
    }

    #[test]
    fn a_family_that_only_computes_goes_first() {
        let (compute, both) = (
            vk::QueueFlags::COMPUTE,
            vk::QueueFlags::COMPUTE | vk::QueueFlags::GRAPHICS,
        );
        let transfer = vk::QueueFlags::TRANSFER;
        assert_eq!(
            queue_family(&with_families(&[both, transfer, compute])),
            Some(2)
        );
        assert_eq!(queue_family(&with_families(&[transfer, both])), Some(1));
        assert_eq!(queue_family(&with_families(&[transfer])), None);
        let mut old = with_families(&[compute]);
        old.properties.api_version = vk::API_VERSION_1_0;
        assert_eq!(queue_family(&old), None);
    }

    #[test]
    fn a_hosts_queue_family_must_compute_with_1_1() {
        let mut snapshot = with_families(&[vk::QueueFlags::TRANSFER, vk::QueueFlags::COMPUTE]);
        assert_eq!(computes(&snapshot, 1), Ok(()));
        for wrong in [0, 2, u32::MAX] {
            let why = computes(&snapshot, wrong).expect_err("does not compute");
            assert!(why.contains(&wrong.to_string()), "{why}");
        }
        snapshot.properties.api_version = vk::API_VERSION_1_0;
        assert!(computes(&snapshot, 1).expect_err("old").contains("1.1"));
    }

    #[test]
    fn limits_are_the_drivers() {
        let mut snapshot = with_families(&[vk::QueueFlags::COMPUTE]);
        snapshot.properties.device_type = vk::PhysicalDeviceType::INTEGRATED_GPU;
        snapshot.properties.limits.max_storage_buffer_range = 1 << 27;
        snapshot.properties.limits.max_compute_work_group_size = [1, 2, 3];
        snapshot
            .properties
            .limits
            .max_per_stage_descriptor_storage_buffers = 9;
        snapshot
            .properties
            .limits
            .max_descriptor_set_storage_buffers = 7;
        snapshot.properties.limits.max_per_stage_resources = 8;
        snapshot.subgroup_size = 64;
        let features = Features {
            storage_16bit: true,
            ..Features::default()
        };
        let found = limits(&snapshot, features);
        assert_eq!(found.class, DeviceClass::Integrated);
        assert_eq!(found.max_storage_buffer_range_bytes, 1 << 27);
        assert_eq!(found.max_workgroup_size, [1, 2, 3]);
        assert_eq!((found.subgroup_size, found.storage_16bit), (64, true));
        assert!(!found.arithmetic_16bit && !found.matrix_16x16);
        assert_eq!(max_bindings(&snapshot), 7);
    }

    #[test]
    fn a_family_without_timestamps_has_no_period() {
        let mut snapshot = with_families(&[vk::QueueFlags::COMPUTE; 2]);
        snapshot.properties.limits.timestamp_period = 2.5;
        snapshot.queue_families[1].timestamp_valid_bits = 36;
        assert_eq!(timestamp_period_ns(&snapshot, 0), None);
        assert_eq!(timestamp_period_ns(&snapshot, 1), Some(2.5));
        assert_eq!(timestamp_period_ns(&snapshot, 2), None);
    }
}
