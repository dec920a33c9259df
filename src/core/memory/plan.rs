//! The place of every buffer of a program.

use super::arena::{as_reserved, plan_arena};
use super::lifetime::{overflow, Reserved, Usage};
use super::objects::Objects;
use crate::base::error::{Error, Result};
use crate::core::device::DeviceLimits;
use crate::core::program::{BufferKind, Program};

/// The device memory of a delegate, by use. Each is one memory object, or several of the size that the
/// device allows: see [`Objects`].
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
    /// First byte, counted through the memory objects of the region; a multiple of the device's
    /// descriptor alignment. A buffer lies in one object, or begins with one and ends in a later one.
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

/// Refuses kernels that would bind more than the device can show them.
fn check_ranges(program: &Program, limits: &DeviceLimits) -> Result<()> {
    let most = limits.max_storage_buffer_range_bytes;
    for dispatch in &program.dispatches {
        for binding in &dispatch.bindings {
            let buffer = program.buffer(binding.buffer);
            let image = matches!(buffer.kind, BufferKind::WorkspaceImage(_));
            if !image && buffer.size_bytes > most {
                return Err(Error::unsupported(format!(
                    "{} binds {} bytes, the device's largest storage range is {most}",
                    dispatch.shader.info().name,
                    buffer.size_bytes
                )));
            }
        }
    }
    Ok(())
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
    check_ranges(program, limits)?;
    let objects = Objects::of(limits);
    let mut usages: Vec<Option<Usage>> = vec![None; program.buffers.len()];
    for (at, dispatch) in program.dispatches.iter().enumerate() {
        for binding in &dispatch.bindings {
            let index = program.root(binding.buffer).0 .0 as usize;
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
            // Placed below, with what they are parts of.
            BufferKind::Part { .. } => {
                plan.places.push(Place {
                    region: Region::Arena,
                    offset_bytes: 0,
                });
                continue;
            }
            BufferKind::Constant(_) => (Region::Constants, &mut plan.constant_bytes),
            BufferKind::State(_) => (Region::States, &mut plan.state_bytes),
            BufferKind::Input(_) => (Region::Inputs, &mut plan.input_bytes),
            BufferKind::Output(_) => (Region::Outputs, &mut plan.output_bytes),
        };
        // Whole alignments, so that no order of the same buffers needs more than another, unless
        // they take several objects.
        let size_bytes = objects.padded(desc.size_bytes)?;
        let offset_bytes = objects.fit(*total, size_bytes)?;
        *total = offset_bytes.checked_add(size_bytes).ok_or_else(overflow)?;
        plan.places.push(Place {
            region,
            offset_bytes,
        });
    }
    let sizes: Vec<Usage> = temporaries.iter().map(|&(_, usage)| usage).collect();
    let node = |usage: &Usage| program.dispatches[usage.first].node;
    let nodes: Vec<Option<usize>> = sizes.iter().map(node).collect();
    let (mut offsets, mut arena_bytes) = plan_arena(&sizes, &objects)?;
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
    for (index, desc) in program.buffers.iter().enumerate() {
        if let BufferKind::Part { of, offset_bytes } = desc.kind {
            let whole = plan.places[of.0 as usize];
            plan.places[index] = Place {
                offset_bytes: whole.offset_bytes + offset_bytes,
                ..whole
            };
        }
    }
    Ok(plan)
}
