//! Program + memory plan -> a command buffer that is recorded once and submitted again and again.

mod timing;

pub use timing::Timing;

use super::commands::{Commands, Work};
use super::device::Device;
use super::image::Image;
use super::memory::Buffer;
use super::pipeline::{descriptor_type, Bound, Pipelines};
use crate::base::error::{Error, Result};
use crate::core::image::ImageShape;
use crate::core::memory::hazards;
use crate::core::memory::{MemoryPlan, Region};
use crate::core::program::{BufferKind, Dispatch, Program};
use crate::core::shader::BindingKind;
use ash::vk;
use std::collections::HashMap;
use std::sync::Arc;

/// A descriptor as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// Region, offset, size.
    Buffer(Region, u64, u64),
    /// An image in the workspace.
    Image(ImageShape),
}

/// What a descriptor is written from.
enum Shown {
    Buffer([vk::DescriptorBufferInfo; 1]),
    Image([vk::DescriptorImageInfo; 1]),
}

/// The commands of one program. The session that it was recorded from must outlive its use.
pub struct Recording {
    commands: Commands,
    descriptor_pool: vk::DescriptorPool,
    /// A timestamp before the first dispatch and one after each that ends a span; null when nothing
    /// is timed.
    query_pool: vk::QueryPool,
    query_count: u32,
    /// For every dispatch, whether a timestamp follows it.
    stamped: Vec<bool>,
    barriers: usize,
    /// The workspace as images. Only the one that was written last has contents.
    images: HashMap<ImageShape, Image>,
    /// Which buffer it uses as workspace; `None` without any.
    pub(super) workspace_generation: Option<u64>,
    device: Arc<Device>,
}

/// What recording reads.
pub(super) struct Source<'a> {
    pub(super) program: &'a Program,
    pub(super) plan: &'a MemoryPlan,
    /// Where every buffer of the program really lies.
    pub(super) slots: &'a [Slot],
    pub(super) buffer_of: &'a dyn Fn(Region) -> Option<&'a Buffer>,
    pub(super) timing: Timing,
}

impl Recording {
    pub(super) fn new(device: &Arc<Device>, source: &Source<'_>) -> Result<Self> {
        let bound = Pipelines::of(device, source.program)?;
        let commands = Commands::new(device)?;
        // From here on `Drop` cleans up; a null pool is ignored.
        let mut recording = Self {
            commands,
            descriptor_pool: vk::DescriptorPool::null(),
            query_pool: vk::QueryPool::null(),
            query_count: 0,
            stamped: Vec::new(),
            barriers: 0,
            images: HashMap::new(),
            workspace_generation: None,
            device: device.clone(),
        };
        if source.timing != Timing::Off && device.timestamp_period_ns().is_some() {
            let dispatches = &source.program.dispatches;
            let edge = |at: usize| dispatches.get(at).map(|d| source.program.at_edge(d));
            let ends = |at| source.timing == Timing::On || edge(at) != edge(at + 1);
            recording.stamped = (0..dispatches.len()).map(ends).collect();
            recording.make_queries()?;
        }
        recording.make_images(source)?;
        let sets = recording.descriptor_sets(source, &bound)?;
        recording.record(source, &bound, &sets)?;
        Ok(recording)
    }

    pub(super) fn commands(&self) -> vk::CommandBuffer {
        self.commands.handle()
    }

    /// Barriers between its dispatches.
    pub fn barriers(&self) -> usize {
        self.barriers
    }

    fn make_images(&mut self, source: &Source<'_>) -> Result<()> {
        for slot in source.slots {
            let Slot::Image(shape) = *slot else {
                continue;
            };
            if self.images.contains_key(&shape) {
                continue;
            }
            let needs = self.device.image_bytes(shape)?;
            let memory = (source.buffer_of)(Region::Workspace)
                .filter(|w| needs.is_some_and(|needs| needs <= w.allocated_bytes()))
                .ok_or_else(|| {
                    Error::internal(format!("{shape:?} of {needs:?} bytes has no memory"))
                })?
                .aliased_memory();
            let image = Image::new(&self.device, shape, memory)?;
            self.images.insert(shape, image);
        }
        Ok(())
    }

    /// One set per distinct list of bindings; returns the set of every dispatch.
    fn descriptor_sets(
        &mut self,
        source: &Source<'_>,
        bound: &[Bound],
    ) -> Result<Vec<vk::DescriptorSet>> {
        let mut index_of: HashMap<Vec<Slot>, usize> = HashMap::new();
        let mut lists: Vec<Vec<Slot>> = Vec::new();
        let mut layouts = Vec::new();
        let mut used = Vec::with_capacity(bound.len());
        for (dispatch, bound) in source.program.dispatches.iter().zip(bound) {
            let list = dispatch
                .bindings
                .iter()
                .map(|b| {
                    usize::try_from(b.buffer.0)
                        .ok()
                        .and_then(|i| source.slots.get(i).copied())
                })
                .collect::<Option<Vec<Slot>>>()
                .ok_or_else(|| Error::internal("a bound buffer has no place"))?;
            let index = *index_of.entry(list.clone()).or_insert_with(|| {
                lists.push(list);
                layouts.push(bound.set_layout);
                lists.len() - 1
            });
            used.push(index);
        }
        let descriptors: usize = lists.iter().map(Vec::len).sum();
        if descriptors == 0 {
            return Ok(Vec::new());
        }
        let count =
            |n: usize| u32::try_from(n).map_err(|_| Error::internal("too many descriptors"));
        let images = lists.iter().flatten();
        let images = images.filter(|s| matches!(s, Slot::Image(_))).count();
        let sizes: Vec<_> = [
            (BindingKind::Buffer, descriptors - images),
            (BindingKind::Image, images),
        ]
        .into_iter()
        .filter(|&(_, n)| n > 0)
        .map(|(kind, n)| {
            Ok(vk::DescriptorPoolSize {
                ty: descriptor_type(kind),
                descriptor_count: count(n)?,
            })
        })
        .collect::<Result<_>>()?;
        let info = vk::DescriptorPoolCreateInfo::default()
            .max_sets(count(lists.len())?)
            .pool_sizes(&sizes);
        let device = &self.device;
        // SAFETY: the device is alive.
        let created = unsafe { device.handle.create_descriptor_pool(&info, None) };
        self.descriptor_pool = device.check("vkCreateDescriptorPool", created)?;
        let info = vk::DescriptorSetAllocateInfo::default()
            .descriptor_pool(self.descriptor_pool)
            .set_layouts(&layouts);
        // SAFETY: the pool was made for exactly these sets; the layouts live with the device.
        let allocated = unsafe { device.handle.allocate_descriptor_sets(&info) };
        let sets = device.check("vkAllocateDescriptorSets", allocated)?;
        let mut shown: Vec<Vec<Shown>> = Vec::with_capacity(lists.len());
        for list in &lists {
            let list = list.iter().map(|&slot| self.show(source, slot));
            shown.push(list.collect::<Result<_>>()?);
        }
        let mut writes: Vec<vk::WriteDescriptorSet<'_>> = Vec::with_capacity(descriptors);
        for (&set, shown) in sets.iter().zip(&shown) {
            for (binding, shown) in (0u32..).zip(shown) {
                let write = vk::WriteDescriptorSet::default()
                    .dst_set(set)
                    .dst_binding(binding);
                writes.push(match shown {
                    Shown::Buffer(info) => write
                        .descriptor_type(descriptor_type(BindingKind::Buffer))
                        .buffer_info(info),
                    Shown::Image(info) => write
                        .descriptor_type(descriptor_type(BindingKind::Image))
                        .image_info(info),
                });
            }
        }
        // SAFETY: sets and buffers are of this device, and no set is in use yet.
        unsafe { device.handle.update_descriptor_sets(&writes, &[]) };
        Ok(used.into_iter().map(|index| sets[index]).collect())
    }

    fn show(&self, source: &Source<'_>, slot: Slot) -> Result<Shown> {
        let (region, offset, range) = match slot {
            Slot::Buffer(region, offset, range) => (region, offset, range),
            Slot::Image(shape) => {
                let image = self
                    .images
                    .get(&shape)
                    .ok_or_else(|| Error::internal(format!("{shape:?} was not made")))?;
                return Ok(Shown::Image([vk::DescriptorImageInfo::default()
                    .image_view(image.view())
                    .image_layout(vk::ImageLayout::GENERAL)]));
            }
        };
        let buffer = (source.buffer_of)(region)
            .ok_or_else(|| Error::internal(format!("{region:?} has no memory")))?;
        let inside = offset
            .checked_add(range)
            .is_some_and(|end| end <= buffer.size_bytes());
        if !inside {
            return Err(Error::internal(format!(
                "bytes {offset}..+{range} lie outside {region:?} of {} bytes",
                buffer.size_bytes()
            )));
        }
        Ok(Shown::Buffer([vk::DescriptorBufferInfo {
            buffer: buffer.handle(),
            offset,
            range,
        }]))
    }

    /// The image that `dispatch` writes, if any: the memory may last have been another one.
    fn claimed(&self, source: &Source<'_>, dispatch: &Dispatch) -> Option<&Image> {
        dispatch
            .bindings
            .iter()
            .filter(|b| b.access.writes())
            .find_map(|b| match source.program.buffer(b.buffer).kind {
                BufferKind::WorkspaceImage(shape) => self.images.get(&shape),
                _ => None,
            })
    }

    fn record(
        &mut self,
        source: &Source<'_>,
        bound: &[Bound],
        sets: &[vk::DescriptorSet],
    ) -> Result<()> {
        let waits = hazards(source.program, source.plan);
        let mut barriers = 0;
        self.commands.record(Work::Shaders, || {
            self.reset_queries();
            self.stamp(0);
            let mut stamps = 0;
            let mut last = None;
            for (at, dispatch) in source.program.dispatches.iter().enumerate() {
                let claimed = self.claimed(source, dispatch).map(Image::claim);
                if waits[at] || claimed.is_some() {
                    self.commands.barrier(Work::Shaders, claimed.as_slice());
                    barriers += 1;
                }
                let set = sets.get(at).copied().unwrap_or_default();
                self.dispatch(dispatch, &bound[at], set, last);
                last = Some((bound[at].pipeline, set));
                if self.stamped.get(at) == Some(&true) {
                    stamps += 1;
                    self.stamp(stamps);
                }
            }
        })?;
        self.barriers = barriers;
        Ok(())
    }

    /// Records `dispatch` with its set. `last` is what the dispatch before it has bound.
    fn dispatch(
        &self,
        dispatch: &Dispatch,
        bound: &Bound,
        set: vk::DescriptorSet,
        last: Option<(vk::Pipeline, vk::DescriptorSet)>,
    ) {
        let (device, commands) = (&self.device.handle, self.commands());
        let compute = vk::PipelineBindPoint::COMPUTE;
        // SAFETY: the commands are being recorded. Pipeline, layout and set are of this device and
        // outlive them; `Pipelines::of` has checked the dispatch against kernel and device.
        unsafe {
            if last.is_none_or(|(pipeline, _)| pipeline != bound.pipeline) {
                device.cmd_bind_pipeline(commands, compute, bound.pipeline);
            }
            if last != Some((bound.pipeline, set)) && !dispatch.bindings.is_empty() {
                device.cmd_bind_descriptor_sets(commands, compute, bound.layout, 0, &[set], &[]);
            }
            if !dispatch.push.is_empty() {
                let words = dispatch.push.iter();
                let bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
                let stages = vk::ShaderStageFlags::COMPUTE;
                device.cmd_push_constants(commands, bound.layout, stages, 0, &bytes);
            }
            let [x, y, z] = dispatch.workgroups;
            device.cmd_dispatch(commands, x, y, z);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: every submission was waited for; the pools free what came from them.
        unsafe {
            self.device.handle.destroy_query_pool(self.query_pool, None);
            self.device
                .handle
                .destroy_descriptor_pool(self.descriptor_pool, None);
        }
    }
}
