//! One loaded program on one device: the pure core and the GPU shell joined. Safe Rust.

pub mod host;
mod kept;
mod phases;
mod ports;
pub mod profile;
mod report;

use crate::compile::{bound_shapes, compile, InputShape};
use crate::constant::ConstantData;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{ConstantSource, Graph};
use crate::memory::{plan_memory, plan_memory_within, MemoryPlan};
use crate::options::{Options, Profile};
use crate::parse::parse;
use crate::passes;
use crate::program::{PortKind, Program};
use crate::state;
use crate::tensor::DeviceLimits;
use crate::vk::{
    validation, Device, MemoryReport, Recording, Reserved, Session, Sharing, Terms, Timing,
};
use host::{HostTensor, HostTensorMut};
use phases::Phases;
use ports::{check_count, check_input, check_output, write_integer};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// Sets of input sizes whose commands are kept, the latest used first.
const MAX_KEPT_SHAPES: usize = 16;

/// A program that is ready to run.
pub struct Delegate {
    /// What was loaded; see [`Delegate::keep_outputs`] for what is run.
    graph: Graph,
    options: Options,
    /// Budget for other input sizes: the workspace as it was allocated at load never grows.
    resized: Options,
    /// The places for the largest input sizes, which memory was reserved for.
    bound: MemoryPlan,
    device: Arc<Device>,
    /// The device as the options let programs use it.
    limits: DeviceLimits,
    phases: Phases,
    state: Mutex<State>,
}

struct State {
    session: Session,
    /// Leading outputs that are mutable buffers.
    kept_outputs: usize,
    /// What was compiled, the current one first; never empty.
    kept: Vec<Compiled>,
    /// The parts of the last run that went well.
    last_run: Option<RunParts>,
}

/// How long the host took in a run, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct RunParts {
    /// From the host's tensors to staging.
    inputs_ms: f64,
    /// Submission, and waiting for the device.
    device_ms: f64,
    /// From staging to the host's tensors.
    outputs_ms: f64,
}

struct Compiled {
    shapes: Vec<InputShape>,
    program: Arc<Program>,
    plan: MemoryPlan,
    recording: Recording,
}

/// Constants of a blob: inline ones from its bytes, named ones from the host.
struct BlobData<'a> {
    blob: &'a [u8],
    named: &'a dyn ConstantData,
}

impl ConstantData for BlobData<'_> {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match source {
            ConstantSource::Empty => read(&[]),
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => {
                let bytes = offset_bytes
                    .checked_add(*size_bytes)
                    .and_then(|end| self.blob.get(*offset_bytes..end))
                    .ok_or_else(|| {
                        Error::blob(format!(
                            "a constant of {size_bytes} bytes at {offset_bytes} lies outside"
                        ))
                    })?;
                read(bytes)
            }
            ConstantSource::Named { key, size_bytes } => {
                self.named.with_bytes(source, &mut |bytes| {
                    let has = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if has < *size_bytes {
                        return Err(Error::new(
                            ErrorKind::MissingData,
                            format!("{key:?} has {has} bytes, the program says {size_bytes}"),
                        ));
                    }
                    read(bytes)
                })
            }
        }
    }
}

impl Delegate {
    /// Parses `blob`, compiles it for the largest input sizes, and loads it onto the device.
    /// `named` supplies constants that are not in the blob.
    pub fn create(blob: &[u8], options: &Options, named: &dyn ConstantData) -> Result<Self> {
        Self::load(parse(blob)?, options, &BlobData { blob, named })
    }

    /// [`Delegate::create`] for a graph that is already there.
    pub fn load(graph: Graph, options: &Options, data: &dyn ConstantData) -> Result<Self> {
        let mut phases = Phases::start();
        let graph = state::separate(graph)?;
        let passed = |graph| match options.graph_passes {
            true => passes::run(graph, data),
            false => Ok(graph),
        };
        let offered = state::offer(&graph).and_then(|graph| passed(graph).ok());
        let graph = passed(graph)?;
        phases.end("passes_ms");
        let device = Device::open(options)?;
        phases.end("device_ms");
        if let Some(path) = &options.pipeline_cache {
            device.load_pipelines(path);
            phases.end("read_cache_ms");
        }
        let loaded = Self::load_on(&device, (offered, graph), options, data, phases);
        watched(&device, loaded)
    }

    /// Loads `offered` where there is one that compiles, else `graph`.
    fn load_on(
        device: &Arc<Device>,
        (offered, graph): (Option<Graph>, Graph),
        options: &Options,
        data: &dyn ConstantData,
        mut phases: Phases,
    ) -> Result<Self> {
        // The driver rounds allocations up; the budget is on what is allocated.
        let granularity = device.allocation_granularity_bytes();
        let workspace_bytes = options.workspace_bytes / granularity * granularity;
        let rounded = Options {
            workspace_bytes,
            ..options.clone()
        };
        let limits = options.restrict(&device.limits_with_images());
        let compiled = |graph: Graph| {
            let shapes = bound_shapes(&graph)?;
            let program = compile(&graph, &shapes, &limits, &rounded)?;
            Ok((graph, shapes, program))
        };
        let compiled = match offered.map(compiled) {
            Some(Ok(offered)) => Ok(offered),
            _ => compiled(graph),
        };
        let (graph, shapes, program) = asked(&limits, compiled)?;
        let plan = plan_memory(&program, &limits)?;
        check_budget(plan.workspace_bytes, options)?;
        phases.end("compile_ms");
        let sharing = match options.share_workspace {
            true => Sharing::Budget(workspace_bytes),
            false => Sharing::Alone,
        };
        let terms = Terms {
            sharing,
            memory_limit_bytes: options.memory_limit_bytes,
        };
        let mut session = Session::create(device, (&program, &plan), terms, &|upload, read| {
            let source = usize::try_from(upload.constant.0).ok();
            let source = source.and_then(|constant| graph.constants.get(constant));
            data.with_bytes(
                source.ok_or_else(|| Error::internal("no such constant"))?,
                read,
            )
        })?;
        check_budget(session.memory_report().workspace_bytes, options)?;
        phases.end("memory_ms");
        phases.beside("pipelines_beside_ms", session.pipelines_ms());
        let timing = match options.profile {
            Profile::Off => Timing::Off,
            Profile::Dispatches => Timing::On,
            Profile::Spans => Timing::Spans,
        };
        session.set_timing(timing);
        let mut state = State {
            session,
            kept_outputs: 0,
            kept: Vec::new(),
            last_run: None,
        };
        let resized = Options {
            workspace_bytes: plan.workspace_bytes,
            ..options.clone()
        };
        let bound = plan.clone();
        state.add(shapes, program, plan)?;
        phases.end("record_ms");
        // A run changes mutable buffers: then the first real one has to be the first.
        if options.warm_up && graph.states.is_empty() {
            state.warm_up()?;
            phases.end("warm_up_ms");
        }
        if let Some(path) = &options.pipeline_cache {
            device.save_pipelines(path);
            phases.end("write_cache_ms");
        }
        log::info!(
            "loaded {} nodes, {:?}",
            graph.nodes.len(),
            state.session.memory_report()
        );
        let (options, device) = (options.clone(), device.clone());
        Ok(Self {
            graph,
            options,
            resized,
            bound,
            device,
            limits,
            phases,
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
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
        let graph = self.graph_with(state.kept_outputs)?;
        let (program, plan) = self.compiled(&graph, shapes)?;
        state.add(shapes.to_vec(), program, plan)
    }

    fn compiled(&self, graph: &Graph, shapes: &[InputShape]) -> Result<(Program, MemoryPlan)> {
        let limits = &self.limits;
        let program = asked(limits, compile(graph, shapes, limits, &self.resized));
        let program = program.map_err(|e| {
            // It compiled for the bound: what is wrong now is the sizes.
            let kind = match e.kind {
                ErrorKind::InvalidBlob => ErrorKind::InvalidArgument,
                kind => kind,
            };
            Error::new(kind, e.message).context("at these input sizes")
        })?;
        let plan = plan_memory_within(&program, &self.limits, &self.bound)?;
        Ok((program, plan))
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
    fn current(&self) -> Result<(Arc<Program>, usize, Vec<f64>)> {
        let state = self.lock()?;
        let Compiled {
            program, recording, ..
        } = state.current()?;
        let times = watched(&self.device, recording.times_ns())?;
        Ok((program.clone(), recording.barriers(), times))
    }

    fn last_run(&self) -> Result<Option<RunParts>> {
        Ok(self.lock()?.last_run)
    }

    /// The dispatches of the last run with what each took on the GPU; empty unless the option
    /// `profile` is on and the current input sizes have run.
    pub fn profile(&self) -> Result<Vec<profile::TimedDispatch>> {
        let (program, _, times_ns) = self.current()?;
        Ok(profile::timed(self, &program, &times_ns))
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

    /// Everything that is known of it, as JSON.
    pub fn report(&self) -> Result<String> {
        report::json(self)
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

    fn current(&self) -> Result<&Compiled> {
        let current = self.kept.first();
        current.ok_or_else(|| Error::internal("nothing is compiled"))
    }

    /// Records `program` and makes it the current one. On failure nothing changes.
    fn add(&mut self, shapes: Vec<InputShape>, program: Program, plan: MemoryPlan) -> Result<()> {
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
fn watched<T>(device: &Device, result: Result<T>) -> Result<T> {
    if device.validated() {
        validation::check()?;
    }
    result
}

/// What planning gave, unless the driver failed to answer: then it rests on nothing.
fn asked<T>(limits: &DeviceLimits, planned: Result<T>) -> Result<T> {
    match limits.images.0.take_failure() {
        Some(error) => Err(error),
        None => planned,
    }
}

fn check_budget(workspace_bytes: u64, options: &Options) -> Result<()> {
    if workspace_bytes <= options.workspace_bytes {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "a workspace of {workspace_bytes} bytes exceeds the budget of {}",
            options.workspace_bytes
        ),
    ))
}
