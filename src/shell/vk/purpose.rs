//! What a buffer is for, and the memory type that serves it.

use crate::core::device::DeviceClass;
use ash::vk;

/// Who touches a buffer, which decides the memory it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Only the device.
    Device,
    /// The same, for what is uploaded once.
    Weights,
    /// Only the device, as a buffer and as images in turn.
    Workspace,
    /// The host writes, the device reads in place.
    HostToDevice,
    /// The host writes, the device copies from it once.
    Upload,
    /// The device writes, the host reads.
    DeviceToHost,
}

/// Device-local memory that the host also sees is used for inputs when its heap is at least this
/// large: the classic 256 MiB window of PCI cards is shared by the whole machine.
const LARGE_WINDOW_BYTES: u64 = 1 << 30;

/// A set of memory properties: what must be there, and what must not.
#[derive(Clone, Copy)]
struct Wanted {
    with: vk::MemoryPropertyFlags,
    without: vk::MemoryPropertyFlags,
    min_heap_bytes: u64,
}

/// What `purpose` wants, best first.
fn preferences(purpose: Purpose, class: DeviceClass) -> Vec<Wanted> {
    use vk::MemoryPropertyFlags as P;
    let plain = |with| Wanted {
        with,
        without: P::empty(),
        min_heap_bytes: 0,
    };
    let mapped = P::HOST_VISIBLE | P::HOST_COHERENT;
    let system = Wanted {
        with: mapped,
        without: P::DEVICE_LOCAL,
        min_heap_bytes: 0,
    };
    match purpose {
        Purpose::Device | Purpose::Weights | Purpose::Workspace => {
            vec![plain(P::DEVICE_LOCAL), plain(P::empty())]
        }
        Purpose::HostToDevice => {
            // Where host and device share their memory, any window is large enough.
            let shared = matches!(class, DeviceClass::Integrated | DeviceClass::Cpu);
            let min_heap_bytes = if shared { 0 } else { LARGE_WINDOW_BYTES };
            let window = Wanted {
                with: mapped | P::DEVICE_LOCAL,
                without: P::empty(),
                min_heap_bytes,
            };
            vec![window, system, plain(mapped)]
        }
        Purpose::Upload => vec![system, plain(mapped)],
        Purpose::DeviceToHost => vec![
            plain(mapped | P::HOST_CACHED),
            plain(P::HOST_VISIBLE | P::HOST_CACHED),
            system,
            plain(mapped),
        ],
    }
}

/// A memory type that serves a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryType {
    pub(super) index: u32,
    /// Whether the host's writes and reads need neither flush nor invalidation.
    pub(super) coherent: bool,
    /// Size of its heap.
    pub(super) heap_bytes: u64,
}

/// The first memory type among `bits` that meets what `purpose` wants most.
pub(super) fn memory_type(
    memory: &vk::PhysicalDeviceMemoryProperties,
    bits: u32,
    purpose: Purpose,
    class: DeviceClass,
) -> Option<MemoryType> {
    // These need features that are not enabled.
    let never = vk::MemoryPropertyFlags::PROTECTED
        | vk::MemoryPropertyFlags::LAZILY_ALLOCATED
        | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD;
    let heaps = memory.memory_heaps_as_slice();
    let types = || (0u32..).zip(memory.memory_types_as_slice());
    preferences(purpose, class).into_iter().find_map(|wanted| {
        types().find_map(|(index, kind)| {
            let flags = kind.property_flags;
            let heap = usize::try_from(kind.heap_index).ok()?;
            let heap_bytes = heaps.get(heap)?.size;
            let fits = bits & (1 << index) != 0
                && flags.contains(wanted.with)
                && !flags.intersects(wanted.without | never)
                && heap_bytes >= wanted.min_heap_bytes;
            fits.then_some(MemoryType {
                index,
                coherent: flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT),
                heap_bytes,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vk::MemoryPropertyFlags as P;

    /// A device with one heap for each memory type.
    fn pick(layout: &[(P, u64)], class: DeviceClass, purpose: Purpose) -> Option<MemoryType> {
        let mut memory = vk::PhysicalDeviceMemoryProperties::default();
        for (heap_index, &(property_flags, size)) in (0u32..).zip(layout) {
            let at = heap_index as usize;
            memory.memory_types[at].property_flags = property_flags;
            memory.memory_types[at].heap_index = heap_index;
            memory.memory_heaps[at].size = size;
            memory.memory_type_count = heap_index + 1;
            memory.memory_heap_count = heap_index + 1;
        }
        memory_type(&memory, !0, purpose, class)
    }

    fn four(layout: &[(P, u64)], class: DeviceClass) -> [Option<u32>; 4] {
        [
            Purpose::Device,
            Purpose::HostToDevice,
            Purpose::Upload,
            Purpose::DeviceToHost,
        ]
        .map(|purpose| pick(layout, class, purpose).map(|found| found.index))
    }

    #[test]
    fn memory_types_of_real_devices() {
        let mapped = P::HOST_VISIBLE | P::HOST_COHERENT;
        let small = 256 << 20;
        let large = 16 << 30;
        let card = |window| {
            [
                (P::empty(), large),
                (P::DEVICE_LOCAL, large),
                (mapped, large),
                (mapped | P::HOST_CACHED, large),
                (P::DEVICE_LOCAL | mapped, window),
            ]
        };
        // A desktop card with the small window, and with all of its memory visible.
        assert_eq!(
            four(&card(small), DeviceClass::Discrete),
            [1, 2, 2, 3].map(Some)
        );
        assert_eq!(
            four(&card(large), DeviceClass::Discrete),
            [1, 4, 2, 3].map(Some)
        );
        // A phone: one heap, cached memory without coherence.
        let phone = [
            (P::DEVICE_LOCAL, large),
            (P::DEVICE_LOCAL | mapped, large),
            (P::DEVICE_LOCAL | P::HOST_VISIBLE | P::HOST_CACHED, large),
        ];
        assert_eq!(
            four(&phone, DeviceClass::Integrated),
            [0, 1, 1, 2].map(Some)
        );
        let read = pick(&phone, DeviceClass::Integrated, Purpose::DeviceToHost).expect("a type");
        assert!(!read.coherent && read.heap_bytes == large);
        // lavapipe: one type for everything.
        let cpu = [(P::DEVICE_LOCAL | mapped | P::HOST_CACHED, 2 << 30)];
        assert_eq!(four(&cpu, DeviceClass::Cpu), [Some(0); 4]);
    }

    #[test]
    fn protected_and_lazy_memory_are_never_used() {
        for odd in [P::PROTECTED, P::LAZILY_ALLOCATED] {
            assert_eq!(
                pick(
                    &[(P::DEVICE_LOCAL | odd, 1)],
                    DeviceClass::Other,
                    Purpose::Device
                ),
                None
            );
        }
    }
}
