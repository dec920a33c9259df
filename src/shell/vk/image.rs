//! Storage images that show the memory of the workspace, and what a driver allocates for them.

use super::device::Device;
use super::lock;
use super::requirements::{format_of, image_info, of_image};
use crate::base::error::Result;
use crate::core::device::ImageSizes;
use crate::core::image::{ImageDimensions, ImageShape};
use ash::vk;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// An image bound to memory that it does not own, and its view.
pub(super) struct Image {
    handle: vk::Image,
    view: vk::ImageView,
    device: Arc<Device>,
}

impl Image {
    /// An image of `shape` in the first bytes of `memory`, whose type was chosen for images too and
    /// which holds what the driver asks for the shape.
    pub(super) fn new(
        device: &Arc<Device>,
        shape: ImageShape,
        memory: vk::DeviceMemory,
    ) -> Result<Self> {
        // SAFETY: the device is alive; planners only ask for what it can make.
        let created = unsafe { device.handle.create_image(&image_info(shape), None) };
        let handle = device.check("vkCreateImage", created)?;
        // From here on `Drop` cleans up; a null view is ignored.
        let mut image = Self {
            handle,
            view: vk::ImageView::null(),
            device: device.clone(),
        };
        device.name_object(handle, &format!("etvk workspace {:?}", shape.extent));
        // SAFETY: the image is new; the caller vouches for the memory.
        let bound = unsafe { device.handle.bind_image_memory(handle, memory, 0) };
        device.check("vkBindImageMemory", bound)?;
        let info = vk::ImageViewCreateInfo::default()
            .image(handle)
            .view_type(match shape.dimensions {
                ImageDimensions::Two => vk::ImageViewType::TYPE_2D,
                ImageDimensions::Three => vk::ImageViewType::TYPE_3D,
            })
            .format(format_of(shape.element))
            .subresource_range(WHOLE);
        // SAFETY: the image is bound and of this device.
        let created = unsafe { device.handle.create_image_view(&info, None) };
        image.view = device.check("vkCreateImageView", created)?;
        Ok(image)
    }

    pub(super) fn view(&self) -> vk::ImageView {
        self.view
    }

    /// Makes the image writable and forgets what its memory held. Waits for everything before.
    pub(super) fn claim(&self) -> vk::ImageMemoryBarrier<'static> {
        let all = vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE;
        vk::ImageMemoryBarrier::default()
            .src_access_mask(all)
            .dst_access_mask(all)
            .old_layout(vk::ImageLayout::UNDEFINED)
            .new_layout(vk::ImageLayout::GENERAL)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .image(self.handle)
            .subresource_range(WHOLE)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.device.may_free() {
            // SAFETY: the GPU is done with it. Its memory may be gone already.
            unsafe {
                self.device.handle.destroy_image_view(self.view, None);
                self.device.handle.destroy_image(self.handle, None);
            }
        }
    }
}

const WHOLE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// Sizes that are remembered; beyond, all are forgotten and asked for again.
const MAX_REMEMBERED: usize = 4096;

/// What the driver allocates for images, asked for once per shape.
pub(super) struct DriverImages {
    sizes: Mutex<HashMap<ImageShape, Option<u64>>>,
    device: Arc<Device>,
}

impl DriverImages {
    pub(super) fn new(device: &Arc<Device>) -> Self {
        Self {
            sizes: Mutex::default(),
            device: device.clone(),
        }
    }
}

impl ImageSizes for DriverImages {
    fn allocation_bytes(&self, image: ImageShape) -> Result<Option<u64>> {
        let device = &self.device;
        let mut formats = device.images().iter();
        let format = formats
            .find(|f| f.dimensions == image.dimensions && f.element == image.element)
            .filter(|f| {
                let mut extents = image.extent.iter().zip(f.max_extent);
                extents.all(|(&extent, max)| (1..=max).contains(&extent))
            });
        let Some(format) = format else {
            return Ok(None);
        };
        if let Some(&known) = lock(&self.sizes).get(&image) {
            return Ok(known);
        }
        let asked = of_image(&device.handle, image, format.max_bytes);
        let types = device.workspace_memory_types();
        let bytes = device
            .check("vkCreateImage", asked)?
            .filter(|r| r.memory_type_bits & types == types)
            .map(|r| r.size);
        let mut sizes = lock(&self.sizes);
        if sizes.len() >= MAX_REMEMBERED {
            sizes.clear();
        }
        sizes.insert(image, bytes);
        Ok(bytes)
    }
}
