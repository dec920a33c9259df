//! The shell on a real device, with programs made by hand.

use super::*;
use crate::base::error::Result;
use crate::core::constant::Pack;
use crate::core::graph::{ConstantId, ValueId};
use crate::core::kernels::lib::{Narrow, Window};
use crate::core::kernels::{copy, Words};
use crate::core::memory::{plan_memory, MemoryPlan};
use crate::core::options::Options;
use crate::core::program::{
    Access, Binding, BufferDesc, BufferId, BufferKind, Dispatch, Port, PortKind, Program, Upload,
};
use crate::core::tensor::{DType, Element};
use std::sync::Arc;

/// A device, unless the machine has none.
fn device(test: &str, given: &[(&str, &str)]) -> Option<Arc<Device>> {
    let options = Options::from_environment(given).expect("options");
    match Device::open(&options) {
        Ok(device) => Some(device),
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

struct Loaded {
    session: Session,
    recording: Recording,
    program: Program,
    plan: MemoryPlan,
}

fn load(device: &Arc<Device>, access: Access) -> Result<Loaded> {
    let program = program(access);
    let plan = plan_memory(&program, device.limits())?;
    let mut session = Session::create(device, (&program, &plan), Sharing::Alone, &halves)?;
    let prepared = session.prepare(&program, &plan)?;
    let (recording, reserved) = session.commit(prepared);
    assert_eq!(reserved, Reserved::Unchanged);
    Ok(Loaded {
        session,
        recording,
        program,
        plan,
    })
}

#[test]
fn a_recording_is_submitted_again_with_new_inputs() {
    let Some(device) = device("a_recording_is_submitted_again_with_new_inputs", &[]) else {
        return;
    };
    let Loaded {
        mut session,
        mut recording,
        program,
        plan,
    } = load(&device, Access::Write).expect("load");
    assert_eq!(
        recording.barriers(),
        1,
        "only the last copy reads what another wrote"
    );
    for round in 0..4u8 {
        let input = floats(f32::from(round));
        session
            .input_mut(&program, &plan, BufferId(0))
            .expect("staging")
            .copy_from_slice(&input);
        session.run(&program, &plan, &mut recording).expect("run");
        assert_eq!(
            session
                .output(&program, &plan, BufferId(2))
                .expect("staging"),
            input
        );
        assert_eq!(
            session
                .output(&program, &plan, BufferId(4))
                .expect("staging"),
            floats(0.5)
        );
    }
    let report = session.memory_report();
    let slack = 5 * device.limits().allocation_granularity_bytes;
    let planned = plan.arena_bytes + plan.constant_bytes + plan.input_bytes + plan.output_bytes;
    assert!(
        (planned..=planned + slack).contains(&report.total_bytes()),
        "{report:?} {plan:?}"
    );
    assert_eq!((report.allocations, report.workspace_bytes), (4, 0));
    if device.validated() {
        validation::check().expect("silence");
    }
}

#[test]
fn what_no_kernel_writes_shows_the_pattern() {
    let Some(device) = device("what_no_kernel_writes_shows_the_pattern", &[]) else {
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
        let whole = program.clone();
        program.dispatches.remove(missing);
        let plan = plan_memory(&program, device.limits()).expect("plan");
        let mut session =
            Session::create(&device, (&program, &plan), Sharing::Alone, &halves).expect("memory");
        let mut run = |program: &Program| {
            let prepared = session.prepare(program, &plan).expect("recorded");
            let (mut recording, _) = session.commit(prepared);
            let input = session.input_mut(program, &plan, BufferId(0));
            input.expect("staging").copy_from_slice(&floats(7.0));
            session.fill(POISON).expect("filled");
            session.run(program, &plan, &mut recording).expect("run");
            let output = |id| {
                session
                    .output(program, &plan, BufferId(id))
                    .expect("staging")
                    .to_vec()
            };
            assert_eq!(output(4), floats(0.5), "constants stay");
            output(2)
        };
        assert_eq!(run(&whole), floats(7.0), "what is written is right");
        assert_eq!(run(&program), pattern, "{kind:?}, without copy {missing}");
    }
    if device.validated() {
        validation::check().expect("silence");
    }
}

#[test]
fn larger_plans_move_memory_and_unknown_constants_are_refused() {
    let Some(device) = device("larger_plans_move_memory", &[]) else {
        return;
    };
    let Loaded {
        mut session,
        program,
        ..
    } = load(&device, Access::Write).expect("load");
    let mut larger = program.clone();
    larger.buffers[1].size_bytes *= 100;
    let plan = plan_memory(&larger, device.limits()).expect("plan");
    let prepared = session.prepare(&larger, &plan).expect("room is made");
    let (mut recording, reserved) = session.commit(prepared);
    assert_eq!(reserved, Reserved::Moved);
    session
        .input_mut(&larger, &plan, BufferId(0))
        .expect("staging")
        .fill(0);
    session.run(&larger, &plan, &mut recording).expect("run");
    assert_eq!(
        session
            .output(&larger, &plan, BufferId(4))
            .expect("staging"),
        floats(0.5)
    );

    let mut other = program.clone();
    other.uploads[0].pack.offset = -1;
    let plan = plan_memory(&other, device.limits()).expect("plan");
    let error = session
        .prepare(&other, &plan)
        .err()
        .expect("never uploaded");
    assert_eq!(error.kind, ErrorKind::Internal);
    let mut workspace = program;
    workspace.buffers[1].kind = BufferKind::Workspace;
    let plan = plan_memory(&workspace, device.limits()).expect("plan");
    let error = session
        .prepare(&workspace, &plan)
        .err()
        .expect("over the budget");
    assert!(error.message.contains("workspace"), "{error}");
}

#[test]
fn a_dispatch_that_vulkan_would_leave_undefined_is_refused() {
    let Some(device) = device(
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
    let loaded = load(&device, Access::Write).expect("load");
    for (change, names) in changes {
        let mut program = program(Access::Write);
        change(&mut program.dispatches[1]);
        let plan = plan_memory(&program, device.limits()).expect("plan");
        let created = Session::create(&device, (&program, &plan), Sharing::Alone, &halves);
        let prepared = loaded.session.prepare(&program, &plan);
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
    let Some(device) = device("memory_that_cannot_be_had_is_out_of_memory", &[]) else {
        return;
    };
    let mut program = program(Access::Write);
    program.buffers[1].size_bytes = 1 << 60;
    let mut plan = plan_memory(&self::program(Access::Write), device.limits()).expect("plan");
    plan.arena_bytes = 1 << 60;
    let made = Session::create(&device, (&program, &plan), Sharing::Alone, &halves);
    let error = made.err().expect("an exbibyte");
    assert_eq!(error.kind, ErrorKind::OutOfMemory, "{error}");
    assert!(error.message.contains("etvk arena"), "{error}");
    load(&device, Access::Write).expect("the next one works");
}

#[test]
fn a_lost_device_stays_lost_and_is_not_handed_out_again() {
    in_child("child_loses_its_device");
}

#[test]
#[ignore = "run by a_lost_device_stays_lost_and_is_not_handed_out_again: tests share the device"]
fn child_loses_its_device() {
    let Some(first) = device("child_loses_its_device", &[]) else {
        return;
    };
    let Loaded {
        mut session,
        mut recording,
        program,
        plan,
    } = load(&first, Access::Write).expect("load");
    let lost = first.check::<()>("vkQueueSubmit", Err(ash::vk::Result::ERROR_DEVICE_LOST));
    assert_eq!(lost.expect_err("lost").kind, ErrorKind::DeviceLost);
    for error in [
        session.run(&program, &plan, &mut recording).err(),
        session.prepare(&program, &plan).err(),
        load(&first, Access::Write).err(),
    ] {
        assert_eq!(error.expect("lost").kind, ErrorKind::DeviceLost);
    }
    let second = device("child_loses_its_device", &[]).expect("a new one");
    assert!(!Arc::ptr_eq(&first, &second));
    drop((session, recording, first));
    load(&second, Access::Write).expect("the new one works");
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

#[test]
fn delegates_share_one_device_and_the_last_frees_it() {
    in_child("child_shares_and_frees_the_device");
}

#[test]
#[ignore = "run by delegates_share_one_device_and_the_last_frees_it: no other test may hold the device"]
fn child_shares_and_frees_the_device() {
    let Some(first) = device("child_shares_and_frees_the_device", &[]) else {
        return;
    };
    let second = device("child_shares_and_frees_the_device", &[]).expect("the same");
    assert!(Arc::ptr_eq(&first, &second));
    drop(second);
    assert_eq!(Arc::strong_count(&first), 1);
    let weak = Arc::downgrade(&first);
    drop(load(&first, Access::Write).expect("load"));
    assert_eq!(
        Arc::strong_count(&first),
        1,
        "something still holds the device"
    );
    drop(first);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn a_message_of_the_validation_layer_is_an_error() {
    in_child("child_trips_validation");
}

#[test]
#[ignore = "run by a_message_of_the_validation_layer_is_an_error: messages are process-wide"]
fn child_trips_validation() {
    let options = Options::from_environment(&[("validation", "1")]).expect("options");
    let device = match Device::open(&options) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED child_trips_validation: {error}");
            return;
        }
    };
    load(&device, Access::Write).expect("load");
    validation::check().expect("a good program is silent");
    assert_eq!(validation::message_count(), 0);

    // A copy that hides its write gets no barrier: synchronization validation must see it.
    load(&device, Access::Read).expect("load");
    let error = validation::check().expect_err("a missing barrier");
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("SYNC-HAZARD"), "{error}");
    validation::check().expect("each message is reported once");

    // A buffer without size: core validation must see it.
    let count = validation::message_count();
    // SAFETY: wrong on purpose; the layer reports it, the driver makes a buffer or an error of it.
    unsafe {
        if let Ok(buffer) = device.handle.create_buffer(&memory::buffer_info(0), None) {
            device.handle.destroy_buffer(buffer, None);
        }
    }
    assert!(validation::check()
        .expect_err("a wrong size")
        .message
        .contains("VUID"));
    assert!(validation::message_count() > count);

    // An object that outlives its device.
    // SAFETY: leaked on purpose.
    let leaked = unsafe { device.handle.create_fence(&Default::default(), None) };
    assert!(leaked.is_ok());
    drop(device);
    assert!(validation::check()
        .expect_err("a leak")
        .message
        .contains("has not been destroyed"));
}
