//! A program that is ready to run: loading, resizing, running.

use super::host::{self, HostTensor, HostTensorMut};
use super::phases::Phases;
use super::ports::{check_count, check_input, check_output, write_integer};
use crate::base::error::{Error, Result};
use crate::compile::load::{self, BlobData, Loaded, Planned};
use crate::core::constant::ConstantData;
use crate::core::constraints::Constraints;
use crate::core::graph::{Graph, InputShape};
use crate::core::memory::MemoryPlan;
use crate::core::options::{Options, Profile};
use crate::core::parse::parse;
use crate::core::program::{PortKind, Program};
use crate::shell::vk::{
    validation, Device, MemoryReport, Recording, Reserved, Session, Sharing, Terms, Timing, POISON,
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// Sets of input sizes whose commands are kept, the latest used first.
const MAX_KEPT_SHAPES: usize = 16;

/// A program that is ready to run.
pub struct Delegate {
    /// What was loaded; see [`Delegate::keep_outputs`] for what is run.
    pub(super) loaded: Loaded,
    pub(super) options: Options,
    pub(super) device: Arc<Device>,
    pub(super) phases: Phases,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) session: Session,
    /// Leading outputs that are mutable buffers.
    pub(super) kept_outputs: usize,
    /// What was compiled, the current one first; never empty.
    pub(super) kept: Vec<Compiled>,
    /// The parts of the last run that went well.
    last_run: Option<RunParts>,
}

/// How long the host took in a run, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunParts {
    /// From the host's tensors to staging.
    pub(super) inputs_ms: f64,
    /// Submission, and waiting for the device.
    pub(super) device_ms: f64,
    /// From staging to the host's tensors.
    pub(super) outputs_ms: f64,
}

pub(super) struct Compiled {
    pub(super) shapes: Vec<InputShape>,
    program: Arc<Program>,
    plan: MemoryPlan,
    recording: Recording,
}

impl Delegate {
    /// Plans `blob` for the largest input sizes and loads it onto the device that `options` ask for.
    /// `named` supplies constants that are not in the blob.
    pub fn create(blob: &[u8], options: &Options, named: &dyn ConstantData) -> Result<Self> {
        let mut phases = Phases::start();
        // Before the device: a wrong blob touches nothing of Vulkan.
        let graph = parse(blob)?;
        phases.end("parse_ms");
        let device = Device::open(options)?;
        phases.end("device_ms");
        if let Some(path) = &options.pipeline_cache {
            device.load_pipelines(path);
            phases.end("read_cache_ms");
        }
        let data = BlobData { blob, named };
        let loaded = Self::load(&device, graph, &data, options, phases);
        watched(&device, loaded)
    }

    fn load(
        device: &Arc<Device>,
        graph: Graph,
        data: &BlobData<'_>,
        options: &Options,
        mut phases: Phases,
    ) -> Result<Self> {
        let constraints = Constraints::new(options, device.limits());
        let (loaded, planned) = load::plan_graph(graph, data, constraints, device.images())?;
        phases.end("compile_ms");
        let session = session(device, &loaded, &planned, data, options)?;
        phases.end("memory_ms");
        phases.beside("pipelines_beside_ms", session.pipelines_ms());
        let mut state = State {
            session,
            kept_outputs: 0,
            kept: Vec::new(),
            last_run: None,
        };
        state.add(planned)?;
        phases.end("record_ms");
        // A run changes mutable buffers: then the first real one has to be the first.
        if options.warm_up && loaded.graph.states.is_empty() {
            state.warm_up()?;
            phases.end("warm_up_ms");
        }
        if let Some(path) = &options.pipeline_cache {
            device.save_pipelines(path);
            phases.end("write_cache_ms");
        }
        log::info!(
            "loaded {} nodes, {:?}",
            loaded.graph.nodes.len(),
            state.session.memory_report()
        );
        Ok(Self {
            loaded,
            options: options.clone(),
            device: device.clone(),
            phases,
            state: Mutex::new(state),
        })
    }

    pub(super) fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state
            .lock()
            .map_err(|_| Error::internal("an earlier call on this delegate panicked"))
    }

    /// Sets all input sizes. On failure nothing changes.
    pub fn resize(&self, shapes: &[InputShape]) -> Result<()> {
        let mut state = self.lock()?;
        watched(&self.device, self.resize_locked(&mut state, shapes))
    }

    fn resize_locked(&self, state: &mut State, shapes: &[InputShape]) -> Result<()> {
        self.device.alive()?;
        if let Some(found) = state
            .kept
            .iter()
            .position(|compiled| compiled.shapes == shapes)
        {
            state.kept[..=found].rotate_right(1);
            return Ok(());
        }
        let planned = self
            .loaded
            .at(shapes, state.kept_outputs, self.device.images())?;
        state.add(planned)
    }

    /// Runs once with `inputs` and waits. Outputs are written only when everything went well.
    pub fn execute(
        &self,
        inputs: &[HostTensor<'_>],
        outputs: &mut [HostTensorMut<'_>],
    ) -> Result<()> {
        let mut state = self.lock()?;
        let State {
            session,
            kept,
            last_run,
            ..
        } = &mut *state;
        let Some(Compiled {
            program,
            plan,
            recording,
            ..
        }) = kept.first_mut()
        else {
            return Err(Error::internal("nothing is compiled"));
        };
        check_count("inputs", inputs.len(), program.inputs.len())?;
        check_count("outputs", outputs.len(), program.outputs.len())?;
        for (i, (tensor, port)) in inputs.iter().zip(&program.inputs).enumerate() {
            check_input(tensor, port).map_err(|e| e.context(format!("input {i}")))?;
        }
        for (i, (tensor, port)) in outputs.iter().zip(&program.outputs).enumerate() {
            check_output(tensor, port).map_err(|e| e.context(format!("output {i}")))?;
        }
        let begun = Instant::now();
        for (tensor, port) in inputs.iter().zip(&program.inputs) {
            if let PortKind::Tensor(buffer) = port.kind {
                host::store(
                    self.device.workers(),
                    tensor,
                    port.element,
                    session.input_mut(program, plan, buffer)?,
                )?;
            }
        }
        if self.options.poison {
            watched(&self.device, session.fill(POISON))?;
        }
        let stored = Instant::now();
        watched(&self.device, session.run(program, plan, recording))?;
        let ran = Instant::now();
        for (tensor, port) in outputs.iter_mut().zip(&program.outputs) {
            match port.kind {
                PortKind::Tensor(buffer) => {
                    let staging = session.output(program, plan, buffer)?;
                    host::load(self.device.workers(), staging, port.element, tensor)?;
                }
                PortKind::EmptyTensor => {}
                PortKind::Integer(n) => write_integer(tensor, n)?,
            }
        }
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
        *last_run = Some(RunParts {
            inputs_ms: ms(begun, stored),
            device_ms: ms(stored, ran),
            outputs_ms: ms(ran, Instant::now()),
        });
        Ok(())
    }

    /// The program as it is set up now: ports, convolutions, dispatches.
    pub fn program(&self) -> Result<Arc<Program>> {
        Ok(self.lock()?.current()?.program.clone())
    }

    /// The current program, the number of barriers between its dispatches, and how long each
    /// dispatch took in the last run where that is known.
    pub(super) fn current(&self) -> Result<(Arc<Program>, usize, Vec<f64>)> {
        let state = self.lock()?;
        let Compiled {
            program, recording, ..
        } = state.current()?;
        let times = watched(&self.device, recording.times_ns())?;
        Ok((program.clone(), recording.barriers(), times))
    }

    pub(super) fn last_run(&self) -> Result<Option<RunParts>> {
        Ok(self.lock()?.last_run)
    }

    /// What the driver allocated for this delegate.
    pub fn memory(&self) -> Result<MemoryReport> {
        Ok(self.lock()?.session.memory_report())
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl State {
    /// Runs once with zeros: whatever drivers do at the first submission is done.
    fn warm_up(&mut self) -> Result<()> {
        let Some(Compiled {
            program,
            plan,
            recording,
            ..
        }) = self.kept.first_mut()
        else {
            return Err(Error::internal("nothing is compiled"));
        };
        self.session.clear_inputs()?;
        self.session.run(program, plan, recording)
    }

    pub(super) fn current(&self) -> Result<&Compiled> {
        let current = self.kept.first();
        current.ok_or_else(|| Error::internal("nothing is compiled"))
    }

    /// Records `planned` and makes it the current one. On failure nothing changes.
    pub(super) fn add(&mut self, planned: Planned) -> Result<()> {
        let Planned {
            shapes,
            program,
            plan,
        } = planned;
        let prepared = self.session.prepare(&program, &plan)?;
        let (recording, reserved) = self.session.commit(prepared);
        if reserved == Reserved::Moved {
            self.kept.clear();
        }
        self.kept.truncate(MAX_KEPT_SHAPES - 1);
        self.kept.insert(
            0,
            Compiled {
                shapes,
                program: Arc::new(program),
                plan,
                recording,
            },
        );
        Ok(())
    }
}

/// Under validation, a message of the layer turns any result into a failure.
pub(super) fn watched<T>(device: &Device, result: Result<T>) -> Result<T> {
    if device.validated() {
        validation::check()?;
    }
    result
}

/// The session of a program that was planned on `device`, without commands yet.
fn session(
    device: &Arc<Device>,
    loaded: &Loaded,
    planned: &Planned,
    data: &BlobData<'_>,
    options: &Options,
) -> Result<Session> {
    let budget = &loaded.constraints.budget;
    let terms = Terms {
        sharing: match options.share_workspace {
            true => Sharing::Budget(budget.bytes()),
            false => Sharing::Alone,
        },
        memory_limit_bytes: options.memory_limit_bytes,
    };
    let mut session = Session::create(
        device,
        (&planned.program, &planned.plan),
        terms,
        &|upload, read| {
            let source = usize::try_from(upload.constant.0).ok();
            let source = source.and_then(|constant| loaded.graph.constants.get(constant));
            data.with_bytes(
                source.ok_or_else(|| Error::internal("no such constant"))?,
                read,
            )
        },
    )?;
    budget.check(session.memory_report().workspace_bytes)?;
    session.set_timing(match options.profile {
        Profile::Off => Timing::Off,
        Profile::Dispatches => Timing::On,
        Profile::Spans => Timing::Spans,
    });
    Ok(session)
}
