//! How buffers and images are made, and what a driver asks for them: one is made for the question and
//! destroyed at once.

use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::tensor::Element;
use ash::prelude::VkResult;
use ash::vk;

/// What images are used for.
pub(super) const IMAGE_USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::STORAGE;

pub(super) fn format_of(element: Element) -> vk::Format {
    match element {
        Element::F32 => vk::Format::R32G32B32A32_SFLOAT,
        Element::F16 => vk::Format::R16G16B16A16_SFLOAT,
        Element::I32 => vk::Format::R32G32B32A32_SINT,
    }
}

pub(super) fn image_type_of(dimensions: ImageDimensions) -> vk::ImageType {
    match dimensions {
        ImageDimensions::Two => vk::ImageType::TYPE_2D,
        ImageDimensions::Three => vk::ImageType::TYPE_3D,
    }
}

/// How every buffer of this library is made.
pub(super) fn buffer_info(size_bytes: u64) -> vk::BufferCreateInfo<'static> {
    vk::BufferCreateInfo::default()
        .size(size_bytes)
        .usage(
            vk::BufferUsageFlags::STORAGE_BUFFER
                | vk::BufferUsageFlags::TRANSFER_SRC
                | vk::BufferUsageFlags::TRANSFER_DST,
        )
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
}

/// How every image of this library is made.
pub(super) fn image_info(shape: ImageShape) -> vk::ImageCreateInfo<'static> {
    let [width, height, depth] = shape.extent;
    vk::ImageCreateInfo::default()
        .image_type(image_type_of(shape.dimensions))
        .format(format_of(shape.element))
        .extent(vk::Extent3D {
            width,
            height,
            depth,
        })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::OPTIMAL)
        .usage(IMAGE_USAGE)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

/// What the driver asks for a buffer of `size_bytes` (not 0).
pub(super) fn of_buffer(device: &ash::Device, size_bytes: u64) -> VkResult<vk::MemoryRequirements> {
    // SAFETY: the device is alive; the buffer is destroyed at once and was used by nothing.
    unsafe {
        let buffer = device.create_buffer(&buffer_info(size_bytes), None)?;
        let requirements = device.get_buffer_memory_requirements(buffer);
        device.destroy_buffer(buffer, None);
        Ok(requirements)
    }
}

/// What the driver asks for an image of `shape`; `None` where it makes none, which it says as a lack
/// of device memory when the image exceeds `max_bytes`.
pub(super) fn of_image(
    device: &ash::Device,
    shape: ImageShape,
    max_bytes: u64,
) -> VkResult<Option<vk::MemoryRequirements>> {
    // SAFETY: the device is alive; the image is destroyed at once and was used by nothing.
    unsafe {
        let image = match device.create_image(&image_info(shape), None) {
            Ok(image) => image,
            // With alignment it may be larger than its texels.
            Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY) if shape.texel_bytes() >= max_bytes / 4 => {
                return Ok(None)
            }
            Err(error) => return Err(error),
        };
        let requirements = device.get_image_memory_requirements(image);
        device.destroy_image(image, None);
        Ok(Some(requirements))
    }
}
