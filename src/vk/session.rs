//! The device memory of one delegate, and running programs in it.

use super::device::Device;
use super::memory::{Buffer, Purpose};
use super::record::{Recording, Slot, Source};
use super::upload::{Fence, Uploader};
use crate::error::{Error, Result};
use crate::memory::{MemoryPlan, Place, Region};
use crate::program::{BufferId, BufferKind, Program, Upload};
use std::collections::HashMap;
use std::sync::Arc;

/// Device memory by kind, as the driver allocated it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// The convolution workspace.
    pub workspace_bytes: u64,
    /// Temporaries.
    pub activation_bytes: u64,
    /// Constants.
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
    /// Where each constant lies, for programs of other input sizes.
    constants: HashMap<Upload, Place>,
    fence: Fence,
    device: Arc<Device>,
}

const REGIONS: [Region; 5] = [
    Region::Arena,
    Region::Workspace,
    Region::Constants,
    Region::Inputs,
    Region::Outputs,
];

/// Position in [`Session::regions`].
fn slot_of(region: Region) -> usize {
    match region {
        Region::Arena => 0,
        Region::Workspace => 1,
        Region::Constants => 2,
        Region::Inputs => 3,
        Region::Outputs => 4,
    }
}

/// The name that layers and debuggers see, and who touches the region.
fn traits_of(region: Region) -> (&'static str, Purpose) {
    match region {
        Region::Arena => ("etvk arena", Purpose::Device),
        Region::Workspace => ("etvk workspace", Purpose::Aliased),
        Region::Constants => ("etvk constants", Purpose::Device),
        Region::Inputs => ("etvk inputs", Purpose::HostToDevice),
        Region::Outputs => ("etvk outputs", Purpose::DeviceToHost),
    }
}

/// A recording and the memory that it needs beyond what the session has.
pub struct Prepared {
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
        program: &Program,
        plan: &MemoryPlan,
        read: ReadConstant<'_>,
    ) -> Result<Self> {
        device.alive()?;
        let fence = Fence::new(device)?;
        let mut session = Self {
            regions: Default::default(),
            constants: HashMap::new(),
            fence,
            device: device.clone(),
        };
        for region in REGIONS {
            session.regions[slot_of(region)] =
                session.allocate(region, plan.region_bytes(region))?;
        }
        session.upload(program, plan, read)?;
        Ok(session)
    }

    fn allocate(&self, region: Region, size_bytes: u64) -> Result<Option<Buffer>> {
        if size_bytes == 0 {
            return Ok(None);
        }
        let (name, purpose) = traits_of(region);
        Buffer::new(&self.device, name, size_bytes, purpose).map(Some)
    }

    fn upload(
        &mut self,
        program: &Program,
        plan: &MemoryPlan,
        read: ReadConstant<'_>,
    ) -> Result<()> {
        let Some(target) = &self.regions[slot_of(Region::Constants)] else {
            return Ok(());
        };
        let mut uploader = Uploader::new(&self.device, &self.fence, target)?;
        for (buffer, place) in program.buffers.iter().zip(&plan.places) {
            let BufferKind::Constant(index) = buffer.kind else {
                continue;
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
            self.constants.insert(upload.clone(), *place);
        }
        uploader.flush()
    }

    /// Records `program`, with larger regions where `plan` needs them: smaller input sizes can need
    /// more temporary memory, since plans are greedy. Nothing changes before [`Session::commit`].
    pub fn prepare(&self, program: &Program, plan: &MemoryPlan) -> Result<Prepared> {
        self.device.alive()?;
        let mut larger: [Option<Buffer>; REGIONS.len()] = Default::default();
        for region in REGIONS {
            let has = self.buffer(region).map_or(0, Buffer::size_bytes);
            let needs = plan.region_bytes(region);
            match region {
                // Uploaded once; found below by what they are.
                Region::Constants => {}
                // Two workspaces at once would break the budget.
                Region::Workspace if needs > has => {
                    return Err(Error::internal(format!(
                        "a workspace of {needs} bytes, {has} were allocated at load"
                    )));
                }
                _ if needs > has => larger[slot_of(region)] = self.allocate(region, needs)?,
                _ => {}
            }
        }
        let slots = program
            .buffers
            .iter()
            .zip(&plan.places)
            .map(|(buffer, place)| {
                let place = match buffer.kind {
                    BufferKind::Constant(index) => *program
                        .uploads
                        .get(index)
                        .and_then(|upload| self.constants.get(upload))
                        .ok_or_else(|| {
                            Error::internal(format!("upload {index} was not made at load"))
                        })?,
                    _ => *place,
                };
                Ok(match buffer.kind {
                    BufferKind::WorkspaceImage(image) => Slot::Image(image),
                    _ => Slot::Buffer(place.region, place.offset_bytes, buffer.size_bytes),
                })
            })
            .collect::<Result<Vec<Slot>>>()?;
        let buffer_of = |region| larger[slot_of(region)].as_ref().or(self.buffer(region));
        let source = Source {
            program,
            plan,
            slots: &slots,
            buffer_of: &buffer_of,
        };
        let recording = Recording::new(&self.device, &source)?;
        Ok(Prepared { larger, recording })
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

    /// Runs `recording`, which was recorded from this session, and waits for it.
    pub fn run(&mut self, recording: &Recording) -> Result<()> {
        if let Some(inputs) = self.buffer(Region::Inputs) {
            inputs.flush()?;
        }
        self.device
            .submit_and_wait(recording.commands(), self.fence.handle)?;
        match self.buffer(Region::Outputs) {
            Some(outputs) => outputs.invalidate(),
            None => Ok(()),
        }
    }

    /// The staging bytes of input buffer `id`.
    pub fn input_mut(
        &mut self,
        program: &Program,
        plan: &MemoryPlan,
        id: BufferId,
    ) -> Result<&mut [u8]> {
        let range = staging_range(program, plan, id, Region::Inputs)?;
        self.regions[slot_of(Region::Inputs)]
            .as_mut()
            .ok_or_else(|| Error::internal("no input memory"))?
            .bytes_mut()?
            .get_mut(range)
            .ok_or_else(|| Error::internal("input lies outside its memory"))
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
        MemoryReport {
            workspace_bytes: bytes(Region::Workspace),
            activation_bytes: bytes(Region::Arena),
            weight_bytes: bytes(Region::Constants),
            staging_bytes: bytes(Region::Inputs) + bytes(Region::Outputs),
            allocations: self.regions.iter().flatten().map(|_| 1).sum(),
        }
    }

    fn buffer(&self, region: Region) -> Option<&Buffer> {
        self.regions[slot_of(region)].as_ref()
    }
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
