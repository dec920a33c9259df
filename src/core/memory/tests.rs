use super::*;
use crate::base::error::ErrorKind;
use crate::core::device::DeviceLimits;
use crate::core::program::{Access, Binding, BufferDesc, BufferId, BufferKind, Dispatch, Program};
use crate::core::shader::Shader;

pub(super) fn random(state: &mut u64, below: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn program(state: &mut u64) -> Program {
    let kinds = [
        BufferKind::Temporary,
        BufferKind::Temporary,
        BufferKind::Workspace,
        BufferKind::Workspace,
        BufferKind::Constant(0),
        BufferKind::Input(0),
        BufferKind::Output(0),
    ];
    let buffers: Vec<BufferDesc> = (0..12)
        .map(|_| BufferDesc {
            kind: kinds[random(state, 7) as usize],
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

/// Whether two dispatches touch a common byte that one of them writes: byte by byte. Every byte that
/// a descriptor shows counts, unless both write the same buffer.
fn conflict(program: &Program, plan: &MemoryPlan, a: &Dispatch, b: &Dispatch) -> bool {
    let bytes = |x: &Binding, whole: bool| -> std::collections::HashSet<(Region, u64)> {
        let place = plan.places[x.buffer.0 as usize];
        let range = match whole {
            true => 0..program.buffer(x.buffer).size_bytes,
            false => x.range_bytes.clone(),
        };
        let at = |byte| (place.region, place.offset_bytes + byte);
        range.map(at).collect()
    };
    a.bindings.iter().any(|x| {
        b.bindings.iter().any(|y| {
            let both_write = x.access == Access::Write && y.access == Access::Write;
            let whole = x.buffer != y.buffer || !both_write;
            (x.access != Access::Read || y.access != Access::Read)
                && !bytes(x, whole).is_disjoint(&bytes(y, whole))
        })
    })
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
                .any(|j| conflict(&program, &plan, &program.dispatches[j], after));
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

/// A dispatch that writes `bound` of `buffers`.
fn writes(bound: &[u32], buffers: Vec<BufferDesc>) -> Program {
    let bind = |&id: &u32| Binding {
        buffer: BufferId(id),
        access: Access::Write,
        range_bytes: 0..buffers[id as usize].size_bytes,
    };
    let dispatch = Dispatch {
        node: None,
        shader: Shader::CopyPlain,
        spec: vec![],
        push: vec![],
        bindings: vec![],
        workgroups: [1; 3],
    };
    let dispatches = bound.iter().map(|id| Dispatch {
        bindings: vec![bind(id)],
        ..dispatch.clone()
    });
    Program {
        dispatches: dispatches.collect(),
        buffers,
        ..Program::default()
    }
}

fn part(offset_bytes: u64, size_bytes: u64) -> BufferDesc {
    BufferDesc {
        kind: BufferKind::Part {
            of: BufferId(0),
            offset_bytes,
        },
        size_bytes,
    }
}

fn temporary(size_bytes: u64) -> BufferDesc {
    BufferDesc {
        kind: BufferKind::Temporary,
        size_bytes,
    }
}

#[test]
fn what_a_kernel_binds_must_fit_the_device_and_parts_of_it_may() {
    let limits = DeviceLimits {
        max_storage_buffer_range_bytes: 64,
        storage_buffer_alignment_bytes: 16,
        ..DeviceLimits::minimum()
    };
    assert!(plan_memory(&writes(&[0], vec![temporary(64)]), &limits).is_ok());
    let error = plan_memory(&writes(&[0], vec![temporary(80)]), &limits).expect_err("too large");
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(
        error.message.contains("80") && error.message.contains("64"),
        "{error}"
    );
    let buffers = vec![temporary(160), part(0, 64), part(64, 64), part(112, 48)];
    let program = writes(&[1, 2, 3], buffers);
    let plan = plan_memory(&program, &limits).expect("parts fit");
    assert_eq!(plan.arena_bytes, 160);
    let offsets: Vec<u64> = plan.places.iter().map(|place| place.offset_bytes).collect();
    assert_eq!(offsets, [0, 0, 64, 112]);
    // The last two share bytes of their whole; the first two touch and share none.
    assert_eq!(hazards(&program, &plan), [false, false, true]);
}

#[test]
fn a_part_keeps_its_whole_alive() {
    let limits = DeviceLimits::minimum();
    let buffers = vec![temporary(512), part(256, 256), temporary(512)];
    let program = writes(&[0, 2, 1], buffers);
    let plan = plan_memory(&program, &limits).expect("small");
    assert_eq!(plan.arena_bytes, 1024);
    let places = &plan.places;
    assert_eq!(places[1].offset_bytes, places[0].offset_bytes + 256);
}
