//! Memory objects: how a region is cut where one allocation may not hold all of it.

use super::lifetime::overflow;
use crate::base::error::Result;
use crate::core::device::DeviceLimits;

/// How a region is cut into memory objects, and what begins where. Offsets count through the objects
/// of a region: byte `b` is in object `b / object_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Buffers begin at multiples of this.
    pub align_bytes: u64,
    /// Size of every object but the last: a multiple of `align_bytes`.
    pub object_bytes: u64,
}

impl Objects {
    /// Those of a device.
    pub fn of(limits: &DeviceLimits) -> Self {
        let align = limits.storage_buffer_alignment_bytes.max(16);
        let objects = Self::new(align, limits.max_allocation_bytes);
        // What the driver rounds up must stay within its own limit.
        let granularity = limits.allocation_granularity_bytes.max(align);
        let object_bytes = objects.object_bytes / granularity * granularity;
        Self {
            object_bytes: object_bytes.max(align),
            ..objects
        }
    }

    /// Objects of at most `most_bytes` (as large as it allows), `u64::MAX` for no limit.
    pub fn new(align_bytes: u64, most_bytes: u64) -> Self {
        let align_bytes = align_bytes.max(1);
        Self {
            align_bytes,
            object_bytes: (most_bytes / align_bytes).max(1) * align_bytes,
        }
    }

    /// `bytes` as a buffer takes them.
    pub(super) fn padded(&self, bytes: u64) -> Result<u64> {
        bytes
            .checked_next_multiple_of(self.align_bytes)
            .ok_or_else(overflow)
    }

    /// The first offset from `start` (a multiple of the alignment) on at which `bytes` cross no
    /// border of objects, or, where they exceed an object, begin with one.
    pub(super) fn fit(&self, start: u64, bytes: u64) -> Result<u64> {
        let inside = start % self.object_bytes;
        if inside == 0 || bytes <= self.object_bytes - inside {
            return Ok(start);
        }
        start
            .checked_add(self.object_bytes - inside)
            .ok_or_else(overflow)
    }

    /// Whether `bytes` from `start` on lie in one object.
    pub fn holds(&self, start: u64, bytes: u64) -> bool {
        let inside = start % self.object_bytes;
        bytes <= self.object_bytes - inside
    }

    /// Sizes of the objects of a region of `bytes`.
    pub fn sizes(&self, bytes: u64) -> impl Iterator<Item = u64> {
        let most = self.object_bytes;
        let count = bytes.div_ceil(most);
        (0..count).map(move |i| most.min(bytes - i * most))
    }
}
