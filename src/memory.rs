//! Where every buffer of a program lies, and which dispatches must wait for earlier ones. Pure.

mod arena;
mod sweep;

pub use arena::{plan_arena, Usage};

use arena::{as_reserved, Reserved};

use crate::error::{Error, ErrorKind, Result};
use crate::program::{Binding, BufferId, BufferKind, Program};
use crate::tensor::DeviceLimits;
use std::ops::Range;

/// The device allocations of a delegate. Each is one memory object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// All temporaries, planned by lifetime.
    Arena,
    /// The convolution workspace.
    Workspace,
    /// Packed constants.
    Constants,
    /// Mutable buffers: initialised once, never moved.
    States,
    /// Host-visible inputs.
    Inputs,
    /// Host-visible outputs.
    Outputs,
}

/// Offsets of all buffers of a program, and the size that each region must have.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MemoryPlan {
    /// Per buffer: its region and its first byte there.
    pub places: Vec<Place>,
    /// Size of [`Region::Arena`].
    pub arena_bytes: u64,
    /// Size of [`Region::Workspace`].
    pub workspace_bytes: u64,
    /// Size of [`Region::Constants`].
    pub constant_bytes: u64,
    /// Size of [`Region::States`].
    pub state_bytes: u64,
    /// Size of [`Region::Inputs`].
    pub input_bytes: u64,
    /// Size of [`Region::Outputs`].
    pub output_bytes: u64,
    /// The temporaries, for [`plan_memory_within`].
    temporaries: Vec<Reserved>,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The memory object.
    pub region: Region,
    /// First byte in it; a multiple of the device's descriptor alignment.
    pub offset_bytes: u64,
}

impl MemoryPlan {
    /// Size of `region`.
    pub fn region_bytes(&self, region: Region) -> u64 {
        match region {
            Region::Arena => self.arena_bytes,
            Region::Workspace => self.workspace_bytes,
            Region::Constants => self.constant_bytes,
            Region::States => self.state_bytes,
            Region::Inputs => self.input_bytes,
            Region::Outputs => self.output_bytes,
        }
    }
}

/// Places every buffer of `program`.
pub fn plan_memory(program: &Program, limits: &DeviceLimits) -> Result<MemoryPlan> {
    plan(program, limits, None)
}

/// Places every buffer of `program`, a program for smaller sizes than those that `bound` was made
/// for, within the regions of `bound`.
///
/// Inputs, outputs and workspace are within them because nothing of them is larger. The arena is
/// planned anew, and where that needs more, which greedy plans can, the offsets of `bound` serve
/// again. A plan exceeds `bound` only when sizes change which temporaries there are, in a way that
/// defeats both (a slice with symbolic ends that is all of its input at the largest sizes alone,
/// say): callers compare sizes.
pub fn plan_memory_within(
    program: &Program,
    limits: &DeviceLimits,
    bound: &MemoryPlan,
) -> Result<MemoryPlan> {
    plan(program, limits, Some(bound))
}

fn plan(
    program: &Program,
    limits: &DeviceLimits,
    bound: Option<&MemoryPlan>,
) -> Result<MemoryPlan> {
    let align = limits.storage_buffer_alignment_bytes.max(16);
    let mut usages: Vec<Option<Usage>> = vec![None; program.buffers.len()];
    for (at, dispatch) in program.dispatches.iter().enumerate() {
        for binding in &dispatch.bindings {
            let index = binding.buffer.0 as usize;
            let size_bytes = program.buffers[index].size_bytes;
            usages[index]
                .get_or_insert(Usage {
                    size_bytes,
                    first: at,
                    last: at,
                })
                .last = at;
        }
    }
    let mut plan = MemoryPlan::default();
    let mut temporaries = Vec::new();
    for (index, desc) in program.buffers.iter().enumerate() {
        let image = matches!(desc.kind, BufferKind::WorkspaceImage(_));
        if !image && desc.size_bytes > limits.max_storage_buffer_range_bytes {
            return Err(Error::new(
                ErrorKind::OutOfMemory,
                format!(
                    "a buffer of {} bytes exceeds the device's largest storage range of {} bytes",
                    desc.size_bytes, limits.max_storage_buffer_range_bytes
                ),
            ));
        }
        let (region, total) = match desc.kind {
            BufferKind::Temporary => {
                if let Some(usage) = usages[index] {
                    temporaries.push((index, usage));
                }
                plan.places.push(Place {
                    region: Region::Arena,
                    offset_bytes: 0,
                });
                continue;
            }
            BufferKind::Workspace | BufferKind::WorkspaceImage(_) => {
                // All convolutions share one workspace.
                plan.workspace_bytes = plan.workspace_bytes.max(desc.size_bytes);
                plan.places.push(Place {
                    region: Region::Workspace,
                    offset_bytes: 0,
                });
                continue;
            }
            BufferKind::Constant(_) => (Region::Constants, &mut plan.constant_bytes),
            BufferKind::State(_) => (Region::States, &mut plan.state_bytes),
            BufferKind::Input(_) => (Region::Inputs, &mut plan.input_bytes),
            BufferKind::Output(_) => (Region::Outputs, &mut plan.output_bytes),
        };
        let offset_bytes = *total;
        // Whole alignments, so that no order of the same buffers needs more than another.
        *total = desc
            .size_bytes
            .checked_next_multiple_of(align)
            .and_then(|size| size.checked_add(offset_bytes))
            .ok_or_else(overflow)?;
        plan.places.push(Place {
            region,
            offset_bytes,
        });
    }
    let sizes: Vec<Usage> = temporaries.iter().map(|&(_, usage)| usage).collect();
    let node = |usage: &Usage| program.dispatches[usage.first].node;
    let nodes: Vec<Option<usize>> = sizes.iter().map(node).collect();
    let (mut offsets, mut arena_bytes) = plan_arena(&sizes, align)?;
    if let Some(bound) = bound.filter(|bound| arena_bytes > bound.arena_bytes) {
        if let Some(again) = as_reserved(&bound.temporaries, &nodes, &sizes) {
            (offsets, arena_bytes) = (again, bound.arena_bytes);
        }
    }
    for (((index, usage), node), offset_bytes) in temporaries.iter().zip(nodes).zip(offsets) {
        plan.places[*index].offset_bytes = offset_bytes;
        plan.temporaries.push(Reserved {
            node,
            size_bytes: usage.size_bytes,
            offset_bytes,
        });
    }
    plan.arena_bytes = arena_bytes;
    Ok(plan)
}

fn overflow() -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        "the program's memory overflows 64 bits",
    )
}

/// What a dispatch touches, in bytes of a region.
struct Touch {
    buffer: BufferId,
    region: Region,
    /// All of the buffer: what its descriptor shows.
    whole: Range<u64>,
    /// What the kernel may touch.
    exact: Range<u64>,
    writes: bool,
}

impl Touch {
    fn conflicts(&self, other: &Self) -> bool {
        let meets = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        let shared = if self.buffer == other.buffer {
            meets(&self.exact, &other.exact)
        } else {
            // Two buffers that took turns in the same bytes. Their kernels may touch different
            // parts, but a descriptor counts as a use of all it shows.
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

#[cfg(test)]
mod tests;
