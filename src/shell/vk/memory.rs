//! Buffers, each with a memory object of its own: the driver is asked for exactly what a buffer
//! requires, never for a block to carve up.

use super::device::Device;
use super::lock;
use super::usage::{Entry, Promise};
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::device::DeviceClass;
use ash::vk;
use gpu_allocator::vulkan::{Allocation, AllocationCreateDesc, AllocationScheme};
use gpu_allocator::{AllocationError, MemoryLocation};
use std::sync::Arc;

/// Who touches a buffer, which decides the memory it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Only the device.
    Device,
    /// The same, for what is uploaded once.
    Weights,
    /// Only the device, as a buffer and as images in turn.
    Aliased,
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

/// A buffer and its memory, freed together.
pub(super) struct Buffer {
    handle: vk::Buffer,
    allocation: Option<Allocation>,
    /// Instead of an allocation: memory that images may alias. The allocator's dedicated memory
    /// may only hold the buffer that it is dedicated to.
    aliased: vk::DeviceMemory,
    size_bytes: u64,
    allocated_bytes: u64,
    coherent: bool,
    /// Ends after the memory was freed.
    entry: Option<Entry>,
    device: Arc<Device>,
}

impl Buffer {
    /// A buffer of `size_bytes` (not 0), named `name` for debuggers and layers. `promise` is what
    /// it was promised in, where there is a limit.
    pub(super) fn new(
        device: &Arc<Device>,
        name: &str,
        size_bytes: u64,
        purpose: Purpose,
        promise: Option<&Promise>,
    ) -> Result<Self> {
        let info = buffer_info(size_bytes);
        // SAFETY: the device is alive; the size is not 0.
        let created = unsafe { device.handle.create_buffer(&info, None) };
        let handle = device
            .check("vkCreateBuffer", created)
            .map_err(|e| e.context(format!("{name} of {size_bytes} bytes")))?;
        // From here on `Drop` cleans up.
        let mut buffer = Self {
            handle,
            allocation: None,
            aliased: vk::DeviceMemory::null(),
            size_bytes,
            allocated_bytes: 0,
            coherent: true,
            entry: None,
            device: device.clone(),
        };
        device.name_object(handle, name);
        buffer.allocate(name, purpose)?;
        buffer.entry = Some(Entry::new(purpose, buffer.allocated_bytes, promise));
        Ok(buffer)
    }

    fn allocate(&mut self, name: &str, purpose: Purpose) -> Result<()> {
        let device = &self.device;
        // SAFETY: the buffer was made from this device.
        let mut requirements = unsafe { device.handle.get_buffer_memory_requirements(self.handle) };
        let limits = device.limits();
        let size = requirements.size;
        let too_large = |limit: &str, bytes: u64| {
            Error::new(
                ErrorKind::OutOfMemory,
                format!("{name} needs {size} bytes of device memory, {limit} is {bytes}"),
            )
        };
        if size > limits.max_allocation_bytes {
            return Err(too_large(
                "the largest allocation",
                limits.max_allocation_bytes,
            ));
        }
        let types = device.memory.memory_types_as_slice();
        let heaps = device.memory.memory_heaps_as_slice();
        if purpose == Purpose::Aliased {
            requirements.memory_type_bits &= device.shared_memory_types;
        }
        let wanted = preferences(purpose, limits.class);
        let kind = choose_type(types, heaps, requirements.memory_type_bits, wanted)
            .ok_or_else(|| Error::internal(format!("{name}: no memory type fits")))?;
        let heap_bytes = usize::try_from(types[kind].heap_index)
            .ok()
            .and_then(|heap| heaps.get(heap))
            .map_or(0, |heap| heap.size);
        if size > heap_bytes {
            return Err(too_large("the heap", heap_bytes));
        }
        if purpose == Purpose::Aliased {
            return self.allocate_aliased(name, size, kind);
        }
        // The allocator's own preferences know neither ReBAR nor host-cached memory without
        // coherence: leave it one type to choose from.
        requirements.memory_type_bits = 1 << kind;
        let allocation = lock(&device.allocator)
            .allocate(&AllocationCreateDesc {
                name,
                requirements,
                location: MemoryLocation::Unknown,
                linear: true,
                allocation_scheme: AllocationScheme::DedicatedBuffer(self.handle),
            })
            .map_err(|e| allocation_failure(device, name, size, &e))?;
        self.coherent = allocation
            .memory_properties()
            .contains(vk::MemoryPropertyFlags::HOST_COHERENT);
        // SAFETY: the memory is this buffer's own and lives in `self.allocation` until `Drop`.
        let memory = unsafe { allocation.memory() };
        let offset = allocation.offset();
        self.allocated_bytes = allocation.size();
        self.allocation = Some(allocation);
        device.name_object(memory, name);
        // SAFETY: buffer and memory are of this device, and neither is bound yet.
        let bound = unsafe {
            device
                .handle
                .bind_buffer_memory(self.handle, memory, offset)
        };
        device.check("vkBindBufferMemory", bound)
    }

    /// Exactly `size_bytes` of memory type `kind`, for nothing in particular.
    fn allocate_aliased(&mut self, name: &str, size_bytes: u64, kind: usize) -> Result<()> {
        let device = &self.device;
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(size_bytes)
            .memory_type_index(u32::try_from(kind).unwrap_or(u32::MAX));
        // SAFETY: the device is alive; size and type are within its limits.
        let allocated = unsafe { device.handle.allocate_memory(&info, None) };
        let place = || format!("{name}: allocating {size_bytes} bytes of device memory");
        self.aliased = device
            .check("vkAllocateMemory", allocated)
            .map_err(|e| e.context(place()))?;
        self.allocated_bytes = size_bytes;
        device.name_object(self.aliased, name);
        // SAFETY: buffer and memory are of this device, and the buffer is not bound yet.
        let bound = unsafe {
            device
                .handle
                .bind_buffer_memory(self.handle, self.aliased, 0)
        };
        device.check("vkBindBufferMemory", bound)
    }

    /// The memory that images may share; null unless the purpose says so.
    pub(super) fn aliased_memory(&self) -> vk::DeviceMemory {
        self.aliased
    }

    pub(super) fn handle(&self) -> vk::Buffer {
        self.handle
    }

    /// Size as asked for.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Size of its memory object.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// The mapped bytes. The caller makes sure that the device is not writing them.
    pub(super) fn bytes(&self) -> Result<&[u8]> {
        let mapped = self.allocation.as_ref().and_then(Allocation::mapped_slice);
        mapped.ok_or_else(|| Error::internal("buffer is not mapped"))
    }

    /// The mapped bytes. The caller makes sure that the device is not using them.
    pub(super) fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        let mapped = self
            .allocation
            .as_mut()
            .and_then(Allocation::mapped_slice_mut);
        mapped.ok_or_else(|| Error::internal("buffer is not mapped"))
    }

    /// Makes the host's writes visible to the device.
    pub(super) fn flush(&self) -> Result<()> {
        let Some(range) = self.incoherent_range() else {
            return Ok(());
        };
        // SAFETY: the memory is mapped and belongs to this device.
        let flushed = unsafe { self.device.handle.flush_mapped_memory_ranges(&[range]) };
        self.device.check("vkFlushMappedMemoryRanges", flushed)
    }

    /// Makes the device's writes visible to the host.
    pub(super) fn invalidate(&self) -> Result<()> {
        let Some(range) = self.incoherent_range() else {
            return Ok(());
        };
        // SAFETY: as in `flush`.
        let done = unsafe { self.device.handle.invalidate_mapped_memory_ranges(&[range]) };
        self.device.check("vkInvalidateMappedMemoryRanges", done)
    }

    /// All of the memory object, which needs no rounding to `nonCoherentAtomSize`.
    fn incoherent_range(&self) -> Option<vk::MappedMemoryRange<'static>> {
        let allocation = self.allocation.as_ref().filter(|_| !self.coherent)?;
        // SAFETY: the handle is only passed on to Vulkan while `self` lives.
        let memory = unsafe { allocation.memory() };
        Some(
            vk::MappedMemoryRange::default()
                .memory(memory)
                .offset(0)
                .size(vk::WHOLE_SIZE),
        )
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: whoever submitted work on this buffer has waited for it. Buffer first, so that
        // no live object refers to freed memory.
        unsafe { self.device.handle.destroy_buffer(self.handle, None) };
        // SAFETY: as above; null is ignored.
        unsafe { self.device.handle.free_memory(self.aliased, None) };
        if let Some(allocation) = self.allocation.take() {
            if let Err(error) = lock(&self.device.allocator).free(allocation) {
                log::error!("freeing device memory: {error}");
            }
        }
    }
}

/// How every buffer of this library is made.
pub(super) fn buffer_info(size_bytes: u64) -> vk::BufferCreateInfo<'static> {
    vk::BufferCreateInfo::default()
        .size(size_bytes)
        .usage(
            vk::BufferUsageFlags::STORAGE_BUFFER
                | vk::BufferUsageFlags::TRANSFER_SRC
                | vk::BufferUsageFlags::TRANSFER_DST,
        )
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
}

fn allocation_failure(
    device: &Device,
    name: &str,
    size_bytes: u64,
    error: &AllocationError,
) -> Error {
    let place = format!("{name}: allocating {size_bytes} bytes of device memory");
    // The allocator passes any result but one on as text.
    let text = error.to_string();
    let result = match error {
        AllocationError::OutOfMemory => vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        AllocationError::FailedToMap(_) => vk::Result::ERROR_MEMORY_MAP_FAILED,
        _ if text.contains("HOST_MEMORY") => vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        _ if text.contains("TOO_MANY_OBJECTS") => vk::Result::ERROR_TOO_MANY_OBJECTS,
        _ if text.contains("DEVICE_LOST") => vk::Result::ERROR_DEVICE_LOST,
        _ => return Error::internal(format!("{place}: {text}")),
    };
    match device.check::<()>(&place, Err(result)) {
        Err(error) => error,
        Ok(()) => Error::internal(place),
    }
}

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
        Purpose::Device | Purpose::Weights | Purpose::Aliased => {
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

/// Index of the first memory type among `bits` that meets the earliest of `wanted`.
fn choose_type(
    types: &[vk::MemoryType],
    heaps: &[vk::MemoryHeap],
    bits: u32,
    wanted: Vec<Wanted>,
) -> Option<usize> {
    // These need features that are not enabled.
    let never = vk::MemoryPropertyFlags::PROTECTED
        | vk::MemoryPropertyFlags::LAZILY_ALLOCATED
        | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD;
    wanted.into_iter().find_map(|w| {
        types.iter().enumerate().position(|(index, kind)| {
            let flags = kind.property_flags;
            let heap = usize::try_from(kind.heap_index)
                .ok()
                .and_then(|h| heaps.get(h));
            bits & (1 << index) != 0
                && flags.contains(w.with)
                && !flags.intersects(w.without | never)
                && heap.is_some_and(|h| h.size >= w.min_heap_bytes)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vk::MemoryPropertyFlags as P;

    fn pick(layout: &[(P, u64)], class: DeviceClass, purpose: Purpose) -> Option<usize> {
        let types: Vec<_> = (0u32..)
            .zip(layout)
            .map(|(heap_index, &(property_flags, _))| vk::MemoryType {
                property_flags,
                heap_index,
            })
            .collect();
        let heaps: Vec<_> = layout
            .iter()
            .map(|&(_, size)| vk::MemoryHeap {
                size,
                ..Default::default()
            })
            .collect();
        choose_type(&types, &heaps, !0, preferences(purpose, class))
    }

    fn four(layout: &[(P, u64)], class: DeviceClass) -> [Option<usize>; 4] {
        [
            Purpose::Device,
            Purpose::HostToDevice,
            Purpose::Upload,
            Purpose::DeviceToHost,
        ]
        .map(|purpose| pick(layout, class, purpose))
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
