//! The shell on a real device, with programs made by hand.

mod device;
mod time;

use super::*;
use crate::base::error::Result;
use crate::core::constant::Pack;
use crate::core::graph::{ConstantId, ValueId};
use crate::core::kernels::lib::{Narrow, Window};
use crate::core::kernels::{copy, Words};
use crate::core::memory::{plan_memory, PlacedProgram};
use crate::core::options::Options;
use crate::core::program::{
    Access, Binding, BufferDesc, BufferId, BufferKind, Dispatch, Port, PortKind, Program, Upload,
};
use crate::core::tensor::{DType, Element};
use std::sync::Arc;

/// A device, unless the machine has none.
fn gpu(test: &str, given: &[(&str, &str)]) -> Option<Arc<Gpu>> {
    let options = Options::from_environment(given).expect("options");
    match Gpu::open(&options) {
        Ok(gpu) => Some(gpu),
        Err(error) if error.kind == ErrorKind::NoDevice => {
            eprintln!("SKIPPED {test}: {error}");
            None
        }
        Err(error) => panic!("a device is there but does not start: {error}"),
    }
}

const COUNT: u32 = 100;
const BYTES: u64 = 4 * COUNT as u64;

/// The copy kernel over `COUNT` floats.
fn copy(from: u32, to: u32, to_access: Access) -> Dispatch {
    let window = Window {
        offset: 0,
        strides: [1, 0, 0, 0, 0, 0, 0, 0],
    };
    let push = copy::Push {
        count: COUNT,
        sizes: [COUNT, 0, 0, 0, 0, 0, 0, 0],
        source: window,
        target: window,
    };
    let spec = copy::Spec {
        rank: 1,
        source: Element::F32,
        target: Element::F32,
        narrow: Narrow::None,
    };
    let bind = |buffer, access| Binding {
        buffer: BufferId(buffer),
        access,
        range_bytes: 0..BYTES,
    };
    Dispatch {
        node: None,
        shader: copy::Variant::Plain.shader(),
        spec: [vec![64, 1, 1], spec.words()].concat(),
        push: push.words(),
        bindings: vec![bind(from, Access::Read), bind(to, to_access)],
        workgroups: [COUNT.div_ceil(64), 1, 1],
    }
}

fn port(buffer: u32) -> Port {
    Port {
        value: ValueId(buffer),
        kind: PortKind::Tensor(BufferId(buffer)),
        dtype: DType::F32,
        element: Element::F32,
        dims: vec![COUNT],
        max_dims: vec![COUNT],
    }
}

/// Input 0 -> temporary 1 -> output 2, constant 3 -> output 4. `access` is what the first copy says
/// that it does to the temporary.
fn program(access: Access) -> Program {
    let kinds = [
        BufferKind::Input(0),
        BufferKind::Temporary,
        BufferKind::Output(0),
        BufferKind::Constant(0),
        BufferKind::Output(1),
    ];
    let pack = Pack::contiguous(DType::F32, Element::F32, &[COUNT]);
    Program {
        buffers: kinds
            .map(|kind| BufferDesc {
                kind,
                size_bytes: BYTES,
            })
            .to_vec(),
        uploads: vec![Upload {
            constant: ConstantId(0),
            pack,
        }],
        dispatches: vec![
            copy(0, 1, access),
            copy(3, 4, Access::Write),
            copy(1, 2, Access::Write),
        ],
        inputs: vec![port(0)],
        outputs: vec![port(2), port(4)],
        convolutions: Vec::new(),
    }
}

/// The one constant: 0.5, 1.5, 2.5, ...
fn halves(_: &Upload, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    read(&floats(0.5))
}

fn floats(first: f32) -> Vec<u8> {
    (0..COUNT)
        .flat_map(|i| (i as f32 + first).to_le_bytes())
        .collect()
}

/// `program` and where its buffers lie on `gpu`.
fn placed(gpu: &Gpu, program: Program) -> Arc<PlacedProgram> {
    let plan = plan_memory(&program, gpu.limits()).expect("plan");
    PlacedProgram::new(program, plan)
}

fn create(gpu: &Arc<Gpu>, placed: &PlacedProgram) -> Result<Session> {
    Session::create(gpu, placed, SessionOptions::default(), &halves)
}

struct Loaded {
    session: Session,
    recording: Recording,
}

fn load(gpu: &Arc<Gpu>, access: Access) -> Result<Loaded> {
    let placed = placed(gpu, program(access));
    let mut session = create(gpu, &placed)?;
    let prepared = session.prepare(placed)?;
    let (recording, committed) = session.commit(prepared);
    assert_eq!(committed, Committed::InPlace);
    Ok(Loaded { session, recording })
}

impl Loaded {
    /// Runs with `input` as buffer 0.
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let staging = self.session.input_mut(&self.recording, BufferId(0));
        staging.expect("staging").copy_from_slice(input);
        self.session.run(&mut self.recording)
    }

    fn output(&self, buffer: u32) -> &[u8] {
        let output = self.session.output(&self.recording, BufferId(buffer));
        output.expect("staging")
    }
}

#[test]
fn a_recording_is_submitted_again_with_new_inputs() {
    let Some(gpu) = gpu("a_recording_is_submitted_again_with_new_inputs", &[]) else {
        return;
    };
    let mut loaded = load(&gpu, Access::Write).expect("load");
    assert_eq!(
        loaded.recording.barriers(),
        1,
        "only the last copy reads what another wrote"
    );
    for round in 0..4u8 {
        let input = floats(f32::from(round));
        loaded.run(&input).expect("run");
        assert_eq!(loaded.output(2), input);
        assert_eq!(loaded.output(4), floats(0.5));
    }
    let report = loaded.session.memory_report();
    let slack = 5 * gpu.limits().allocation_granularity_bytes;
    let plan = &loaded.recording.placed().plan;
    let planned = plan.arena_bytes + plan.constant_bytes + plan.input_bytes + plan.output_bytes;
    assert!(
        (planned..=planned + slack).contains(&report.total_bytes()),
        "{report:?} {plan:?}"
    );
    assert_eq!((report.allocations, report.workspace_bytes), (4, 0));
    if gpu.validated() {
        validation::check().expect("silence");
    }
}

#[test]
fn what_no_kernel_writes_shows_the_pattern() {
    let Some(gpu) = gpu("what_no_kernel_writes_shows_the_pattern", &[]) else {
        return;
    };
    let pattern: Vec<u8> = POISON.to_ne_bytes().repeat(BYTES as usize / 4);
    // Without the first copy the temporary is unwritten, without the last one the output.
    for (kind, missing) in [
        (BufferKind::Temporary, 0),
        (BufferKind::Workspace, 0),
        (BufferKind::Temporary, 2),
    ] {
        let mut program = program(Access::Write);
        program.buffers[1].kind = kind;
        let whole = placed(&gpu, program.clone());
        program.dispatches.remove(missing);
        let partial = placed(&gpu, program);
        let mut session = create(&gpu, &whole).expect("memory");
        let mut run = |placed: &Arc<PlacedProgram>| {
            let prepared = session.prepare(placed.clone()).expect("recorded");
            let (mut recording, _) = session.commit(prepared);
            let input = session.input_mut(&recording, BufferId(0));
            input.expect("staging").copy_from_slice(&floats(7.0));
            session.fill(POISON).expect("filled");
            session.run(&mut recording).expect("run");
            let output = |id| session.output(&recording, BufferId(id)).expect("staging");
            assert_eq!(output(4), floats(0.5), "constants stay");
            output(2).to_vec()
        };
        assert_eq!(run(&whole), floats(7.0), "what is written is right");
        let found = run(&partial);
        assert_eq!(found, pattern, "{kind:?}, without copy {missing}");
    }
    if gpu.validated() {
        validation::check().expect("silence");
    }
}

#[test]
fn larger_plans_move_memory_and_unknown_constants_are_refused() {
    let Some(gpu) = gpu("larger_plans_move_memory", &[]) else {
        return;
    };
    let Loaded { mut session, .. } = load(&gpu, Access::Write).expect("load");
    let mut larger = program(Access::Write);
    larger.buffers[1].size_bytes *= 100;
    let prepared = session.prepare(placed(&gpu, larger)).expect("room is made");
    let (recording, committed) = session.commit(prepared);
    assert_eq!(committed, Committed::Moved);
    let mut loaded = Loaded { session, recording };
    loaded.run(&floats(0.0)).expect("run");
    assert_eq!(loaded.output(4), floats(0.5));

    let mut other = program(Access::Write);
    other.uploads[0].pack.offset = -1;
    let refused = loaded.session.prepare(placed(&gpu, other));
    let error = refused.err().expect("never uploaded");
    assert_eq!(error.kind, ErrorKind::Internal);
    let mut workspace = program(Access::Write);
    workspace.buffers[1].kind = BufferKind::Workspace;
    let refused = loaded.session.prepare(placed(&gpu, workspace));
    let error = refused.err().expect("over the budget");
    assert!(error.message.contains("workspace"), "{error}");
}

#[test]
fn a_dispatch_that_vulkan_would_leave_undefined_is_refused() {
    let Some(gpu) = gpu(
        "a_dispatch_that_vulkan_would_leave_undefined_is_refused",
        &[],
    ) else {
        return;
    };
    type Change<'a> = &'a dyn Fn(&mut Dispatch);
    let changes: [(Change<'_>, &str); 7] = [
        (&|d| d.push.truncate(26), "26 push words"),
        (&|d| d.bindings.truncate(1), "1 bindings"),
        (&|d| d.spec.truncate(6), "6 specialization"),
        (&|d| d.spec[0] = 0, "a workgroup of [0, 1, 1]"),
        (&|d| d.spec[1] = 1 << 30, "a workgroup of"),
        (&|d| d.workgroups[2] = 0, "0] workgroups"),
        (&|d| d.workgroups[1] = u32::MAX, "the device allows"),
    ];
    let loaded = load(&gpu, Access::Write).expect("load");
    for (change, names) in changes {
        let mut program = program(Access::Write);
        change(&mut program.dispatches[1]);
        let placed = placed(&gpu, program);
        let created = create(&gpu, &placed);
        let prepared = loaded.session.prepare(placed);
        for error in [created.err(), prepared.err()] {
            let error = error.expect(names);
            assert!(
                error.message.contains(names) && error.message.contains("dispatch 1"),
                "{error}"
            );
        }
    }
}

#[test]
fn memory_that_cannot_be_had_is_out_of_memory() {
    let Some(gpu) = gpu("memory_that_cannot_be_had_is_out_of_memory", &[]) else {
        return;
    };
    let mut huge = PlacedProgram::clone(&placed(&gpu, program(Access::Write)));
    huge.plan.arena_bytes = 1 << 60;
    let made = create(&gpu, &huge);
    let error = made.err().expect("an exbibyte");
    assert_eq!(error.kind, ErrorKind::OutOfMemory, "{error}");
    assert!(error.message.contains("etvk arena"), "{error}");
    load(&gpu, Access::Write).expect("the next one works");
}

/// Runs the ignored test `name` in a process of its own: what it counts is process-wide.
fn in_child(name: &str) {
    let out = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args([
            "--exact",
            &format!("{}::{name}", module_path!().trim_start_matches("etvk::")),
            "--ignored",
            "--nocapture",
        ])
        .output()
        .expect("the test binary starts");
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && text.contains("1 passed"),
        "{name}: {}\n{text}",
        out.status
    );
}
