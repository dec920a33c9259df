//! Storage images that show the memory of another allocation, and what a device says of images.

use super::device::Device;
use super::lock;
use crate::error::Result;
use crate::tensor::{Element, ImageDimensions, ImageShape, Images};
use ash::vk;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

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
        let all = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
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
        // SAFETY: every submission that used it was waited for. Its memory may be gone already.
        unsafe {
            self.device.handle.destroy_image_view(self.view, None);
            self.device.handle.destroy_image(self.handle, None);
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

const USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::STORAGE;

fn format_of(element: Element) -> vk::Format {
    match element {
        Element::F32 => vk::Format::R32G32B32A32_SFLOAT,
        Element::F16 => vk::Format::R16G16B16A16_SFLOAT,
        Element::I32 => vk::Format::R32G32B32A32_SINT,
    }
}

fn type_of(dimensions: ImageDimensions) -> vk::ImageType {
    match dimensions {
        ImageDimensions::Two => vk::ImageType::TYPE_2D,
        ImageDimensions::Three => vk::ImageType::TYPE_3D,
    }
}

/// How every image of this library is made.
fn image_info(shape: ImageShape) -> vk::ImageCreateInfo<'static> {
    let [width, height, depth] = shape.extent;
    vk::ImageCreateInfo::default()
        .image_type(type_of(shape.dimensions))
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
        .usage(USAGE)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

/// What the driver asks for an image of `shape`; `None` where it makes none.
fn requirements(device: &ash::Device, shape: ImageShape) -> Option<vk::MemoryRequirements> {
    // SAFETY: the device is alive; the image is destroyed at once and was used by nothing.
    unsafe {
        let image = device.create_image(&image_info(shape), None).ok()?;
        let requirements = device.get_image_memory_requirements(image);
        device.destroy_image(image, None);
        Some(requirements)
    }
}

/// Sizes that are remembered; beyond, all are forgotten and asked for again.
const MAX_REMEMBERED: usize = 4096;

/// The images of a device, asked for once per shape.
pub(super) struct DriverImages {
    /// By dimensions and element: the largest extents.
    extents: HashMap<(ImageDimensions, Element), [u32; 3]>,
    /// Memory types that buffers and images can share; 0 when images are not supported.
    shared_types: u32,
    sizes: Mutex<HashMap<ImageShape, Option<u64>>>,
    /// Weak: the device's limits own this.
    device: Weak<Device>,
}

impl std::fmt::Debug for DriverImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverImages")
            .field("extents", &self.extents)
            .finish_non_exhaustive()
    }
}

/// What is known of a device's images before it is shared.
pub(super) struct ImageFacts {
    extents: HashMap<(ImageDimensions, Element), [u32; 3]>,
    /// Memory types that buffers and images can share.
    pub(super) shared_types: u32,
}

impl ImageFacts {
    /// Asks which images shaders can store, and where they can lie. `device` is open on `physical`
    /// and knows the memory types of buffers.
    pub(super) fn ask(device: &Device, physical: vk::PhysicalDevice) -> Self {
        let instance = &device.instance.handle;
        let mut facts = Self {
            extents: HashMap::new(),
            shared_types: device.shared_memory_types,
        };
        for dimensions in [ImageDimensions::Two, ImageDimensions::Three] {
            for element in [Element::F32, Element::F16] {
                // SAFETY: `physical` was enumerated from `instance`, which is alive.
                let (format, limits) = unsafe {
                    (
                        instance
                            .get_physical_device_format_properties(physical, format_of(element)),
                        instance.get_physical_device_image_format_properties(
                            physical,
                            format_of(element),
                            type_of(dimensions),
                            vk::ImageTiling::OPTIMAL,
                            USAGE,
                            vk::ImageCreateFlags::empty(),
                        ),
                    )
                };
                let storable = format
                    .optimal_tiling_features
                    .contains(vk::FormatFeatureFlags::STORAGE_IMAGE);
                let smallest = ImageShape {
                    dimensions,
                    extent: [1; 3],
                    element,
                };
                let types =
                    requirements(&device.handle, smallest).map_or(0, |r| r.memory_type_bits);
                if let (true, Ok(limits)) = (storable, limits) {
                    // The types of an image do not depend on its extent.
                    if facts.shared_types & types != 0 {
                        facts.shared_types &= types;
                        let most = limits.max_extent;
                        facts
                            .extents
                            .insert((dimensions, element), [most.width, most.height, most.depth]);
                    }
                }
            }
        }
        facts
    }

    /// The same as planners see it, for the device that `device` will be.
    pub(super) fn of(self, device: Weak<Device>) -> DriverImages {
        DriverImages {
            extents: self.extents,
            shared_types: self.shared_types,
            sizes: Mutex::default(),
            device,
        }
    }
}

impl Images for DriverImages {
    fn max_extent(&self, dimensions: ImageDimensions, element: Element) -> Option<[u32; 3]> {
        self.extents.get(&(dimensions, element)).copied()
    }

    fn allocation_bytes(&self, image: ImageShape) -> Option<u64> {
        let max = self.max_extent(image.dimensions, image.element)?;
        if image
            .extent
            .iter()
            .zip(max)
            .any(|(&e, max)| e == 0 || e > max)
        {
            return None;
        }
        let mut sizes = lock(&self.sizes);
        if let Some(&known) = sizes.get(&image) {
            return known;
        }
        let device = self.device.upgrade()?;
        let size = requirements(&device.handle, image)
            .filter(|r| r.memory_type_bits & self.shared_types == self.shared_types)
            .map(|r| r.size);
        if sizes.len() >= MAX_REMEMBERED {
            sizes.clear();
        }
        sizes.insert(image, size);
        drop(sizes);
        size
    }
}
