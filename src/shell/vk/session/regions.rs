//! The memory that a session owns alone, by region.

use super::super::memory::{Buffer, BufferInfo};
use super::super::purpose::Purpose;
use crate::core::memory::Region;

/// What a session owns alone: all but the workspace.
pub(super) const REGIONS: [Region; 5] = [
    Region::Arena,
    Region::Constants,
    Region::States,
    Region::Inputs,
    Region::Outputs,
];

/// A buffer for each region that has one.
#[derive(Default)]
pub(super) struct Regions([Option<Buffer>; REGIONS.len()]);

impl Regions {
    pub(super) fn get(&self, region: Region) -> Option<&Buffer> {
        self.0[slot(region)?].as_ref()
    }

    pub(super) fn get_mut(&mut self, region: Region) -> Option<&mut Buffer> {
        self.0[slot(region)?].as_mut()
    }

    pub(super) fn set(&mut self, region: Region, buffer: Buffer) {
        if let Some(slot) = slot(region) {
            self.0[slot] = Some(buffer);
        }
    }

    /// Size of `region` as asked for; 0 without any.
    pub(super) fn size_bytes(&self, region: Region) -> u64 {
        self.get(region).map_or(0, Buffer::size_bytes)
    }

    pub(super) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.0.iter().flatten()
    }

    /// Takes over what `larger` has; whether that is anything.
    pub(super) fn replace(&mut self, larger: Self) -> bool {
        let mut any = false;
        for (mine, larger) in self.0.iter_mut().zip(larger.0) {
            if larger.is_some() {
                *mine = larger;
                any = true;
            }
        }
        any
    }
}

fn slot(region: Region) -> Option<usize> {
    REGIONS.iter().position(|&r| r == region)
}

/// A buffer for all of `region`, without a reservation.
pub(super) fn buffer_info(region: Region, size_bytes: u64) -> BufferInfo<'static> {
    let (name, purpose) = match region {
        Region::Arena => ("etvk arena", Purpose::Device),
        Region::Workspace => ("etvk workspace", Purpose::Workspace),
        Region::Constants => ("etvk constants", Purpose::Weights),
        Region::States => ("etvk states", Purpose::Weights),
        Region::Inputs => ("etvk inputs", Purpose::HostToDevice),
        Region::Outputs => ("etvk outputs", Purpose::DeviceToHost),
    };
    BufferInfo {
        name,
        size_bytes,
        purpose,
        reservation: None,
    }
}
