//! The kernels of other kinds of devices, run on this one: only the planner's view of it differs.

use super::case::Case;
use super::{conv, plain, sizes};
use crate::blob::{Conv, GraphBuilder};
use crate::reference::Array;
use etvk::base::error::{Error, ErrorKind, Result};
use etvk::compile::load::{plan_graph, Planned};
use etvk::core::constant::ConstantData;
use etvk::core::constraints::Constraints;
use etvk::core::device::DeviceClass;
use etvk::core::graph::ConstantSource;
use etvk::core::memory::PlacedProgram;
use etvk::core::options::{ConvChoice, Options};
use etvk::core::program::{PortKind, Program, Upload};
use etvk::core::tensor::DType;
use etvk::shell::vk::{validation, Gpu, Session, SessionOptions, Timing, POISON};
use std::sync::Arc;

/// Constants that lie in the blob's data, which the parser places; here the graph is not parsed.
pub(super) struct Inline<'a>(pub(super) &'a [u8]);

impl ConstantData for Inline<'_> {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match *source {
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => read(&self.0[offset_bytes..][..size_bytes]),
            _ => Err(Error::blob("only inline constants here")),
        }
    }
}

pub(crate) fn device() -> Option<Arc<Gpu>> {
    match Gpu::open(&Options::from_environment(&[]).expect("good options")) {
        Ok(device) => Some(device),
        Err(e) if e.kind == ErrorKind::NoDevice => {
            println!("SKIPPED, no device: {e}");
            None
        }
        Err(e) => panic!("a device that does not start: {e}"),
    }
}

pub(crate) fn run_as(
    device: &Arc<Gpu>,
    class: DeviceClass,
    conv_algorithm: Option<ConvChoice>,
    graph: &GraphBuilder,
    input: &Array,
) -> Result<(Array, Program)> {
    let mut limits = device.limits().clone();
    limits.class = class;
    let options = Options {
        conv_algorithm,
        ..Options::default()
    };
    let constraints = Constraints::new(&options, &limits);
    let data = Inline(&graph.data);
    let planned = plan_graph(graph.graph.clone(), &data, constraints, device.images())?;
    let (loaded, Planned { program, plan, .. }) = planned;
    let bytes_of = |upload: &Upload, read: &mut dyn FnMut(&[u8]) -> Result<()>| {
        let source = &loaded.graph.constants[upload.constant.0 as usize];
        data.with_bytes(source, read)
    };
    let placed = PlacedProgram::new(program, plan);
    let program = &placed.program;
    let options = SessionOptions {
        timing: Timing::On,
        ..SessionOptions::default()
    };
    let mut session = Session::create(device, &placed, options, &bytes_of)?;
    let (mut recording, _) = session.commit(session.prepare(placed.clone())?);
    let (PortKind::Tensor(from), PortKind::Tensor(to)) =
        (program.inputs[0].kind, program.outputs[0].kind)
    else {
        panic!("tensors expected");
    };
    let bytes = input.bytes();
    session.input_mut(&recording, from)?[..bytes.len()].copy_from_slice(&bytes);
    session.fill(POISON)?;
    session.run(&mut recording)?;
    validation::check()?;
    // Empty on queues without timestamps.
    let times_ns = recording.times_ns().expect("times");
    assert!(
        times_ns.is_empty() || times_ns.len() == program.dispatches.len(),
        "{times_ns:?}"
    );
    assert!(
        times_ns.iter().all(|&ns| (0.0..1e12).contains(&ns)),
        "{times_ns:?}"
    );
    let dims = &program.outputs[0].dims;
    let size = dims.iter().map(|&d| d as usize).product::<usize>() * 4;
    let got = Array::from_bytes(DType::F32, dims, &session.output(&recording, to)?[..size]);
    Ok((got, Program::clone(program)))
}

/// Shared-memory tiles, at their edges, give the reference and the register kernel's bits.
#[test]
fn tiled_gemm() {
    let Some(device) = device() else { return };
    let padded = |groups| conv([1, 1], [1, 1], [1, 1], groups);
    let line = |w, c_out| sizes([1, 8, 1, w], c_out, [1, 3], conv([1, 1], [0, 1], [1, 1], 1));
    let clamped = Conv {
        clamp: Some([-0.5, 0.5]),
        ..padded(1)
    };
    let mut cases: Vec<Case> = vec![
        sizes([1, 9, 9, 11], 10, [3, 3], padded(1)),
        sizes([1, 3, 12, 11], 64, [3, 3], padded(1)),
        sizes([2, 15, 7, 8], 21, [3, 3], padded(3)),
        sizes([1, 15, 7, 8], 21, [1, 1], plain(3)),
        sizes([1, 17, 9, 8], 70, [1, 1], plain(1)),
        sizes([1, 8, 6, 7], 33, [3, 3], clamped),
    ];
    // Enough workgroups for the large tiles: 128 rows by 64 or 32 columns.
    cases.extend([sizes([1, 4, 91, 91], 65, [1, 1], plain(1))]);
    cases.extend([sizes([1, 5, 129, 128], 30, [1, 1], plain(1))]);
    for (w, c_out) in [(16, 4), (31, 63), (32, 64), (33, 65), (127, 8), (129, 17)] {
        cases.push(line(w, c_out));
    }
    for case in cases {
        let operands = case.operands();
        let (graph, inputs) = case.graph(&operands);
        let run = |class| {
            run_as(&device, class, Some(ConvChoice::Im2col), &graph, &inputs[0])
                .unwrap_or_else(|e| panic!("{case:?}: {e}"))
        };
        let (tiled, program) = run(DeviceClass::Discrete);
        let uses = |program: &Program, name: &str| {
            let mut names = program.dispatches.iter().map(|d| d.shader.info().name);
            names.any(|n| n.starts_with(name))
        };
        assert!(uses(&program, "gemm_tiled"), "{case:?}");
        case.compare("tiled", &tiled, &case.reference(&operands));
        let (register, program) = run(DeviceClass::Cpu);
        assert!(uses(&program, "gemm_register"), "{case:?}");
        assert!(tiled == register, "kernels differ in bits: {case:?}");
    }
}

/// Depthwise kernels of a fixed size, at the edges of their strips.
#[test]
fn unrolled_depthwise() {
    let Some(device) = device() else { return };
    for (kernel, stride) in [
        (3, [1, 1]),
        (3, [2, 2]),
        (5, [1, 1]),
        (5, [2, 1]),
        (3, [1, 2]),
    ] {
        for (h, w, c, padding) in [
            (7, 7, 6, 1),
            (5, 13, 4, 0),
            (1, 1, 9, 2),
            (9, 8, 5, 2),
            (6, 23, 3, 4),
        ] {
            let geometry = conv(stride, [padding; 2], [1, 1], c);
            if h + 2 * padding < kernel || w + 2 * padding < kernel {
                continue;
            }
            let case = sizes([2, c, h, w], c, [kernel; 2], geometry);
            let operands = case.operands();
            let (graph, inputs) = case.graph(&operands);
            let (got, program) = run_as(&device, DeviceClass::Discrete, None, &graph, &inputs[0])
                .unwrap_or_else(|e| panic!("{case:?}: {e}"));
            let mut dispatches = program.dispatches.iter();
            let name = "conv2d_depthwise_f32";
            assert!(dispatches.any(|d| d.shader.info().name == name), "{case:?}");
            case.compare("unrolled", &got, &case.reference(&operands));
        }
    }
}
