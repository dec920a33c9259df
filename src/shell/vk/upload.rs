//! Constants on their way to the device: packed straight into a small mapped staging buffer and
//! copied from there, so that loading never needs the weights a second time in memory.

use super::commands::{Commands, Fence, Work};
use super::device::Device;
use super::ledger::Reservation;
use super::memory::{Buffer, BufferInfo};
use super::purpose::Purpose;
use crate::base::error::{Error, Result};
use crate::base::parallel::Workers;
use crate::core::constant::Pack;
use ash::vk;
use std::sync::Arc;

/// Size of the staging buffer, for constants larger than that.
const STAGING_BYTES: u64 = 4 << 20;

/// The same where memory has a limit and the rest of the delegate takes less than it.
const SMALL_STAGING_BYTES: u64 = 64 << 10;

/// Size of the staging buffer for a target of `target_bytes`. `spare_bytes` is what is allocated
/// after the upload, where there is a limit: the staging buffer has gone by then and should not
/// need more.
pub(super) fn staging_bytes(target_bytes: u64, spare_bytes: Option<u64>) -> u64 {
    let most = spare_bytes.map_or(STAGING_BYTES, |spare| spare / 16 * 16);
    let most = most.clamp(SMALL_STAGING_BYTES, STAGING_BYTES);
    most.min(target_bytes.next_multiple_of(16))
}

/// Collects packed bytes in staging and copies them whenever it is full.
pub(super) struct Uploader<'a> {
    staging: Buffer,
    used_bytes: u64,
    copies: Vec<vk::BufferCopy>,
    target: &'a Buffer,
    commands: Commands,
    fence: &'a Fence,
    workers: &'a Workers,
    device: &'a Arc<Device>,
}

/// What uploads go through.
pub(super) struct Staging<'a> {
    pub(super) size_bytes: u64,
    pub(super) reservation: Option<&'a Reservation>,
    pub(super) fence: &'a Fence,
    /// Threads that pack.
    pub(super) workers: &'a Workers,
}

impl<'a> Uploader<'a> {
    /// Uploads into `target`.
    pub(super) fn new(
        device: &'a Arc<Device>,
        target: &'a Buffer,
        staging: &Staging<'a>,
    ) -> Result<Self> {
        let info = BufferInfo {
            name: "etvk upload",
            size_bytes: staging.size_bytes,
            purpose: Purpose::Upload,
            reservation: staging.reservation,
        };
        Ok(Self {
            staging: Buffer::new(device, &info)?,
            used_bytes: 0,
            copies: Vec::new(),
            target,
            commands: Commands::new(device)?,
            fence: staging.fence,
            workers: staging.workers,
            device,
        })
    }

    /// Packs `source` to `offset_bytes` of the target, where `size_bytes` are free.
    pub(super) fn add(
        &mut self,
        pack: &Pack,
        source: &[u8],
        offset_bytes: u64,
        size_bytes: u64,
    ) -> Result<()> {
        let length = u64::try_from(source.len()).unwrap_or(u64::MAX);
        pack.validate(length)?;
        let element = pack.element.size_bytes();
        let elements = pack.numel().unwrap_or(u64::MAX);
        let end = elements
            .checked_mul(element)
            .filter(|&packed| packed <= size_bytes);
        let end = end.and_then(|_| offset_bytes.checked_add(size_bytes));
        if end.is_none_or(|end| end > self.target.size_bytes()) {
            return Err(Error::internal(format!(
                "{elements} packed elements do not fit {size_bytes} bytes at {offset_bytes}"
            )));
        }
        let mut first = 0;
        while first < elements {
            let free = (self.staging.size_bytes() - self.used_bytes) / element;
            if free == 0 {
                self.flush()?;
                continue;
            }
            let count = free.min(elements - first);
            let (start, bytes) = (self.used_bytes, count * element);
            let range = usize::try_from(start)
                .ok()
                .zip(usize::try_from(start + bytes).ok());
            let slice = range
                .and_then(|(start, end)| self.staging.bytes_mut().ok()?.get_mut(start..end))
                .ok_or_else(|| Error::internal("staging is not mapped"))?;
            pack.write_parallel(self.workers, source, first, slice);
            self.copies.push(vk::BufferCopy {
                src_offset: start,
                dst_offset: offset_bytes + first * element,
                size: bytes,
            });
            // Aligned, so that elements of every size can follow.
            self.used_bytes = (start + bytes)
                .next_multiple_of(16)
                .min(self.staging.size_bytes());
            first += count;
        }
        Ok(())
    }

    /// Copies what is in staging and waits.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.copies.is_empty() {
            return Ok(());
        }
        self.staging.flush()?;
        let commands = self.commands.handle();
        self.commands.record(Work::Transfers, || {
            let (from, to) = (self.staging.handle(), self.target.handle());
            // SAFETY: the commands are being recorded; the copies lie inside both buffers, as `add`
            // has checked.
            unsafe {
                let device = &self.device.handle;
                device.cmd_copy_buffer(commands, from, to, &self.copies);
            }
        })?;
        self.fence.run(&self.commands)?;
        self.copies.clear();
        self.used_bytes = 0;
        Ok(())
    }
}
