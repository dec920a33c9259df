//! The device memory of one delegate, and running programs in it.

mod limit;
mod poison;

pub use poison::POISON;

use super::device::Device;
use super::memory::{Buffer, Purpose};
use super::pipeline::Pipelines;
use super::record::{Recording, Slot, Source, Timing};
use super::upload::{self, Fence, Uploader};
use super::usage::Promise;
use super::workspace::{Held, Lease, Sharing};
use crate::base::error::{Error, Result};
use crate::core::memory::{MemoryPlan, Place, Region};
use crate::core::program::{BufferId, BufferKind, Program, Upload};
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Instant;

/// Device memory by kind, as the driver allocated it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// The convolution workspace. A shared one is reported by the earliest of its delegates that
    /// lives, and is 0 for the others: sums over delegates are right.
    pub workspace_bytes: u64,
    /// Temporaries.
    pub activation_bytes: u64,
    /// Constants and mutable buffers.
    pub weight_bytes: u64,
    /// Host-visible inputs and outputs.
    pub staging_bytes: u64,
    /// Memory objects.
    pub allocations: u64,
}

impl MemoryReport {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.workspace_bytes + self.activation_bytes + self.weight_bytes + self.staging_bytes
    }
}

/// Lends the bytes of an upload's constant to its second argument.
pub type ReadConstant<'a> = &'a dyn Fn(&Upload, &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

/// The memory of one delegate. Programs for other input sizes are recorded into the same memory.
pub struct Session {
    regions: [Option<Buffer>; REGIONS.len()],
    workspace: Option<Lease>,
    /// Where each constant lies, for programs of other input sizes.
    constants: HashMap<Upload, Place>,
    fence: Fence,
    timing: Timing,
    memory_limit_bytes: Option<u64>,
    pipelines_ms: f64,
    device: Arc<Device>,
}

/// What a session's memory is subject to.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// With whom the workspace is shared.
    pub sharing: Sharing,
    /// Most device memory that all delegates of the process may have with this one.
    pub memory_limit_bytes: Option<u64>,
}

impl From<Sharing> for Terms {
    fn from(sharing: Sharing) -> Self {
        Self {
            sharing,
            memory_limit_bytes: None,
        }
    }
}

/// What a session owns alone.
const REGIONS: [Region; 5] = [
    Region::Arena,
    Region::Constants,
    Region::States,
    Region::Inputs,
    Region::Outputs,
];

/// The name that layers and debuggers see, and who touches the region.
fn traits_of(region: Region) -> (&'static str, Purpose) {
    match region {
        Region::Arena => ("etvk arena", Purpose::Device),
        Region::Workspace => ("etvk workspace", Purpose::Aliased),
        Region::Constants => ("etvk constants", Purpose::Weights),
        Region::States => ("etvk states", Purpose::Weights),
        Region::Inputs => ("etvk inputs", Purpose::HostToDevice),
        Region::Outputs => ("etvk outputs", Purpose::DeviceToHost),
    }
}

/// A recording and the memory that it needs beyond what the session has.
pub struct Prepared {
    /// In the order of [`REGIONS`].
    larger: [Option<Buffer>; REGIONS.len()],
    recording: Recording,
}

/// Whether [`Session::commit`] replaced memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Every recording is still good.
    Unchanged,
    /// Recordings made before refer to freed memory and must be dropped unused.
    Moved,
}

impl Session {
    /// Allocates what `plan` says and uploads the constants of `program`, which `read` supplies.
    pub fn create(
        device: &Arc<Device>,
        (program, plan): (&Program, &MemoryPlan),
        terms: impl Into<Terms>,
        read: ReadConstant<'_>,
    ) -> Result<Self> {
        let terms = terms.into();
        device.alive()?;
        // Drivers take their time to compile: meanwhile constants are packed and copied.
        let making = || {
            let started = Instant::now();
            Pipelines::of(device, program).map(|_| started.elapsed().as_secs_f64() * 1e3)
        };
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("etvk pipelines".into());
            let beside = builder.spawn_scoped(scope, making);
            let filled = Self::with_memory(device, (program, plan), terms, read);
            // Where there is no thread for it, recording makes them.
            let made = beside.map_or(Ok(0.0), |thread| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            });
            let mut session = filled?;
            session.pipelines_ms = made?;
            Ok(session)
        })
    }

    fn with_memory(
        device: &Arc<Device>,
        (program, plan): (&Program, &MemoryPlan),
        terms: Terms,
        read: ReadConstant<'_>,
    ) -> Result<Self> {
        let fence = Fence::new(device)?;
        let mut session = Self {
            regions: Default::default(),
            workspace: None,
            constants: HashMap::new(),
            fence,
            timing: Timing::Off,
            memory_limit_bytes: terms.memory_limit_bytes,
            pipelines_ms: 0.0,
            device: device.clone(),
        };
        if plan.workspace_bytes > 0 {
            session.workspace = Some(Lease::new(device, plan.workspace_bytes, terms.sharing));
        }
        let spare_bytes = session.promise_all(plan)?;
        let (promise, spare_bytes) = spare_bytes.unzip();
        let promise = promise.as_ref();
        // What is uploaded goes first: its staging has gone when the rest is allocated.
        for uploaded in [true, false] {
            for (slot, region) in REGIONS.into_iter().enumerate() {
                if matches!(region, Region::Constants | Region::States) == uploaded {
                    let size_bytes = plan.region_bytes(region);
                    session.regions[slot] = session.allocate(region, size_bytes, promise)?;
                }
            }
            if uploaded {
                for region in [Region::Constants, Region::States] {
                    session.upload(region, program, plan, (spare_bytes, promise), read)?;
                }
            }
        }
        if let Some(lease) = &session.workspace {
            lease.allocate(promise)?;
        }
        Ok(session)
    }

    /// How long making the pipelines took at load, beside everything else.
    pub fn pipelines_ms(&self) -> f64 {
        self.pipelines_ms
    }

    fn allocate(
        &self,
        region: Region,
        size_bytes: u64,
        promise: Option<&Promise>,
    ) -> Result<Option<Buffer>> {
        if size_bytes == 0 {
            return Ok(None);
        }
        let (name, purpose) = traits_of(region);
        Buffer::new(&self.device, name, size_bytes, purpose, promise).map(Some)
    }

    fn upload(
        &mut self,
        region: Region,
        program: &Program,
        plan: &MemoryPlan,
        (spare_bytes, promise): (Option<u64>, Option<&Promise>),
        read: ReadConstant<'_>,
    ) -> Result<()> {
        let Some(target) = buffer_in(&self.regions, region) else {
            return Ok(());
        };
        let mut uploader = {
            let staging_bytes = upload::staging_bytes(target.size_bytes(), spare_bytes);
            Uploader::new(&self.device, &self.fence, target, staging_bytes, promise)?
        };
        for (buffer, place) in program.buffers.iter().zip(&plan.places) {
            let index = match buffer.kind {
                BufferKind::Constant(index) | BufferKind::State(index)
                    if place.region == region =>
                {
                    index
                }
                _ => continue,
            };
            let upload = program
                .uploads
                .get(index)
                .ok_or_else(|| Error::internal(format!("upload {index} does not exist")))?;
            let mut offered = false;
            read(upload, &mut |bytes| {
                offered = true;
                uploader.add(&upload.pack, bytes, place.offset_bytes, buffer.size_bytes)
            })
            .map_err(|e| e.context(format!("constant {}", upload.constant.0)))?;
            if !offered {
                return Err(Error::internal("constant data was not offered"));
            }
            if region == Region::Constants {
                self.constants.insert(upload.clone(), *place);
            }
        }
        uploader.flush()
    }

    /// Whether what is prepared from now on times its dispatches.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Records `program`. Nothing changes before [`Session::commit`], which brings larger regions
    /// where `plan` needs them: [`crate::core::memory::plan_memory_within`] says when that can be.
    pub fn prepare(&self, program: &Program, plan: &MemoryPlan) -> Result<Prepared> {
        self.device.alive()?;
        let mut larger: [Option<Buffer>; REGIONS.len()] = Default::default();
        let promise = self.promise_larger(plan)?;
        for (slot, region) in REGIONS.into_iter().enumerate() {
            let has = self.regions[slot].as_ref().map_or(0, Buffer::size_bytes);
            let needs = plan.region_bytes(region);
            match region {
                // Uploaded once; found below by what they are.
                Region::Constants => {}
                // The same for all input sizes; holds what runs left there.
                Region::States if needs > has => {
                    return Err(Error::internal("state of another size than at load"));
                }
                _ if needs > has => {
                    log::warn!(
                        "{region:?} grows from {has} to {needs} bytes for other input sizes"
                    );
                    larger[slot] = self.allocate(region, needs, promise.as_ref())?;
                }
                _ => {}
            }
        }
        let held = self.lock_workspace(plan)?;
        let recording = self.record(program, plan, &larger, held.as_deref())?;
        drop(held);
        Ok(Prepared { larger, recording })
    }

    /// The workspace for this call alone, where `plan` uses it.
    fn lock_workspace(&self, plan: &MemoryPlan) -> Result<Option<MutexGuard<'_, Held>>> {
        let needs = plan.workspace_bytes;
        if needs == 0 {
            return Ok(None);
        }
        let lease = self.workspace.as_ref();
        let has = lease.map_or(0, Lease::need_bytes);
        match lease.filter(|_| needs <= has) {
            Some(lease) => lease.lock().map(Some),
            // Two workspaces at once would break the budget.
            None => Err(Error::internal(format!(
                "a workspace of {needs} bytes, {has} were allocated at load"
            ))),
        }
    }

    /// Where the upload `index` of `program` was put at load.
    fn uploaded(&self, program: &Program, index: usize) -> Result<Place> {
        let upload = program.uploads.get(index);
        let place = upload.and_then(|upload| self.constants.get(upload));
        place
            .copied()
            .ok_or_else(|| Error::internal(format!("upload {index} was not made at load")))
    }

    fn record(
        &self,
        program: &Program,
        plan: &MemoryPlan,
        larger: &[Option<Buffer>; REGIONS.len()],
        held: Option<&Held>,
    ) -> Result<Recording> {
        let slots = program
            .buffers
            .iter()
            .zip(&plan.places)
            .map(|(buffer, place)| {
                let place = match buffer.kind {
                    BufferKind::Constant(index) => self.uploaded(program, index)?,
                    BufferKind::Part { of, offset_bytes } => match program.buffer(of).kind {
                        BufferKind::Constant(index) => {
                            let whole = self.uploaded(program, index)?;
                            let offset_bytes = whole.offset_bytes + offset_bytes;
                            Place {
                                offset_bytes,
                                ..whole
                            }
                        }
                        _ => *place,
                    },
                    _ => *place,
                };
                Ok(match buffer.kind {
                    BufferKind::WorkspaceImage(image) => Slot::Image(image),
                    _ => Slot::Buffer(place.region, place.offset_bytes, buffer.size_bytes),
                })
            })
            .collect::<Result<Vec<Slot>>>()?;
        let buffer_of = |region| match region {
            Region::Workspace => held.and_then(Held::buffer),
            _ => buffer_in(larger, region).or_else(|| self.buffer(region)),
        };
        let source = Source {
            program,
            plan,
            slots: &slots,
            buffer_of: &buffer_of,
            timing: self.timing,
        };
        let mut recording = Recording::new(&self.device, &source)?;
        recording.workspace_generation = held.map(Held::generation);
        Ok(recording)
    }

    /// Takes over what was prepared.
    pub fn commit(&mut self, prepared: Prepared) -> (Recording, Reserved) {
        let mut reserved = Reserved::Unchanged;
        for (slot, larger) in self.regions.iter_mut().zip(prepared.larger) {
            if larger.is_some() {
                *slot = larger;
                reserved = Reserved::Moved;
            }
        }
        (prepared.recording, reserved)
    }

    /// Runs `recording`, which is this session's of `program` and `plan`, and waits for it. It is
    /// recorded anew when the workspace was replaced since.
    pub fn run(
        &mut self,
        program: &Program,
        plan: &MemoryPlan,
        recording: &mut Recording,
    ) -> Result<()> {
        if let Some(inputs) = self.buffer(Region::Inputs) {
            inputs.flush()?;
        }
        let held = self.lock_workspace(plan)?;
        if recording.workspace_generation != held.as_deref().map(Held::generation) {
            *recording = self.record(program, plan, &Default::default(), held.as_deref())?;
        }
        let done = self
            .device
            .submit_and_wait(recording.commands(), self.fence.handle);
        drop(held);
        done?;
        self.invalidate_outputs()
    }

    /// Makes the device's writes visible in what [`Session::output`] gives.
    fn invalidate_outputs(&self) -> Result<()> {
        self.buffer(Region::Outputs)
            .map_or(Ok(()), Buffer::invalidate)
    }

    /// The staging bytes of input buffer `id`.
    pub fn input_mut(
        &mut self,
        program: &Program,
        plan: &MemoryPlan,
        id: BufferId,
    ) -> Result<&mut [u8]> {
        let range = staging_range(program, plan, id, Region::Inputs)?;
        let slot = REGIONS.iter().position(|&r| r == Region::Inputs);
        slot.and_then(|slot| self.regions[slot].as_mut())
            .ok_or_else(|| Error::internal("no input memory"))?
            .bytes_mut()?
            .get_mut(range)
            .ok_or_else(|| Error::internal("input lies outside its memory"))
    }

    /// Sets all inputs to zero.
    pub fn clear_inputs(&mut self) -> Result<()> {
        let slot = REGIONS.iter().position(|&r| r == Region::Inputs);
        match slot.and_then(|slot| self.regions[slot].as_mut()) {
            Some(inputs) => inputs.bytes_mut().map(|bytes| bytes.fill(0)),
            None => Ok(()),
        }
    }

    /// The staging bytes of output buffer `id`, as the last run left them.
    pub fn output(&self, program: &Program, plan: &MemoryPlan, id: BufferId) -> Result<&[u8]> {
        let range = staging_range(program, plan, id, Region::Outputs)?;
        self.buffer(Region::Outputs)
            .ok_or_else(|| Error::internal("no output memory"))?
            .bytes()?
            .get(range)
            .ok_or_else(|| Error::internal("output lies outside its memory"))
    }

    /// What the driver allocated.
    pub fn memory_report(&self) -> MemoryReport {
        let bytes = |region| self.buffer(region).map_or(0, Buffer::allocated_bytes);
        let workspace_bytes = self.workspace.as_ref().map_or(0, Lease::counted_bytes);
        let own: u64 = self.regions.iter().flatten().map(|_| 1).sum();
        MemoryReport {
            workspace_bytes,
            activation_bytes: bytes(Region::Arena),
            weight_bytes: bytes(Region::Constants) + bytes(Region::States),
            staging_bytes: bytes(Region::Inputs) + bytes(Region::Outputs),
            allocations: own + u64::from(workspace_bytes > 0),
        }
    }

    fn buffer(&self, region: Region) -> Option<&Buffer> {
        buffer_in(&self.regions, region)
    }
}

/// The buffer of `region` among those in the order of [`REGIONS`].
fn buffer_in(buffers: &[Option<Buffer>; REGIONS.len()], region: Region) -> Option<&Buffer> {
    let slot = REGIONS.iter().position(|&r| r == region)?;
    buffers[slot].as_ref()
}

/// Where buffer `id` lies in `region`.
fn staging_range(
    program: &Program,
    plan: &MemoryPlan,
    id: BufferId,
    region: Region,
) -> Result<std::ops::Range<usize>> {
    let index = usize::try_from(id.0).unwrap_or(usize::MAX);
    let (buffer, place) = program
        .buffers
        .get(index)
        .zip(plan.places.get(index))
        .filter(|(_, place)| place.region == region)
        .ok_or_else(|| Error::internal(format!("buffer {} is not in {region:?}", id.0)))?;
    let start = usize::try_from(place.offset_bytes).ok();
    let length = usize::try_from(buffer.size_bytes).ok();
    start
        .zip(length)
        .and_then(|(start, length)| Some(start..start.checked_add(length)?))
        .ok_or_else(|| Error::internal("staging does not fit the address space"))
}
