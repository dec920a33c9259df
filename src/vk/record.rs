//! Program + memory plan -> a command buffer that is recorded once and submitted again and again.

use super::device::Device;
use super::memory::Buffer;
use super::pipeline::{Bound, Pipelines};
use crate::error::{Error, Result};
use crate::memory::hazards;
use crate::memory::{MemoryPlan, Region};
use crate::program::Program;
use ash::vk;
use std::collections::HashMap;
use std::sync::Arc;

/// A descriptor as it lies in memory: region, offset, size.
pub(super) type Slot = (Region, u64, u64);

/// The commands of one program. The session that it was recorded from must outlive its use.
pub struct Recording {
    commands: vk::CommandBuffer,
    command_pool: vk::CommandPool,
    descriptor_pool: vk::DescriptorPool,
    barriers: usize,
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
}

impl Recording {
    pub(super) fn new(device: &Arc<Device>, source: &Source<'_>) -> Result<Self> {
        let bound = Pipelines::of(device, source.program)?;
        let (command_pool, commands) = command_buffer(device)?;
        // From here on `Drop` cleans up; a null pool is ignored.
        let mut recording = Self {
            commands,
            command_pool,
            descriptor_pool: vk::DescriptorPool::null(),
            barriers: 0,
            workspace_generation: None,
            device: device.clone(),
        };
        let sets = recording.descriptor_sets(source, &bound)?;
        recording.record(source, &bound, &sets)?;
        Ok(recording)
    }

    pub(super) fn commands(&self) -> vk::CommandBuffer {
        self.commands
    }

    /// Barriers between its dispatches.
    pub fn barriers(&self) -> usize {
        self.barriers
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
        let sizes = [vk::DescriptorPoolSize {
            ty: vk::DescriptorType::STORAGE_BUFFER,
            descriptor_count: count(descriptors)?,
        }];
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
        let mut infos: Vec<Vec<vk::DescriptorBufferInfo>> = Vec::with_capacity(lists.len());
        for list in &lists {
            let one = |&(region, offset, range): &Slot| {
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
                Ok(vk::DescriptorBufferInfo {
                    buffer: buffer.handle(),
                    offset,
                    range,
                })
            };
            infos.push(list.iter().map(one).collect::<Result<_>>()?);
        }
        let writes: Vec<vk::WriteDescriptorSet<'_>> = sets
            .iter()
            .zip(&infos)
            .filter(|(_, infos)| !infos.is_empty())
            .map(|(&set, infos)| {
                // Consecutive bindings of one type are written as one array.
                vk::WriteDescriptorSet::default()
                    .dst_set(set)
                    .dst_binding(0)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .buffer_info(infos)
            })
            .collect();
        // SAFETY: sets and buffers are of this device, and no set is in use yet.
        unsafe { device.handle.update_descriptor_sets(&writes, &[]) };
        Ok(used.into_iter().map(|index| sets[index]).collect())
    }

    fn record(
        &mut self,
        source: &Source<'_>,
        bound: &[Bound],
        sets: &[vk::DescriptorSet],
    ) -> Result<()> {
        let waits = hazards(source.program, source.plan);
        let device = self.device.clone();
        let vk_device = &device.handle;
        let commands = self.commands;
        let begin = vk::CommandBufferBeginInfo::default();
        // SAFETY: the command buffer is new; pipelines, layouts and sets are of this device and
        // outlive it, and `Pipelines::of` has checked every dispatch against kernel and device.
        unsafe {
            device.check(
                "vkBeginCommandBuffer",
                vk_device.begin_command_buffer(commands, &begin),
            )?;
            // Staging written by the host, and whatever an earlier submission left.
            barrier(&device, commands, Edge::Start);
            let mut last: Option<(vk::Pipeline, vk::DescriptorSet)> = None;
            for (at, dispatch) in source.program.dispatches.iter().enumerate() {
                if waits[at] {
                    barrier(&device, commands, Edge::Between);
                    self.barriers += 1;
                }
                let set = sets.get(at).copied().unwrap_or_default();
                if last.is_none_or(|(pipeline, _)| pipeline != bound[at].pipeline) {
                    vk_device.cmd_bind_pipeline(
                        commands,
                        vk::PipelineBindPoint::COMPUTE,
                        bound[at].pipeline,
                    );
                }
                if last != Some((bound[at].pipeline, set)) && !dispatch.bindings.is_empty() {
                    vk_device.cmd_bind_descriptor_sets(
                        commands,
                        vk::PipelineBindPoint::COMPUTE,
                        bound[at].layout,
                        0,
                        &[set],
                        &[],
                    );
                }
                last = Some((bound[at].pipeline, set));
                if !dispatch.push.is_empty() {
                    let bytes: Vec<u8> = dispatch
                        .push
                        .iter()
                        .flat_map(|word| word.to_ne_bytes())
                        .collect();
                    vk_device.cmd_push_constants(
                        commands,
                        bound[at].layout,
                        vk::ShaderStageFlags::COMPUTE,
                        0,
                        &bytes,
                    );
                }
                let [x, y, z] = dispatch.workgroups;
                vk_device.cmd_dispatch(commands, x, y, z);
            }
            barrier(&device, commands, Edge::End);
            device.check("vkEndCommandBuffer", vk_device.end_command_buffer(commands))
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: every submission was waited for; freeing the pools frees what came from them.
        unsafe {
            self.device
                .handle
                .destroy_descriptor_pool(self.descriptor_pool, None);
            self.device
                .handle
                .destroy_command_pool(self.command_pool, None);
        }
    }
}

/// Where a barrier stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Before the first dispatch: the host has written.
    Start,
    /// Between two dispatches.
    Between,
    /// After the last dispatch: the host will read.
    End,
}

/// A full memory barrier. Never an execution-only one, even where only reads came before: some
/// drivers drop those.
pub(super) fn barrier(device: &Device, commands: vk::CommandBuffer, edge: Edge) {
    let (mut from, mut to) = (
        vk::PipelineStageFlags::ALL_COMMANDS,
        vk::PipelineStageFlags::ALL_COMMANDS,
    );
    let all = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
    let (mut src, mut dst) = (all, all);
    match edge {
        Edge::Start => {
            from |= vk::PipelineStageFlags::HOST;
            src |= vk::AccessFlags::HOST_WRITE;
        }
        Edge::Between => {}
        Edge::End => {
            to |= vk::PipelineStageFlags::HOST;
            dst |= vk::AccessFlags::HOST_READ;
        }
    }
    let barriers = [vk::MemoryBarrier::default()
        .src_access_mask(src)
        .dst_access_mask(dst)];
    // SAFETY: called while `commands` is being recorded.
    unsafe {
        device.handle.cmd_pipeline_barrier(
            commands,
            from,
            to,
            vk::DependencyFlags::empty(),
            &barriers,
            &[],
            &[],
        );
    }
}

/// A command pool with one command buffer.
pub(super) fn command_buffer(device: &Device) -> Result<(vk::CommandPool, vk::CommandBuffer)> {
    let info = vk::CommandPoolCreateInfo::default()
        .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
        .queue_family_index(device.queue_family);
    // SAFETY: the device is alive and has that family.
    let created = unsafe { device.handle.create_command_pool(&info, None) };
    let pool = device.check("vkCreateCommandPool", created)?;
    let info = vk::CommandBufferAllocateInfo::default()
        .command_pool(pool)
        .level(vk::CommandBufferLevel::PRIMARY)
        .command_buffer_count(1);
    // SAFETY: the pool is new and only used here.
    let allocated = unsafe { device.handle.allocate_command_buffers(&info) };
    match device.check("vkAllocateCommandBuffers", allocated) {
        Ok(buffers) => Ok((pool, buffers.first().copied().unwrap_or_default())),
        Err(error) => {
            // SAFETY: nothing came from the pool.
            unsafe { device.handle.destroy_command_pool(pool, None) };
            Err(error)
        }
    }
}
