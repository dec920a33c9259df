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

/// Whether two dispatches touch a common byte that one of them writes: byte by byte. Of different
/// buffers every byte counts, because descriptors show all of them.
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
            let whole = x.buffer != y.buffer;
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
