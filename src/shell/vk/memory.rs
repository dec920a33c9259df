//! Buffers, each with a memory object of its own: the driver is asked for exactly what a buffer
//! requires, never for a block to carve up.

use super::device::Device;
use super::ledger::{Charge, Reservation};
use super::purpose::{memory_type, MemoryType, Purpose};
use super::requirements::buffer_info;
use crate::base::error::{Error, ErrorKind, Result};
use ash::vk;
use gpu_allocator::vulkan::{Allocation, AllocationCreateDesc, AllocationScheme};
use gpu_allocator::{AllocationError, MemoryLocation};
use std::sync::Arc;

/// What [`Buffer::new`] makes.
pub(super) struct BufferInfo<'a> {
    /// What debuggers, layers and messages call it.
    pub(super) name: &'a str,
    /// Not 0.
    pub(super) size_bytes: u64,
    pub(super) purpose: Purpose,
    /// What it was reserved in, where there is a limit.
    pub(super) reservation: Option<&'a Reservation>,
}

/// A buffer and its memory, freed together.
pub(super) struct Buffer {
    handle: vk::Buffer,
    memory: Memory,
    purpose: Purpose,
    size_bytes: u64,
    allocated_bytes: u64,
    coherent: bool,
    /// Ends after the memory was freed.
    charge: Option<Charge>,
    device: Arc<Device>,
}

/// What a buffer is bound to.
enum Memory {
    Nothing,
    /// Its own alone.
    Dedicated(Allocation),
    /// Memory that images share: the allocator's dedicated memory may only hold the buffer that it is
    /// dedicated to.
    Shared(vk::DeviceMemory),
}

impl Memory {
    fn handle(&self) -> vk::DeviceMemory {
        match self {
            Self::Nothing => vk::DeviceMemory::null(),
            // SAFETY: the handle is only passed to Vulkan while the allocation lives.
            Self::Dedicated(allocation) => unsafe { allocation.memory() },
            Self::Shared(memory) => *memory,
        }
    }

    fn is_mapped(&self) -> bool {
        matches!(self, Self::Dedicated(allocation) if allocation.mapped_ptr().is_some())
    }
}

impl Buffer {
    pub(super) fn new(device: &Arc<Device>, info: &BufferInfo<'_>) -> Result<Self> {
        let BufferInfo {
            name,
            size_bytes,
            purpose,
            ..
        } = *info;
        // SAFETY: the device is alive; the size is not 0.
        let created = unsafe { device.handle.create_buffer(&buffer_info(size_bytes), None) };
        let handle = device
            .check("vkCreateBuffer", created)
            .map_err(|e| e.context(format!("{name} of {size_bytes} bytes")))?;
        // From here on `Drop` cleans up.
        let mut buffer = Self {
            handle,
            memory: Memory::Nothing,
            purpose,
            size_bytes,
            allocated_bytes: 0,
            coherent: true,
            charge: None,
            device: device.clone(),
        };
        device.name_object(handle, name);
        // SAFETY: the buffer was made from this device.
        let requirements = unsafe { device.handle.get_buffer_memory_requirements(handle) };
        let kind = choose(device, info, &requirements)?;
        let allocated = buffer.allocate(info, requirements.size, kind);
        allocated.map_err(|e| {
            let bytes = requirements.size;
            e.context(format!("{name}: allocating {bytes} bytes of device memory"))
        })?;
        Ok(buffer)
    }

    /// Allocates exactly `bytes` of memory type `kind` and binds them. What the host sees is mapped.
    fn allocate(&mut self, info: &BufferInfo<'_>, bytes: u64, kind: MemoryType) -> Result<()> {
        self.memory = match info.purpose {
            Purpose::Workspace => Memory::Shared(self.shared(bytes, kind)?),
            _ => Memory::Dedicated(self.dedicated(info, bytes, kind)?),
        };
        self.allocated_bytes = bytes;
        self.coherent = kind.coherent;
        self.charge = Some(Charge::new(info.purpose, bytes, info.reservation));
        let memory = self.memory.handle();
        self.device.name_object(memory, info.name);
        // SAFETY: buffer and memory are of this device, and neither is bound yet.
        let bound = unsafe {
            self.device
                .handle
                .bind_buffer_memory(self.handle, memory, 0)
        };
        self.device.check("vkBindBufferMemory", bound)
    }

    fn dedicated(&self, info: &BufferInfo<'_>, bytes: u64, kind: MemoryType) -> Result<Allocation> {
        // The allocator's own preferences know neither ReBAR nor host-cached memory without
        // coherence: it is left one type to choose from.
        let requirements = vk::MemoryRequirements {
            size: bytes,
            alignment: 1,
            memory_type_bits: 1 << kind.index,
        };
        let allocated = self.device.allocator()?.allocate(&AllocationCreateDesc {
            name: info.name,
            requirements,
            location: MemoryLocation::Unknown,
            linear: true,
            allocation_scheme: AllocationScheme::DedicatedBuffer(self.handle),
        });
        allocated.map_err(|e| allocation_failure(&self.device, &e))
    }

    fn shared(&self, bytes: u64, kind: MemoryType) -> Result<vk::DeviceMemory> {
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(bytes)
            .memory_type_index(kind.index);
        // SAFETY: the device is alive; size and type are within its limits.
        let allocated = unsafe { self.device.handle.allocate_memory(&info, None) };
        self.device.check("vkAllocateMemory", allocated)
    }

    /// The memory, which images may share where the purpose is the workspace.
    pub(super) fn memory(&self) -> vk::DeviceMemory {
        self.memory.handle()
    }

    pub(super) fn handle(&self) -> vk::Buffer {
        self.handle
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
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
        let mapped = match &self.memory {
            Memory::Dedicated(allocation) => allocation.mapped_slice(),
            Memory::Nothing | Memory::Shared(_) => None,
        };
        mapped.ok_or_else(|| Error::internal("buffer is not mapped"))
    }

    /// The mapped bytes. The caller makes sure that the device is not using them.
    pub(super) fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        let mapped = match &mut self.memory {
            Memory::Dedicated(allocation) => allocation.mapped_slice_mut(),
            Memory::Nothing | Memory::Shared(_) => None,
        };
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
        let range = vk::MappedMemoryRange::default()
            .memory(self.memory.handle())
            .size(vk::WHOLE_SIZE);
        (self.memory.is_mapped() && !self.coherent).then_some(range)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.device.may_free() {
            // What is not freed stays charged.
            std::mem::forget(self.charge.take());
            std::mem::forget(std::mem::replace(&mut self.memory, Memory::Nothing));
            return;
        }
        // SAFETY: the GPU is done with it. Buffer first, so that no live object refers to freed
        // memory.
        unsafe { self.device.handle.destroy_buffer(self.handle, None) };
        match std::mem::replace(&mut self.memory, Memory::Nothing) {
            Memory::Nothing => {}
            Memory::Dedicated(allocation) => {
                let allocator = self.device.allocator();
                let freed = allocator.map(|mut allocator| allocator.free(allocation));
                if let Ok(Err(error)) = freed {
                    log::error!("freeing device memory: {error}");
                }
            }
            // SAFETY: as above.
            Memory::Shared(memory) => unsafe { self.device.handle.free_memory(memory, None) },
        }
    }
}

/// The allocator's error as ours. It passes any result but one on as text.
fn allocation_failure(device: &Device, error: &AllocationError) -> Error {
    let text = error.to_string();
    let result = match error {
        AllocationError::OutOfMemory => vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        AllocationError::FailedToMap(_) => vk::Result::ERROR_MEMORY_MAP_FAILED,
        _ if text.contains("HOST_MEMORY") => vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        _ if text.contains("TOO_MANY_OBJECTS") => vk::Result::ERROR_TOO_MANY_OBJECTS,
        _ if text.contains("DEVICE_LOST") => vk::Result::ERROR_DEVICE_LOST,
        _ => return Error::internal(text),
    };
    match device.check::<()>("vkAllocateMemory", Err(result)) {
        Err(error) => error,
        Ok(()) => Error::internal(text),
    }
}

/// The memory type for a buffer that asks for `requirements`.
fn choose(
    device: &Device,
    info: &BufferInfo<'_>,
    requirements: &vk::MemoryRequirements,
) -> Result<MemoryType> {
    let (name, size, limits) = (info.name, requirements.size, device.limits());
    let too_large = |limit: &str, bytes: u64| {
        Error::new(
            ErrorKind::OutOfMemory,
            format!("{name} needs {size} bytes of device memory, {limit} is {bytes}"),
        )
    };
    if size > limits.max_allocation_bytes {
        let most = limits.max_allocation_bytes;
        return Err(too_large("the largest allocation", most));
    }
    let mut bits = requirements.memory_type_bits;
    if info.purpose == Purpose::Workspace {
        bits &= device.workspace_memory_types();
    }
    let kind = memory_type(device.memory(), bits, info.purpose, limits.class)
        .ok_or_else(|| Error::internal(format!("{name}: no memory type fits")))?;
    if size > kind.heap_bytes {
        return Err(too_large("the heap", kind.heap_bytes));
    }
    Ok(kind)
}
