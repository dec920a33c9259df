//! The device memory of one delegate, and running programs in it.

mod load;
mod options;
mod poison;
mod regions;
mod reserve;

pub use options::{ReadConstant, SessionOptions};
pub use poison::POISON;

use super::commands::Fence;
use super::gpu::Gpu;
use super::ledger::MemoryReport;
use super::memory::{Buffer, BufferInfo};
use super::record::{Descriptor, Recording, RecordingInfo};
use super::workspace::{Backing, Workspace};
use crate::base::error::{Error, Result};
use crate::core::memory::{Place, PlacedProgram, Region};
use crate::core::program::{BufferDesc, BufferId, BufferKind, Program, Upload};
use load::{Load, Loaded};
use regions::{buffer_info, Regions, REGIONS};
use reserve::reserve_growth;
use std::collections::HashMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Instant;

/// The memory of one delegate. Programs for other input sizes are recorded into the same memory.
pub struct Session {
    regions: Regions,
    workspace: Option<Workspace>,
    /// Where each constant lies, for programs of other input sizes.
    constants: HashMap<Upload, Place>,
    fence: Fence,
    options: SessionOptions,
    pipelines_ms: f64,
    gpu: Arc<Gpu>,
}

/// A recording and the memory that it needs beyond what the session has.
pub struct Prepared {
    larger: Regions,
    recording: Recording,
}

/// What [`Session::commit`] did to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Nothing: every recording is still good.
    InPlace,
    /// Recordings made before refer to freed memory and must be dropped unused.
    Moved,
}

impl Session {
    /// Allocates what the plan says and uploads the constants of the program, which `read` supplies.
    pub fn create(
        gpu: &Arc<Gpu>,
        placed: &PlacedProgram,
        options: SessionOptions,
        read: ReadConstant<'_>,
    ) -> Result<Self> {
        gpu.alive()?;
        // Drivers take their time to compile: meanwhile constants are packed and copied.
        let making = || {
            let started = Instant::now();
            let made = gpu.pipelines().of(&placed.program);
            made.map(|_| started.elapsed().as_secs_f64() * 1e3)
        };
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("etvk pipelines".into());
            let beside = builder.spawn_scoped(scope, making);
            let loaded = Load { gpu, placed, read }.run(&options);
            // Where there is no thread for it, recording makes them.
            let made = beside.map_or(Ok(0.0), |thread| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            });
            let Loaded {
                regions,
                workspace,
                constants,
                fence,
            } = loaded?;
            Ok(Self {
                regions,
                workspace,
                constants,
                fence,
                options,
                pipelines_ms: made?,
                gpu: gpu.clone(),
            })
        })
    }

    /// How long making the pipelines took at load, beside everything else.
    pub fn pipelines_ms(&self) -> f64 {
        self.pipelines_ms
    }

    /// Records a program. Nothing changes before [`Session::commit`], which brings larger regions
    /// where the plan needs them: [`crate::core::memory::plan_memory_within`] says when that can be.
    pub fn prepare(&self, placed: Arc<PlacedProgram>) -> Result<Prepared> {
        self.gpu.alive()?;
        let larger = self.grow(&placed)?;
        let backing = self.lock_workspace(&placed)?;
        let recording = self.record(placed, &larger, backing.as_deref())?;
        drop(backing);
        Ok(Prepared { larger, recording })
    }

    /// Larger regions where the plan needs them.
    fn grow(&self, placed: &PlacedProgram) -> Result<Regions> {
        let (device, plan) = (&self.gpu.device, &placed.plan);
        let mut larger = Regions::default();
        let reservation = match self.options.memory_limit_bytes {
            Some(limit) => reserve_growth(device, &self.regions, plan, limit)?,
            None => None,
        };
        for region in REGIONS {
            let has = self.regions.size_bytes(region);
            let needs = plan.region_bytes(region);
            match region {
                // Uploaded once; found by what they are when they are recorded.
                Region::Constants => {}
                // The same for all input sizes; holds what runs left there.
                Region::States if needs > has => {
                    return Err(Error::internal("state of another size than at load"));
                }
                _ if needs > has => {
                    log::warn!(
                        "{region:?} grows from {has} to {needs} bytes for other input sizes"
                    );
                    let info = BufferInfo {
                        reservation: reservation.as_ref(),
                        ..buffer_info(region, needs)
                    };
                    larger.set(region, Buffer::new(device, &info)?);
                }
                _ => {}
            }
        }
        Ok(larger)
    }

    /// The workspace for this call alone, where the plan uses it.
    fn lock_workspace(&self, placed: &PlacedProgram) -> Result<Option<MutexGuard<'_, Backing>>> {
        let needs = placed.plan.workspace_bytes;
        if needs == 0 {
            return Ok(None);
        }
        let workspace = self.workspace.as_ref();
        let has = workspace.map_or(0, Workspace::need_bytes);
        match workspace.filter(|_| needs <= has) {
            Some(workspace) => workspace.lock().map(Some),
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

    /// Where each buffer of a program really lies.
    fn descriptors(&self, placed: &PlacedProgram) -> Result<Vec<Descriptor>> {
        let PlacedProgram { program, plan } = placed;
        let buffers = program.buffers.iter().zip(&plan.places);
        let descriptor = |(buffer, place): (&BufferDesc, &Place)| {
            let place = match buffer.kind {
                BufferKind::WorkspaceImage(image) => return Ok(Descriptor::Image(image)),
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
            Ok(Descriptor::Buffer {
                region: place.region,
                offset_bytes: place.offset_bytes,
                size_bytes: buffer.size_bytes,
            })
        };
        buffers.map(descriptor).collect()
    }

    fn record(
        &self,
        placed: Arc<PlacedProgram>,
        larger: &Regions,
        backing: Option<&Backing>,
    ) -> Result<Recording> {
        let descriptors = self.descriptors(&placed)?;
        let buffer_of = |region| match region {
            Region::Workspace => backing.and_then(Backing::buffer),
            _ => larger.get(region).or_else(|| self.regions.get(region)),
        };
        let info = RecordingInfo {
            placed,
            descriptors: &descriptors,
            buffer_of: &buffer_of,
            workspace_generation: backing.map(Backing::generation),
            timing: self.options.timing,
        };
        Recording::new(&self.gpu, &info)
    }

    /// Takes over what was prepared.
    pub fn commit(&mut self, prepared: Prepared) -> (Recording, Committed) {
        let committed = match self.regions.replace(prepared.larger) {
            true => Committed::Moved,
            false => Committed::InPlace,
        };
        (prepared.recording, committed)
    }

    /// Runs `recording`, which is this session's, and waits for it. It is recorded anew when the
    /// workspace was replaced since.
    pub fn run(&mut self, recording: &mut Recording) -> Result<()> {
        if let Some(inputs) = self.regions.get(Region::Inputs) {
            inputs.flush()?;
        }
        let backing = self.lock_workspace(recording.placed())?;
        if recording.workspace_generation() != backing.as_deref().map(Backing::generation) {
            let placed = recording.placed().clone();
            *recording = self.record(placed, &Regions::default(), backing.as_deref())?;
        }
        let done = self.fence.run(recording.commands());
        drop(backing);
        done?;
        self.invalidate_outputs()
    }

    /// Makes the device's writes visible in what [`Session::output`] gives.
    fn invalidate_outputs(&self) -> Result<()> {
        let outputs = self.regions.get(Region::Outputs);
        outputs.map_or(Ok(()), Buffer::invalidate)
    }

    /// The staging bytes of input buffer `id` of the recorded program.
    pub fn input_mut(&mut self, recording: &Recording, id: BufferId) -> Result<&mut [u8]> {
        let range = staging_range(recording.placed(), id, Region::Inputs)?;
        self.regions
            .get_mut(Region::Inputs)
            .ok_or_else(|| Error::internal("no input memory"))?
            .bytes_mut()?
            .get_mut(range)
            .ok_or_else(|| Error::internal("input lies outside its memory"))
    }

    /// Sets all inputs to zero.
    pub fn clear_inputs(&mut self) -> Result<()> {
        match self.regions.get_mut(Region::Inputs) {
            Some(inputs) => inputs.bytes_mut().map(|bytes| bytes.fill(0)),
            None => Ok(()),
        }
    }

    /// The staging bytes of output buffer `id` of the recorded program, as the last run left them.
    pub fn output(&self, recording: &Recording, id: BufferId) -> Result<&[u8]> {
        let range = staging_range(recording.placed(), id, Region::Outputs)?;
        self.regions
            .get(Region::Outputs)
            .ok_or_else(|| Error::internal("no output memory"))?
            .bytes()?
            .get(range)
            .ok_or_else(|| Error::internal("output lies outside its memory"))
    }

    /// What the driver allocated.
    pub fn memory_report(&self) -> MemoryReport {
        let workspace_bytes = self.workspace.as_ref().map_or(0, Workspace::counted_bytes);
        let mut report = MemoryReport {
            workspace_bytes,
            allocations: u64::from(workspace_bytes > 0),
            ..MemoryReport::default()
        };
        for buffer in self.regions.buffers() {
            *report.bytes_mut(buffer.purpose()) += buffer.allocated_bytes();
            report.allocations += 1;
        }
        report
    }
}

/// Where buffer `id` lies in `region`.
fn staging_range(placed: &PlacedProgram, id: BufferId, region: Region) -> Result<Range<usize>> {
    let index = usize::try_from(id.0).unwrap_or(usize::MAX);
    let buffer = placed.program.buffers.get(index);
    let (buffer, place) = buffer
        .zip(placed.plan.places.get(index))
        .filter(|(_, place)| place.region == region)
        .ok_or_else(|| Error::internal(format!("buffer {} is not in {region:?}", id.0)))?;
    let start = usize::try_from(place.offset_bytes).ok();
    let length = usize::try_from(buffer.size_bytes).ok();
    start
        .zip(length)
        .and_then(|(start, length)| Some(start..start.checked_add(length)?))
        .ok_or_else(|| Error::internal("staging does not fit the address space"))
}
