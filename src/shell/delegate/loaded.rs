//! A program that is ready to run: loading, resizing, running.

use super::host::{self, HostTensor, HostTensorMut};
use super::phases::Phases;
use super::ports::{check_ports, write_integer};
use crate::base::error::{Error, Result};
use crate::compile::load::{self, BlobData, Loaded, Planned};
use crate::core::constant::ConstantData;
use crate::core::constraints::Constraints;
use crate::core::graph::{Graph, InputShape};
use crate::core::memory::PlacedProgram;
use crate::core::options::{Options, Profile};
use crate::core::parse::parse;
use crate::core::program::{PortKind, Program};
use crate::shell::vk::{
    validation, Committed, Gpu, MemoryReport, Recording, Session, SessionOptions, Sharing, Timing,
    POISON,
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Sets of input sizes whose commands are kept, the latest used first.
const MAX_KEPT_SHAPES: usize = 16;

/// A program that is ready to run.
pub struct Delegate {
    /// What was loaded; see [`Delegate::keep_outputs`] for what is run.
    pub(super) loaded: Loaded,
    pub(super) options: Options,
    pub(super) gpu: Arc<Gpu>,
    pub(super) phases: Phases,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) session: Session,
    /// Leading outputs that are mutable buffers.
    pub(super) kept_outputs: usize,
    /// What was compiled, the current one first; never empty.
    pub(super) compiled: Vec<Compiled>,
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
    recording: Recording,
}

impl Compiled {
    fn program(&self) -> &Arc<Program> {
        &self.recording.placed().program
    }
}

/// The program as it is set up now, and what is known of its commands.
pub(super) struct Current {
    pub(super) program: Arc<Program>,
    /// Barriers between its dispatches.
    pub(super) barriers: usize,
    /// How long each dispatch took in the last run, where that is known.
    pub(super) times_ns: Vec<f64>,
}

impl Delegate {
    /// Plans `blob` for the largest input sizes and loads it onto the device that `options` ask for.
    /// `named` supplies constants that are not in the blob.
    pub fn create(blob: &[u8], options: &Options, named: &dyn ConstantData) -> Result<Self> {
        let mut phases = Phases::start();
        // Before the device: a wrong blob touches nothing of Vulkan.
        let graph = parse(blob)?;
        phases.end("parse_ms");
        let gpu = Gpu::open(options)?;
        phases.end("device_ms");
        if let Some(path) = &options.pipeline_cache {
            gpu.pipelines().load(path);
            phases.end("read_cache_ms");
        }
        let data = BlobData { blob, named };
        let loaded = Self::load(&gpu, graph, &data, options, phases);
        watched(&gpu, loaded)
    }

    fn load(
        gpu: &Arc<Gpu>,
        graph: Graph,
        data: &BlobData<'_>,
        options: &Options,
        mut phases: Phases,
    ) -> Result<Self> {
        let view = gpu.view();
        let constraints = Constraints::new(options, view.limits);
        let (loaded, planned) = load::plan_graph(graph, data, constraints, view.images)?;
        phases.end("compile_ms");
        let placed = PlacedProgram::new(planned.program, planned.plan);
        let session = session(gpu, &loaded, &placed, data, options)?;
        phases.end("memory_ms");
        phases.beside("pipelines_beside_ms", session.pipelines_ms());
        let mut state = State {
            session,
            kept_outputs: 0,
            compiled: Vec::new(),
            last_run: None,
        };
        state.add(planned.shapes, placed)?;
        phases.end("record_ms");
        // A run changes mutable buffers: then the first real one has to be the first.
        if options.warm_up && loaded.graph.states.is_empty() {
            state.warm_up()?;
            phases.end("warm_up_ms");
        }
        if let Some(path) = &options.pipeline_cache {
            gpu.pipelines().save(path);
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
            gpu: gpu.clone(),
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
        watched(&self.gpu, self.resize_locked(&mut state, shapes))
    }

    fn resize_locked(&self, state: &mut State, shapes: &[InputShape]) -> Result<()> {
        self.gpu.alive()?;
        if let Some(found) = state
            .compiled
            .iter()
            .position(|compiled| compiled.shapes == shapes)
        {
            state.compiled[..=found].rotate_right(1);
            return Ok(());
        }
        let planned = self
            .loaded
            .at(shapes, state.kept_outputs, self.gpu.images())?;
        state.add_planned(planned)
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
            compiled,
            last_run,
            ..
        } = &mut *state;
        let compiled = compiled.first_mut();
        let compiled = compiled.ok_or_else(|| Error::internal("nothing is compiled"))?;
        check_ports(compiled.program(), inputs, outputs)?;
        let begun = Instant::now();
        self.store_inputs(session, compiled, inputs)?;
        let stored = Instant::now();
        if self.options.poison {
            watched(&self.gpu, session.fill(POISON))?;
        }
        let started = Instant::now();
        watched(&self.gpu, session.run(&mut compiled.recording))?;
        let ran = Instant::now();
        self.load_outputs(session, compiled, outputs)?;
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
        *last_run = Some(RunParts {
            inputs_ms: ms(begun, stored),
            device_ms: ms(started, ran),
            outputs_ms: ms(ran, Instant::now()),
        });
        Ok(())
    }

    fn store_inputs(
        &self,
        session: &mut Session,
        compiled: &Compiled,
        inputs: &[HostTensor<'_>],
    ) -> Result<()> {
        for (tensor, port) in inputs.iter().zip(&compiled.program().inputs) {
            if let PortKind::Tensor(buffer) = port.kind {
                let staging = session.input_mut(&compiled.recording, buffer)?;
                host::store(self.gpu.workers(), tensor, port.element, staging)?;
            }
        }
        Ok(())
    }

    fn load_outputs(
        &self,
        session: &Session,
        compiled: &Compiled,
        outputs: &mut [HostTensorMut<'_>],
    ) -> Result<()> {
        for (tensor, port) in outputs.iter_mut().zip(&compiled.program().outputs) {
            match port.kind {
                PortKind::Tensor(buffer) => {
                    let staging = session.output(&compiled.recording, buffer)?;
                    host::load(self.gpu.workers(), staging, port.element, tensor)?;
                }
                PortKind::EmptyTensor => {}
                PortKind::Integer(n) => write_integer(tensor, n)?,
            }
        }
        Ok(())
    }

    /// The program as it is set up now: ports, convolutions, dispatches.
    pub fn program(&self) -> Result<Arc<Program>> {
        Ok(self.lock()?.current()?.program().clone())
    }

    pub(super) fn current(&self) -> Result<Current> {
        let state = self.lock()?;
        let compiled = state.current()?;
        Ok(Current {
            program: compiled.program().clone(),
            barriers: compiled.recording.barriers(),
            times_ns: watched(&self.gpu, compiled.recording.times_ns())?,
        })
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
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}

impl State {
    /// Runs once with zeros: whatever drivers do at the first submission is done.
    fn warm_up(&mut self) -> Result<()> {
        let compiled = self.compiled.first_mut();
        let compiled = compiled.ok_or_else(|| Error::internal("nothing is compiled"))?;
        self.session.clear_inputs()?;
        self.session.run(&mut compiled.recording)
    }

    pub(super) fn current(&self) -> Result<&Compiled> {
        let current = self.compiled.first();
        current.ok_or_else(|| Error::internal("nothing is compiled"))
    }

    /// Records `planned` and makes it the current one. On failure nothing changes.
    pub(super) fn add_planned(&mut self, planned: Planned) -> Result<()> {
        let placed = PlacedProgram::new(planned.program, planned.plan);
        self.add(planned.shapes, placed)
    }

    fn add(&mut self, shapes: Vec<InputShape>, placed: Arc<PlacedProgram>) -> Result<()> {
        let prepared = self.session.prepare(placed)?;
        let (recording, committed) = self.session.commit(prepared);
        if committed == Committed::Moved {
            self.compiled.clear();
        }
        self.compiled.truncate(MAX_KEPT_SHAPES - 1);
        self.compiled.insert(0, Compiled { shapes, recording });
        Ok(())
    }
}

/// Under validation, a message of the layer turns any result into a failure.
pub(super) fn watched<T>(gpu: &Gpu, result: Result<T>) -> Result<T> {
    if gpu.validated() {
        validation::check()?;
    }
    result
}

/// The session of a program that was planned on `gpu`, without commands yet.
fn session(
    gpu: &Arc<Gpu>,
    loaded: &Loaded,
    placed: &PlacedProgram,
    data: &BlobData<'_>,
    options: &Options,
) -> Result<Session> {
    let budget = &loaded.constraints.budget;
    let session_options = SessionOptions {
        sharing: match options.share_workspace {
            true => Sharing::Budget(budget.bytes()),
            false => Sharing::Alone,
        },
        memory_limit_bytes: options.memory_limit_bytes,
        timeout: Duration::from_millis(options.timeout_ms),
        timing: match options.profile {
            Profile::Off => Timing::Off,
            Profile::Dispatches => Timing::On,
            Profile::Spans => Timing::Spans,
        },
    };
    let session = Session::create(gpu, placed, session_options, &|upload, read| {
        let source = usize::try_from(upload.constant.0).ok();
        let source = source.and_then(|constant| loaded.graph.constants.get(constant));
        data.with_bytes(
            source.ok_or_else(|| Error::internal("no such constant"))?,
            read,
        )
    })?;
    budget.check(session.memory_report().workspace_bytes)?;
    Ok(session)
}
