//! Command buffers, the barriers in them, and the fence that tells of their end.

use super::device::Device;
use crate::base::error::Result;
use ash::vk;
use std::sync::Arc;
use std::time::Duration;

/// A command buffer in a pool of its own.
pub(super) struct Commands {
    pool: vk::CommandPool,
    handle: vk::CommandBuffer,
    device: Arc<Device>,
}

/// Where a barrier stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// Before the first command: the host has written.
    Start,
    /// Between two commands.
    Between,
    /// After the last command: the host will read.
    End,
}

/// What commands do on both sides of a barrier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Kernels read and write.
    Shaders,
    /// Memory is copied.
    Transfers,
}

impl Work {
    /// Reads and writes of it. Not `MEMORY_READ | MEMORY_WRITE`, which is more than anything here
    /// does: on an H100 a barrier of those takes 5.5 microseconds, of these 2.3.
    fn accesses(self) -> vk::AccessFlags {
        match self {
            Self::Shaders => vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE,
            Self::Transfers => vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE,
        }
    }
}

impl Commands {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self> {
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(device.queue_family());
        // SAFETY: the device is alive and has that family.
        let created = unsafe { device.handle.create_command_pool(&info, None) };
        // From here on `Drop` cleans up.
        let mut commands = Self {
            pool: device.check("vkCreateCommandPool", created)?,
            handle: vk::CommandBuffer::null(),
            device: device.clone(),
        };
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(commands.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: the pool is new and only used here.
        let allocated = unsafe { device.handle.allocate_command_buffers(&info) };
        let allocated = device.check("vkAllocateCommandBuffers", allocated)?;
        commands.handle = allocated.first().copied().unwrap_or_default();
        Ok(commands)
    }

    pub(super) fn handle(&self) -> vk::CommandBuffer {
        self.handle
    }

    /// Records what `body` does, which is `work`, anew. It waits for what the host wrote and for
    /// everything that was submitted earlier; the host, and everything later, waits for it.
    pub(super) fn record(&self, work: Work, body: impl FnOnce()) -> Result<()> {
        let device = &self.device;
        let begin = vk::CommandBufferBeginInfo::default();
        // SAFETY: every submission of these commands was waited for; beginning resets them.
        let begun = unsafe { device.handle.begin_command_buffer(self.handle, &begin) };
        device.check("vkBeginCommandBuffer", begun)?;
        self.barrier_at(Edge::Start, work, &[]);
        body();
        self.barrier_at(Edge::End, work, &[]);
        // SAFETY: the commands are being recorded.
        let ended = unsafe { device.handle.end_command_buffer(self.handle) };
        device.check("vkEndCommandBuffer", ended)
    }

    /// A memory barrier of all reads and writes of `work`, and barriers of `images`, within
    /// [`Commands::record`]. Never an execution-only one, even where only reads came before: some
    /// drivers drop those.
    pub(super) fn barrier(&self, work: Work, images: &[vk::ImageMemoryBarrier<'_>]) {
        self.barrier_at(Edge::Between, work, images);
    }

    fn barrier_at(&self, edge: Edge, work: Work, images: &[vk::ImageMemoryBarrier<'_>]) {
        let (mut from, mut to) = (
            vk::PipelineStageFlags::ALL_COMMANDS,
            vk::PipelineStageFlags::ALL_COMMANDS,
        );
        let all = work.accesses();
        let (mut src, mut dst) = (all, all);
        match edge {
            Edge::Start => {
                from |= vk::PipelineStageFlags::HOST;
                // An earlier submission may have been an upload.
                src |= vk::AccessFlags::HOST_WRITE | Work::Transfers.accesses();
            }
            Edge::Between => {}
            Edge::End => {
                to |= vk::PipelineStageFlags::HOST;
                dst |= vk::AccessFlags::HOST_READ | Work::Shaders.accesses();
            }
        }
        let barriers = [vk::MemoryBarrier::default()
            .src_access_mask(src)
            .dst_access_mask(dst)];
        // SAFETY: the commands are being recorded.
        unsafe {
            self.device.handle.cmd_pipeline_barrier(
                self.handle,
                from,
                to,
                vk::DependencyFlags::empty(),
                &barriers,
                &[],
                images,
            );
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        if self.device.may_free() {
            // SAFETY: the GPU is done with them; the pool frees its buffer.
            unsafe { self.device.handle.destroy_command_pool(self.pool, None) };
        }
    }
}

/// Runs commands, one at a time.
pub(super) struct Fence {
    handle: vk::Fence,
    /// How long commands may take.
    timeout: Duration,
    device: Arc<Device>,
}

impl Fence {
    pub(super) fn new(device: &Arc<Device>, timeout: Duration) -> Result<Self> {
        let info = vk::FenceCreateInfo::default();
        // SAFETY: the device is alive.
        let created = unsafe { device.handle.create_fence(&info, None) };
        Ok(Self {
            handle: device.check("vkCreateFence", created)?,
            timeout,
            device: device.clone(),
        })
    }

    /// Runs `commands` and waits; see [`Device::submit_and_wait`].
    pub(super) fn run(&self, commands: &Commands) -> Result<()> {
        let (commands, fence) = (commands.handle(), self.handle);
        self.device.submit_and_wait(commands, fence, self.timeout)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if self.device.may_free() {
            // SAFETY: the GPU is done with it.
            unsafe { self.device.handle.destroy_fence(self.handle, None) };
        }
    }
}
