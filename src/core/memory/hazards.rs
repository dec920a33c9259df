//! Which dispatches must wait for earlier ones.

use super::plan::{MemoryPlan, Region};
use crate::core::program::{Access, Binding, BufferId, Program};
use std::ops::Range;

/// What a dispatch touches, in bytes of a region.
struct Touch {
    buffer: BufferId,
    region: Region,
    /// All of the buffer: what its descriptor shows.
    whole: Range<u64>,
    /// What the kernel may touch.
    exact: Range<u64>,
    writes: bool,
    /// Whether it only writes.
    only_writes: bool,
}

impl Touch {
    fn conflicts(&self, other: &Self) -> bool {
        let meets = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        // Tiles of one buffer are written side by side. In every other case a descriptor counts as
        // a use of all that it shows: two buffers may have taken turns in the same bytes, and
        // validation does not know which bytes a kernel reads.
        let both_write = self.only_writes && other.only_writes;
        let shared = if self.buffer == other.buffer && both_write {
            meets(&self.exact, &other.exact)
        } else {
            meets(&self.whole, &other.whole)
        };
        self.region == other.region && (self.writes || other.writes) && shared
    }
}

/// Uses since the last barrier that the next dispatch is compared with: more than a real program has
/// between two barriers, so that a program of many independent dispatches takes no quadratic time.
const MAX_OPEN: usize = 256;

/// For each dispatch, whether a full memory barrier must stand before it: it touches bytes that an
/// earlier dispatch wrote, or writes bytes that an earlier one read, with no barrier between. Works
/// on memory ranges, not buffers: two buffers may share bytes after planning.
pub fn hazards(program: &Program, plan: &MemoryPlan) -> Vec<bool> {
    let mut open: Vec<Touch> = Vec::new();
    program
        .dispatches
        .iter()
        .map(|dispatch| {
            let touch = |binding: &Binding| {
                let place = plan.places[binding.buffer.0 as usize];
                let at = place.offset_bytes;
                let size_bytes = program.buffer(binding.buffer).size_bytes;
                Touch {
                    buffer: binding.buffer,
                    region: place.region,
                    whole: at..at + size_bytes,
                    exact: at + binding.range_bytes.start..at + binding.range_bytes.end,
                    writes: binding.access.writes(),
                    only_writes: binding.access == Access::Write,
                }
            };
            let touched: Vec<Touch> = dispatch.bindings.iter().map(touch).collect();
            let full = open.len() + touched.len() > MAX_OPEN;
            let wait = full
                || touched
                    .iter()
                    .any(|now| open.iter().any(|before| now.conflicts(before)));
            if wait {
                open.clear();
            }
            open.extend(touched);
            wait
        })
        .collect()
}
