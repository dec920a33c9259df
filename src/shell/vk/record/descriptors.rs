//! What dispatches bind: descriptor sets, one for each distinct list of bindings.

use super::super::device::Device;
use super::super::image::Image;
use super::super::memory::Buffer;
use super::super::pipeline::{descriptor_type, PipelineHandles};
use crate::base::error::{Error, Result};
use crate::core::image::ImageShape;
use crate::core::memory::Region;
use crate::core::program::Program;
use crate::core::shader::BindingKind;
use ash::vk;
use std::collections::HashMap;
use std::sync::Arc;

/// Where a buffer of a program really lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Descriptor {
    Buffer {
        region: Region,
        offset_bytes: u64,
        size_bytes: u64,
    },
    /// An image in the workspace.
    Image(ImageShape),
}

/// What descriptors are written from.
pub(super) struct Memory<'a, 'b> {
    pub(super) buffer_of: &'a dyn Fn(Region) -> Option<&'b Buffer>,
    pub(super) images: &'a HashMap<ImageShape, Image>,
}

/// A descriptor as Vulkan takes it.
enum DescriptorInfo {
    Buffer([vk::DescriptorBufferInfo; 1]),
    Image([vk::DescriptorImageInfo; 1]),
}

/// The sets of a program, in a pool of their own.
pub(super) struct DescriptorSets {
    /// Null where nothing is bound.
    pool: vk::DescriptorPool,
    sets: Vec<vk::DescriptorSet>,
    /// For every dispatch, the index of its set.
    used: Vec<usize>,
    device: Arc<Device>,
}

/// The distinct lists of bindings.
struct Lists {
    lists: Vec<Vec<Descriptor>>,
    layouts: Vec<vk::DescriptorSetLayout>,
    /// For every dispatch, the index of its list.
    used: Vec<usize>,
}

impl DescriptorSets {
    /// The sets of `program`, whose buffers are `descriptors` and whose kernels are `pipelines`.
    pub(super) fn new(
        device: &Arc<Device>,
        program: &Program,
        descriptors: &[Descriptor],
        pipelines: &[PipelineHandles],
        memory: &Memory<'_, '_>,
    ) -> Result<Self> {
        let lists = Lists::new(program, descriptors, pipelines)?;
        // From here on `Drop` cleans up; a null pool is ignored.
        let mut this = Self {
            pool: vk::DescriptorPool::null(),
            sets: Vec::new(),
            used: lists.used,
            device: device.clone(),
        };
        if lists.lists.iter().any(|list| !list.is_empty()) {
            this.allocate(&lists.lists, &lists.layouts)?;
            this.write(&lists.lists, memory)?;
        }
        Ok(this)
    }

    /// The set of dispatch `at`.
    pub(super) fn of(&self, at: usize) -> vk::DescriptorSet {
        let set = self.used.get(at).and_then(|&index| self.sets.get(index));
        set.copied().unwrap_or_default()
    }

    fn allocate(
        &mut self,
        lists: &[Vec<Descriptor>],
        layouts: &[vk::DescriptorSetLayout],
    ) -> Result<()> {
        let count =
            |n: usize| u32::try_from(n).map_err(|_| Error::internal("too many descriptors"));
        let is_image = |d: &&Descriptor| matches!(d, Descriptor::Image(_));
        let all: usize = lists.iter().map(Vec::len).sum();
        let images = lists.iter().flatten().filter(is_image).count();
        let mut sizes = Vec::new();
        for (kind, n) in [
            (BindingKind::Buffer, all - images),
            (BindingKind::Image, images),
        ] {
            if n > 0 {
                let ty = descriptor_type(kind);
                let size = vk::DescriptorPoolSize::default().ty(ty);
                sizes.push(size.descriptor_count(count(n)?));
            }
        }
        let info = vk::DescriptorPoolCreateInfo::default()
            .max_sets(count(lists.len())?)
            .pool_sizes(&sizes);
        let device = &self.device;
        // SAFETY: the device is alive.
        let created = unsafe { device.handle.create_descriptor_pool(&info, None) };
        self.pool = device.check("vkCreateDescriptorPool", created)?;
        let info = vk::DescriptorSetAllocateInfo::default()
            .descriptor_pool(self.pool)
            .set_layouts(layouts);
        // SAFETY: the pool was made for exactly these sets; the layouts live with the pipelines.
        let allocated = unsafe { device.handle.allocate_descriptor_sets(&info) };
        self.sets = device.check("vkAllocateDescriptorSets", allocated)?;
        Ok(())
    }

    fn write(&self, lists: &[Vec<Descriptor>], memory: &Memory<'_, '_>) -> Result<()> {
        let mut infos: Vec<Vec<DescriptorInfo>> = Vec::with_capacity(lists.len());
        for list in lists {
            let list = list.iter().map(|&descriptor| memory.info(descriptor));
            infos.push(list.collect::<Result<_>>()?);
        }
        let mut writes: Vec<vk::WriteDescriptorSet<'_>> = Vec::new();
        for (&set, infos) in self.sets.iter().zip(&infos) {
            for (binding, info) in (0u32..).zip(infos) {
                let write = vk::WriteDescriptorSet::default()
                    .dst_set(set)
                    .dst_binding(binding);
                writes.push(match info {
                    DescriptorInfo::Buffer(info) => write
                        .descriptor_type(descriptor_type(BindingKind::Buffer))
                        .buffer_info(info),
                    DescriptorInfo::Image(info) => write
                        .descriptor_type(descriptor_type(BindingKind::Image))
                        .image_info(info),
                });
            }
        }
        // SAFETY: sets and buffers are of this device, and no set is in use yet.
        unsafe { self.device.handle.update_descriptor_sets(&writes, &[]) };
        Ok(())
    }
}

impl Drop for DescriptorSets {
    fn drop(&mut self) {
        if self.device.may_free() {
            // SAFETY: the GPU is done with them; the pool frees what came from it.
            unsafe { self.device.handle.destroy_descriptor_pool(self.pool, None) };
        }
    }
}

impl Lists {
    fn new(
        program: &Program,
        descriptors: &[Descriptor],
        pipelines: &[PipelineHandles],
    ) -> Result<Self> {
        let mut index_of: HashMap<Vec<Descriptor>, usize> = HashMap::new();
        let mut this = Self {
            lists: Vec::new(),
            layouts: Vec::new(),
            used: Vec::with_capacity(pipelines.len()),
        };
        for (dispatch, pipeline) in program.dispatches.iter().zip(pipelines) {
            let bound = dispatch.bindings.iter().map(|binding| {
                let index = usize::try_from(binding.buffer.0).ok()?;
                descriptors.get(index).copied()
            });
            let list: Vec<Descriptor> = bound
                .collect::<Option<_>>()
                .ok_or_else(|| Error::internal("a bound buffer has no place"))?;
            let index = *index_of.entry(list.clone()).or_insert_with(|| {
                this.lists.push(list);
                this.layouts.push(pipeline.set_layout);
                this.lists.len() - 1
            });
            this.used.push(index);
        }
        Ok(this)
    }
}

impl Memory<'_, '_> {
    fn info(&self, descriptor: Descriptor) -> Result<DescriptorInfo> {
        let (region, offset, range) = match descriptor {
            Descriptor::Buffer {
                region,
                offset_bytes,
                size_bytes,
            } => (region, offset_bytes, size_bytes),
            Descriptor::Image(shape) => {
                let image = self.images.get(&shape);
                let image =
                    image.ok_or_else(|| Error::internal(format!("{shape:?} was not made")))?;
                return Ok(DescriptorInfo::Image([vk::DescriptorImageInfo::default()
                    .image_view(image.view())
                    .image_layout(vk::ImageLayout::GENERAL)]));
            }
        };
        let buffer = (self.buffer_of)(region)
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
        Ok(DescriptorInfo::Buffer([vk::DescriptorBufferInfo {
            buffer: buffer.handle(),
            offset,
            range,
        }]))
    }
}
