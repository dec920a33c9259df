//! Program + memory plan -> a command buffer that is recorded once and submitted again and again.

mod descriptors;
mod timing;

pub(super) use descriptors::Descriptor;
pub use timing::Timing;

use super::commands::{Commands, Work};
use super::gpu::Gpu;
use super::image::Image;
use super::memory::Buffer;
use super::pipeline::PipelineHandles;
use crate::base::error::{Error, Result};
use crate::core::image::ImageShape;
use crate::core::memory::{hazards, PlacedProgram, Region};
use crate::core::program::{BufferKind, Dispatch};
use ash::vk;
use descriptors::{DescriptorSets, Memory};
use std::collections::HashMap;
use std::sync::Arc;
use timing::Timestamps;

/// The commands of one program. The session that it was recorded from must outlive its use.
pub struct Recording {
    placed: Arc<PlacedProgram>,
    commands: Commands,
    sets: DescriptorSets,
    /// `None` where nothing is timed.
    timestamps: Option<Timestamps>,
    /// The workspace as images. Only the one that was written last has contents.
    images: HashMap<ImageShape, Image>,
    barriers: usize,
    workspace_generation: Option<u64>,
    /// The pipelines are its.
    _gpu: Arc<Gpu>,
}

/// What is recorded.
pub(super) struct RecordingInfo<'a> {
    pub(super) placed: Arc<PlacedProgram>,
    /// Where every buffer of the program really lies.
    pub(super) descriptors: &'a [Descriptor],
    pub(super) buffer_of: &'a dyn Fn(Region) -> Option<&'a Buffer>,
    /// Which buffer is the workspace; `None` without any.
    pub(super) workspace_generation: Option<u64>,
    pub(super) timing: Timing,
}

impl Recording {
    pub(super) fn new(gpu: &Arc<Gpu>, info: &RecordingInfo<'_>) -> Result<Self> {
        let (device, program) = (&gpu.device, &info.placed.program);
        let pipelines = gpu.pipelines().of(program)?;
        let images = workspace_images(gpu, info)?;
        let memory = Memory {
            buffer_of: info.buffer_of,
            images: &images,
        };
        let sets = DescriptorSets::new(device, program, info.descriptors, &pipelines, &memory)?;
        let mut recording = Self {
            placed: info.placed.clone(),
            commands: Commands::new(device)?,
            sets,
            timestamps: Timestamps::new(device, program, info.timing)?,
            images,
            barriers: 0,
            workspace_generation: info.workspace_generation,
            _gpu: gpu.clone(),
        };
        recording.record(gpu, &pipelines)?;
        Ok(recording)
    }

    /// What was recorded.
    pub fn placed(&self) -> &Arc<PlacedProgram> {
        &self.placed
    }

    pub(super) fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Which buffer it uses as workspace; `None` without any.
    pub(super) fn workspace_generation(&self) -> Option<u64> {
        self.workspace_generation
    }

    /// Barriers between its dispatches.
    pub fn barriers(&self) -> usize {
        self.barriers
    }

    /// Nanoseconds that each dispatch took in the last run, from the timestamp before it, 0 for those
    /// without their own; empty when nothing was timed or nothing ran.
    pub fn times_ns(&self) -> Result<Vec<f64>> {
        let timestamps = self.timestamps.as_ref();
        timestamps.map_or(Ok(Vec::new()), Timestamps::times_ns)
    }

    /// The image that `dispatch` writes, if any: the memory may last have been another one.
    fn claimed(&self, dispatch: &Dispatch) -> Option<&Image> {
        let mut written = dispatch.bindings.iter().filter(|b| b.access.writes());
        written.find_map(|b| match self.placed.program.buffer(b.buffer).kind {
            BufferKind::WorkspaceImage(shape) => self.images.get(&shape),
            _ => None,
        })
    }

    fn record(&mut self, gpu: &Gpu, pipelines: &[PipelineHandles]) -> Result<()> {
        let PlacedProgram { program, plan } = &*self.placed;
        let waits = hazards(program, plan);
        let (commands, timestamps) = (&self.commands, self.timestamps.as_ref());
        let mut barriers = 0;
        commands.record(Work::Shaders, || {
            let mut stamps = 0;
            if let Some(timestamps) = timestamps {
                timestamps.reset(commands);
                timestamps.stamp(commands, stamps);
            }
            let mut last = None;
            for (at, dispatch) in program.dispatches.iter().enumerate() {
                let claimed = self.claimed(dispatch).map(Image::claim);
                if waits[at] || claimed.is_some() {
                    commands.barrier(Work::Shaders, claimed.as_slice());
                    barriers += 1;
                }
                let binds = Binds {
                    pipeline: pipelines[at],
                    set: self.sets.of(at),
                };
                record_dispatch(gpu, commands, dispatch, binds, last);
                last = Some(binds);
                if let Some(timestamps) = timestamps.filter(|t| t.follows(at)) {
                    stamps += 1;
                    timestamps.stamp(commands, stamps);
                }
            }
        })?;
        self.barriers = barriers;
        Ok(())
    }
}

/// The images that `info` binds, in the memory of the workspace.
fn workspace_images(gpu: &Gpu, info: &RecordingInfo<'_>) -> Result<HashMap<ImageShape, Image>> {
    let mut images = HashMap::new();
    for descriptor in info.descriptors {
        let Descriptor::Image(shape) = *descriptor else {
            continue;
        };
        if images.contains_key(&shape) {
            continue;
        }
        let needs = gpu.images().allocation_bytes(shape)?;
        let memory = (info.buffer_of)(Region::Workspace)
            .filter(|w| needs.is_some_and(|needs| needs <= w.allocated_bytes()))
            .ok_or_else(|| Error::internal(format!("{shape:?} of {needs:?} bytes has no memory")))?
            .memory();
        images.insert(shape, Image::new(&gpu.device, shape, memory)?);
    }
    Ok(images)
}

/// What a dispatch needs bound.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Binds {
    pipeline: PipelineHandles,
    set: vk::DescriptorSet,
}

/// Records `dispatch` after one that had `last` bound.
fn record_dispatch(
    gpu: &Gpu,
    commands: &Commands,
    dispatch: &Dispatch,
    binds: Binds,
    last: Option<Binds>,
) {
    let (device, commands) = (&gpu.device.handle, commands.handle());
    let compute = vk::PipelineBindPoint::COMPUTE;
    let PipelineHandles {
        pipeline, layout, ..
    } = binds.pipeline;
    // SAFETY: the commands are being recorded. Pipeline, layout and set are of this device and outlive
    // them; `Pipelines::of` has checked the dispatch against kernel and device.
    unsafe {
        if last.is_none_or(|last| last.pipeline.pipeline != pipeline) {
            device.cmd_bind_pipeline(commands, compute, pipeline);
        }
        if last != Some(binds) && !dispatch.bindings.is_empty() {
            device.cmd_bind_descriptor_sets(commands, compute, layout, 0, &[binds.set], &[]);
        }
        if !dispatch.push.is_empty() {
            let words = dispatch.push.iter();
            let bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
            let stages = vk::ShaderStageFlags::COMPUTE;
            device.cmd_push_constants(commands, layout, stages, 0, &bytes);
        }
        let [x, y, z] = dispatch.workgroups;
        device.cmd_dispatch(commands, x, y, z);
    }
}
