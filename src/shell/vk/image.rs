//! Storage images that show the memory of another allocation, and what a device says of images.

use super::device::Device;
use super::lock;
use crate::base::error::Result;
use crate::core::device::{ImageExtents, ImageSizes};
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::tensor::Element;
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

/// What the driver asks for an image of `shape`; `None` where it makes none, which is said as a
/// lack of device memory when the image exceeds `max_bytes`.
fn requirements(
    device: &Device,
    shape: ImageShape,
    max_bytes: u64,
) -> Result<Option<vk::MemoryRequirements>> {
    // SAFETY: the device is alive; the image is destroyed at once and was used by nothing.
    unsafe {
        let image = match device.handle.create_image(&image_info(shape), None) {
            Ok(image) => image,
            // With alignment it may be larger than its texels.
            Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY) if shape.texel_bytes() >= max_bytes / 4 => {
                return Ok(None)
            }
            Err(error) => return device.check("vkCreateImage", Err(error)),
        };
        let requirements = device.handle.get_image_memory_requirements(image);
        device.handle.destroy_image(image, None);
        Ok(Some(requirements))
    }
}

/// Sizes that are remembered; beyond, all are forgotten and asked for again.
const MAX_REMEMBERED: usize = 4096;

/// The largest extent, and the most bytes.
type Largest = ([u32; 3], u64);

/// The images of a device, asked for once per shape.
#[derive(Default)]
pub(super) struct DriverImages {
    /// By dimensions and element.
    largest: HashMap<(ImageDimensions, Element), Largest>,
    /// Memory types that buffers and images can share; 0 when images are not supported.
    shared_types: u32,
    sizes: Mutex<HashMap<ImageShape, Option<u64>>>,
    /// Weak: the device's limits own this.
    device: Weak<Device>,
}

/// What is known of a device's images before it is shared.
pub(super) struct ImageFacts {
    largest: HashMap<(ImageDimensions, Element), Largest>,
    /// Memory types that buffers and images can share.
    pub(super) shared_types: u32,
}

impl ImageFacts {
    /// Asks which images shaders can store, and where they can lie. `device` is open on `physical`
    /// and knows the memory types of buffers.
    pub(super) fn ask(device: &Device, physical: vk::PhysicalDevice) -> Result<Self> {
        let instance = &device.instance.handle;
        let mut facts = Self {
            largest: HashMap::new(),
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
                let limits = match limits {
                    Ok(limits) if storable => limits,
                    Ok(_) | Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED) => continue,
                    Err(e) => {
                        return device.check("vkGetPhysicalDeviceImageFormatProperties", Err(e))
                    }
                };
                let smallest = ImageShape {
                    dimensions,
                    extent: [1; 3],
                    element,
                };
                let most_bytes = limits.max_resource_size;
                // The types of an image do not depend on its extent.
                let types = requirements(device, smallest, most_bytes)?;
                let types = types.map_or(0, |r| r.memory_type_bits);
                if facts.shared_types & types != 0 {
                    facts.shared_types &= types;
                    let most = limits.max_extent;
                    let extent = [most.width, most.height, most.depth];
                    let key = (dimensions, element);
                    facts.largest.insert(key, (extent, most_bytes));
                }
            }
        }
        Ok(facts)
    }

    /// The extents of [`DeviceLimits`](crate::core::device::DeviceLimits).
    pub(super) fn extents(&self) -> ImageExtents {
        let mut extents = ImageExtents::default();
        for (&(dimensions, element), &(extent, _)) in &self.largest {
            extents.set(dimensions, element, extent);
        }
        extents
    }

    /// The same as planners see it, for the device that `device` will be.
    pub(super) fn of(self, device: Weak<Device>) -> DriverImages {
        DriverImages {
            largest: self.largest,
            shared_types: self.shared_types,
            sizes: Mutex::default(),
            device,
        }
    }
}

impl DriverImages {
    fn largest(&self, dimensions: ImageDimensions, element: Element) -> Option<Largest> {
        self.largest.get(&(dimensions, element)).copied()
    }
}

impl ImageSizes for DriverImages {
    fn allocation_bytes(&self, image: ImageShape) -> Result<Option<u64>> {
        let Some((max, max_bytes)) = self.largest(image.dimensions, image.element) else {
            return Ok(None);
        };
        let mut extents = image.extent.iter().zip(max);
        if extents.any(|(&e, max)| e == 0 || e > max) {
            return Ok(None);
        }
        if let Some(&known) = lock(&self.sizes).get(&image) {
            return Ok(known);
        }
        let Some(device) = self.device.upgrade() else {
            return Ok(None);
        };
        let size = requirements(&device, image, max_bytes)?
            .filter(|r| r.memory_type_bits & self.shared_types == self.shared_types)
            .map(|r| r.size);
        let mut sizes = lock(&self.sizes);
        if sizes.len() >= MAX_REMEMBERED {
            sizes.clear();
        }
        sizes.insert(image, size);
        Ok(size)
    }
}
