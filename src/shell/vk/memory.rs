//! Buffers, each with a memory object of its own: the driver is asked for exactly what a buffer
//! requires, never for a block to carve up.

use super::device::Device;
use super::ledger::{Charge, Reservation};
use super::purpose::{memory_type, MemoryType, Purpose};
use super::requirements::buffer_info;
use crate::base::error::{Error, ErrorKind, Result};
use ash::vk;
use std::ptr::NonNull;
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
    memory: vk::DeviceMemory,
    mapped: Option<Mapped>,
    purpose: Purpose,
    size_bytes: u64,
    allocated_bytes: u64,
    coherent: bool,
    /// Ends after the memory was freed.
    charge: Option<Charge>,
    device: Arc<Device>,
}

/// The bytes of mapped memory.
struct Mapped(NonNull<[u8]>);

// SAFETY: the memory is the process's, not a thread's, and is only reached through the buffer.
unsafe impl Send for Mapped {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Mapped {}

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
            memory: vk::DeviceMemory::null(),
            mapped: None,
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

    /// Allocates exactly `bytes` of memory type `kind`, binds them, and maps them where the host
    /// needs that.
    fn allocate(&mut self, info: &BufferInfo<'_>, bytes: u64, kind: MemoryType) -> Result<()> {
        let device = &self.device.handle;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(self.handle);
        let mut request = vk::MemoryAllocateInfo::default()
            .allocation_size(bytes)
            .memory_type_index(kind.index);
        // Dedicated memory may only hold the buffer that it is dedicated to: no images.
        if info.purpose != Purpose::Workspace {
            request = request.push_next(&mut dedicated);
        }
        // SAFETY: the device is alive; size and type are within its limits.
        let allocated = unsafe { device.allocate_memory(&request, None) };
        self.memory = self.device.check("vkAllocateMemory", allocated)?;
        self.allocated_bytes = bytes;
        self.coherent = kind.coherent;
        self.charge = Some(Charge::new(info.purpose, bytes, info.reservation));
        self.device.name_object(self.memory, info.name);
        // SAFETY: buffer and memory are of this device, and the buffer is not bound yet.
        let bound = unsafe { device.bind_buffer_memory(self.handle, self.memory, 0) };
        self.device.check("vkBindBufferMemory", bound)?;
        if info.purpose.is_mapped() {
            self.map()?;
        }
        Ok(())
    }

    fn map(&mut self) -> Result<()> {
        let flags = vk::MemoryMapFlags::empty();
        // SAFETY: the memory is of this device, visible to the host, and not mapped yet.
        let mapped = unsafe {
            let device = &self.device.handle;
            device.map_memory(self.memory, 0, vk::WHOLE_SIZE, flags)
        };
        let start = self.device.check("vkMapMemory", mapped)?;
        let start = NonNull::new(start.cast::<u8>());
        let length = usize::try_from(self.allocated_bytes).ok();
        let bytes = start.zip(length).ok_or_else(|| {
            Error::new(
                ErrorKind::OutOfMemory,
                "vkMapMemory: not in the address space",
            )
        })?;
        self.mapped = Some(Mapped(NonNull::slice_from_raw_parts(bytes.0, bytes.1)));
        Ok(())
    }

    /// The memory, which images may share where the purpose is the workspace.
    pub(super) fn memory(&self) -> vk::DeviceMemory {
        self.memory
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
        let mapped = self.mapped.as_ref();
        // SAFETY: the memory stays mapped while `self` lives, and nothing in the process writes it
        // while `self` is borrowed.
        let bytes = mapped.map(|mapped| unsafe { mapped.0.as_ref() });
        bytes.ok_or_else(|| Error::internal("buffer is not mapped"))
    }

    /// The mapped bytes. The caller makes sure that the device is not using them.
    pub(super) fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        let mapped = self.mapped.as_mut();
        // SAFETY: as in `bytes`; `self` is borrowed for this alone.
        let bytes = mapped.map(|mapped| unsafe { mapped.0.as_mut() });
        bytes.ok_or_else(|| Error::internal("buffer is not mapped"))
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
            .memory(self.memory)
            .size(vk::WHOLE_SIZE);
        (self.mapped.is_some() && !self.coherent).then_some(range)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.device.may_free() {
            // What is not freed stays charged.
            std::mem::forget(self.charge.take());
            return;
        }
        // SAFETY: the GPU is done with it. Buffer first, so that no live object refers to freed
        // memory; null is ignored.
        unsafe {
            self.device.handle.destroy_buffer(self.handle, None);
            self.device.handle.free_memory(self.memory, None);
        }
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
