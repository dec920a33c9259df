//! Where every buffer of a program lies, and which dispatches must wait for earlier ones. Pure.

use crate::error::{Error, ErrorKind, Result};
use crate::program::{BufferKind, Program};
use crate::tensor::DeviceLimits;

/// The device allocations of a delegate. Each is one memory object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// All temporaries, planned by lifetime.
    Arena,
    /// The convolution workspace.
    Workspace,
    /// Packed constants.
    Constants,
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
    /// Size of [`Region::Inputs`].
    pub input_bytes: u64,
    /// Size of [`Region::Outputs`].
    pub output_bytes: u64,
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
            Region::Inputs => self.input_bytes,
            Region::Outputs => self.output_bytes,
        }
    }
}

/// A temporary's size and the dispatches between which it must exist, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Size.
    pub size_bytes: u64,
    /// First dispatch that touches it.
    pub first: usize,
    /// Last dispatch that touches it.
    pub last: usize,
}

/// Places every buffer of `program`.
pub fn plan_memory(program: &Program, limits: &DeviceLimits) -> Result<MemoryPlan> {
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
                // All convolutions share one workspace: every such buffer starts at 0.
                plan.workspace_bytes = plan.workspace_bytes.max(desc.size_bytes);
                plan.places.push(Place {
                    region: Region::Workspace,
                    offset_bytes: 0,
                });
                continue;
            }
            BufferKind::Constant(_) => (Region::Constants, &mut plan.constant_bytes),
            BufferKind::Input(_) => (Region::Inputs, &mut plan.input_bytes),
            BufferKind::Output(_) => (Region::Outputs, &mut plan.output_bytes),
        };
        let offset_bytes = total.checked_next_multiple_of(align).ok_or_else(overflow)?;
        *total = offset_bytes
            .checked_add(desc.size_bytes)
            .ok_or_else(overflow)?;
        plan.places.push(Place {
            region,
            offset_bytes,
        });
    }
    let sizes: Vec<Usage> = temporaries.iter().map(|&(_, usage)| usage).collect();
    let (offsets, arena_bytes) = plan_arena(&sizes, align)?;
    for (&(index, _), offset_bytes) in temporaries.iter().zip(offsets) {
        plan.places[index].offset_bytes = offset_bytes;
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

/// Greedy by size: the largest first, each into the smallest gap between those that live at the
/// same time (XNNPACK's planner does the same). Returns offsets and the arena's size.
pub fn plan_arena(usages: &[Usage], align: u64) -> Result<(Vec<u64>, u64)> {
    let mut order: Vec<usize> = (0..usages.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(usages[i].size_bytes), usages[i].first, i));
    let mut offsets = vec![0u64; usages.len()];
    let mut placed: Vec<usize> = Vec::new(); // sorted by offset
    let mut arena_bytes = 0;
    for i in order {
        let size = usages[i]
            .size_bytes
            .checked_next_multiple_of(align)
            .ok_or_else(overflow)?;
        let (mut best, mut best_gap) = (None, u64::MAX);
        let mut cursor = 0u64;
        for &p in &placed {
            if usages[p].first > usages[i].last || usages[i].first > usages[p].last {
                continue;
            }
            if let Some(gap) = offsets[p].checked_sub(cursor) {
                if gap >= size && gap < best_gap {
                    (best, best_gap) = (Some(cursor), gap);
                }
            }
            let end = offsets[p]
                .checked_add(usages[p].size_bytes)
                .ok_or_else(overflow)?;
            cursor = cursor.max(end.checked_next_multiple_of(align).ok_or_else(overflow)?);
        }
        offsets[i] = best.unwrap_or(cursor);
        arena_bytes = arena_bytes.max(offsets[i].checked_add(size).ok_or_else(overflow)?);
        let at = placed.partition_point(|&p| offsets[p] <= offsets[i]);
        placed.insert(at, i);
    }
    Ok((offsets, arena_bytes))
}

/// For each dispatch, whether a full memory barrier must stand before it: it touches bytes that an
/// earlier dispatch wrote, or writes bytes that an earlier one read, with no barrier between. Works
/// on memory ranges, not buffers: two buffers may share bytes after planning.
pub fn hazards(program: &Program, plan: &MemoryPlan) -> Vec<bool> {
    let mut open: Vec<(Region, u64, u64, bool)> = Vec::new();
    program
        .dispatches
        .iter()
        .map(|dispatch| {
            let touched: Vec<_> = dispatch
                .bindings
                .iter()
                .map(|b| {
                    let place = plan.places[b.buffer.0 as usize];
                    let start = place.offset_bytes + b.range_bytes.start;
                    (
                        place.region,
                        start,
                        place.offset_bytes + b.range_bytes.end,
                        b.access.writes(),
                    )
                })
                .collect();
            let wait = touched.iter().any(|&(region, start, end, writes)| {
                open.iter()
                    .any(|&(r, s, e, w)| r == region && s < end && start < e && (w || writes))
            });
            if wait {
                open.clear();
            }
            open.extend(touched);
            wait
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Access, Binding, BufferDesc, BufferId, Dispatch};
    use crate::shader::Shader;

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    fn usage(size_bytes: u64, first: usize, last: usize) -> Usage {
        Usage {
            size_bytes,
            first,
            last,
        }
    }

    #[test]
    fn live_ranges_never_overlap_in_bytes() {
        for seed in 0..500u64 {
            let mut state = seed;
            let align = [16, 64, 256][random(&mut state, 3) as usize];
            let usages: Vec<Usage> = (0..random(&mut state, 40))
                .map(|_| {
                    let first = random(&mut state, 30) as usize;
                    let last = first + random(&mut state, 8) as usize;
                    usage(random(&mut state, 5000) + 1, first, last)
                })
                .collect();
            let (offsets, arena_bytes) = plan_arena(&usages, align).expect("small");
            assert_eq!(offsets.len(), usages.len());
            for (i, (a, &a_start)) in usages.iter().zip(&offsets).enumerate() {
                assert_eq!(a_start % align, 0, "seed {seed}");
                assert!(a_start + a.size_bytes <= arena_bytes, "seed {seed}");
                for (b, &b_start) in usages.iter().zip(&offsets).skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    let overlap =
                        a_start < b_start + b.size_bytes && b_start < a_start + a.size_bytes;
                    assert!(!(together && overlap), "seed {seed}: {a:?} {b:?}");
                }
            }
            // Not below what one dispatch needs, and not above one piece for each.
            let size = |u: &Usage| u.size_bytes.next_multiple_of(align);
            let at = |t| {
                usages
                    .iter()
                    .filter(|u| u.first <= t && t <= u.last)
                    .map(size)
                    .sum()
            };
            let least: u64 = (0..40).map(at).max().unwrap_or(0);
            assert!(least <= arena_bytes && arena_bytes <= usages.iter().map(size).sum());
        }
    }

    #[test]
    fn a_chain_needs_two_pieces() {
        // Each result lives until the next dispatch: two at a time, whatever the length.
        let chain: Vec<Usage> = (0..50).map(|i| usage(1000, i, i + 1)).collect();
        assert_eq!(plan_arena(&chain, 256).expect("small").1, 2048);
        assert_eq!(plan_arena(&[], 256).expect("empty"), (vec![], 0));
        assert!(plan_arena(&[usage(u64::MAX - 3, 0, 0)], 256).is_err());
    }

    fn program(state: &mut u64) -> Program {
        let kinds = [
            BufferKind::Temporary,
            BufferKind::Temporary,
            BufferKind::Workspace,
            BufferKind::Constant(0),
            BufferKind::Input(0),
            BufferKind::Output(0),
        ];
        let buffers: Vec<BufferDesc> = (0..12)
            .map(|_| BufferDesc {
                kind: kinds[random(state, 6) as usize],
                size_bytes: 16 * (1 + random(state, 20)),
            })
            .collect();
        let dispatches = (0..random(state, 20))
            .map(|_| {
                let bindings = (0..1 + random(state, 3))
                    .map(|_| {
                        let buffer = random(state, 12) as u32;
                        let size = buffers[buffer as usize].size_bytes;
                        let (a, b) = (random(state, size), random(state, size));
                        let accesses = [Access::Read, Access::Write, Access::ReadWrite];
                        Binding {
                            buffer: BufferId(buffer),
                            access: accesses[random(state, 3) as usize],
                            range_bytes: a.min(b)..a.max(b) + 1,
                        }
                    })
                    .collect();
                Dispatch {
                    node: None,
                    shader: Shader::CopyPlain,
                    spec: Vec::new(),
                    push: Vec::new(),
                    bindings,
                    workgroups: [1, 1, 1],
                }
            })
            .collect();
        Program {
            buffers,
            dispatches,
            ..Program::default()
        }
    }

    /// Whether two dispatches touch a common byte that one of them writes: byte by byte.
    fn conflict(plan: &MemoryPlan, a: &Dispatch, b: &Dispatch) -> bool {
        let bytes = |d: &Dispatch, writes: bool| -> std::collections::HashSet<(Region, u64)> {
            let touched = d
                .bindings
                .iter()
                .filter(|b| !writes || b.access != Access::Read);
            touched
                .flat_map(|b| {
                    let place = plan.places[b.buffer.0 as usize];
                    b.range_bytes
                        .clone()
                        .map(move |at| (place.region, place.offset_bytes + at))
                })
                .collect()
        };
        !bytes(a, true).is_disjoint(&bytes(b, false))
            || !bytes(a, false).is_disjoint(&bytes(b, true))
    }

    #[test]
    fn barriers_stand_where_bytes_conflict_and_nowhere_else() {
        let limits = DeviceLimits {
            storage_buffer_alignment_bytes: 16,
            ..DeviceLimits::minimum()
        };
        let mut barriers = 0;
        for seed in 0..300u64 {
            let mut state = seed;
            let program = program(&mut state);
            let plan = plan_memory(&program, &limits).expect("small");
            let waits = hazards(&program, &plan);
            assert_eq!(waits.len(), program.dispatches.len());
            barriers += waits.iter().filter(|&&w| w).count();
            let mut since = 0;
            for (i, after) in program.dispatches.iter().enumerate() {
                let open = since..i;
                let conflicts = open
                    .into_iter()
                    .any(|j| conflict(&plan, &program.dispatches[j], after));
                assert_eq!(waits[i], conflicts, "seed {seed}, dispatch {i}");
                if waits[i] {
                    since = i;
                }
            }
        }
        assert!(barriers > 300, "the programs hardly conflict: {barriers}");
    }

    #[test]
    fn regions_hold_what_they_should() {
        for seed in 0..100u64 {
            let mut state = seed;
            let program = program(&mut state);
            let plan = plan_memory(&program, &DeviceLimits::minimum()).expect("small");
            for (buffer, place) in program.buffers.iter().zip(&plan.places) {
                assert_eq!(place.offset_bytes % 256, 0, "seed {seed}");
                let used = buffer.kind != BufferKind::Temporary || place.offset_bytes > 0;
                let end = place.offset_bytes + buffer.size_bytes;
                assert!(
                    !used || end <= plan.region_bytes(place.region),
                    "seed {seed}"
                );
            }
            assert_eq!(
                plan.workspace_bytes,
                program.workspace_bytes(),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_buffer_beyond_the_device_is_refused() {
        let limits = DeviceLimits {
            max_storage_buffer_range_bytes: 64,
            ..DeviceLimits::minimum()
        };
        let buffer = |size_bytes| Program {
            buffers: vec![BufferDesc {
                kind: BufferKind::Temporary,
                size_bytes,
            }],
            ..Program::default()
        };
        assert!(plan_memory(&buffer(64), &limits).is_ok());
        let error = plan_memory(&buffer(80), &limits).expect_err("too large");
        assert_eq!(error.kind, ErrorKind::OutOfMemory);
        assert!(
            error.message.contains("80") && error.message.contains("64"),
            "{error}"
        );
    }
}
