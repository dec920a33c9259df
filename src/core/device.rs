//! What planners know of a device: plain limits, and the one question that only its driver answers.

use crate::base::error::Result;
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::tensor::{DType, Element};

/// What kind of device it is; planners choose kernels by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "Vulkan's own names")]
pub enum DeviceClass {
    Discrete,
    Integrated,
    Virtual,
    Cpu,
    Other,
}

/// Most texels along x, y, z of the storage images that shaders can write; `None` where they can write
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageExtents {
    extents: [[Option<[u32; 3]>; 2]; 2],
}

impl ImageExtents {
    /// The extent of images of `dimensions` whose texels hold `element`.
    pub fn get(&self, dimensions: ImageDimensions, element: Element) -> Option<[u32; 3]> {
        let [d, e] = place(dimensions, element)?;
        self.extents[d][e]
    }

    /// Sets it; elements that images do not hold are ignored.
    pub fn set(&mut self, dimensions: ImageDimensions, element: Element, extent: [u32; 3]) {
        if let Some([d, e]) = place(dimensions, element) {
            self.extents[d][e] = Some(extent);
        }
    }
}

fn place(dimensions: ImageDimensions, element: Element) -> Option<[usize; 2]> {
    let element = match element {
        Element::F32 => 0,
        Element::F16 => 1,
        Element::I32 => return None,
    };
    Some([dimensions as usize, element])
}

/// What a driver allocates for a storage image, alignment of rows and layers included. A trait, so
/// that planners are tested against drivers that align as no real one does.
pub trait ImageSizes {
    /// Bytes that the driver allocates for `image`; `None` where it cannot be made. An error is the
    /// driver's failure to answer: no plan can rest on it.
    fn allocation_bytes(&self, image: ImageShape) -> Result<Option<u64>>;
}

/// A driver that makes no image at all.
#[derive(Clone, Copy, Debug)]
pub struct NoImages;

impl ImageSizes for NoImages {
    fn allocation_bytes(&self, _: ImageShape) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// What planners know of a device.
#[derive(Clone, Copy)]
pub struct DeviceView<'a> {
    /// Plain data.
    pub limits: &'a DeviceLimits,
    /// What its driver answers.
    pub images: &'a dyn ImageSizes,
}

/// Plain snapshot of a physical device: all that planners know of it beside [`ImageSizes`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceLimits {
    /// Kind of device.
    pub class: DeviceClass,
    /// PCI vendor.
    pub vendor_id: u32,
    /// Largest range that one descriptor may show.
    pub max_storage_buffer_range_bytes: u64,
    /// Largest single device allocation.
    pub max_allocation_bytes: u64,
    /// Offset alignment of descriptors.
    pub storage_buffer_alignment_bytes: u64,
    /// Workgroups per dispatch in x, y, z.
    pub max_workgroup_count: [u32; 3],
    /// Invocations per workgroup.
    pub max_workgroup_invocations: u32,
    /// Invocations per workgroup in x, y, z.
    pub max_workgroup_size: [u32; 3],
    /// Shared memory per workgroup.
    pub max_shared_memory_bytes: u32,
    /// Push constants per pipeline layout; 128 is guaranteed.
    pub max_push_constant_bytes: u32,
    /// Invocations per subgroup.
    pub subgroup_size: u32,
    /// Whether shaders may store 16-bit elements.
    pub storage_16bit: bool,
    /// Whether shaders may compute in fp16.
    pub arithmetic_16bit: bool,
    /// Whether a subgroup of 32 multiplies fp16 matrices of 16x16 with 32-bit sums.
    pub matrix_16x16: bool,
    /// Allocations of buffers are rounded up to multiples of this; at least 1.
    pub allocation_granularity_bytes: u64,
    /// Most texels along x, y, z of storage images.
    pub image_extents: ImageExtents,
}

impl DeviceLimits {
    /// How the device stores elements of `dtype`.
    pub fn element(&self, dtype: DType) -> Element {
        match dtype {
            DType::Bool | DType::U8 | DType::I8 | DType::I32 | DType::I64 => Element::I32,
            DType::F16 if self.storage_16bit => Element::F16,
            DType::F16 | DType::F32 | DType::F64 => Element::F32,
        }
    }

    /// Why a workgroup of `local_size` invocations in a line with `shared_bytes` of shared memory does
    /// not fit, if it does not.
    pub fn fits_workgroup(
        &self,
        local_size: u32,
        shared_bytes: u64,
    ) -> std::result::Result<(), String> {
        let most = self
            .max_workgroup_invocations
            .min(self.max_workgroup_size[0]);
        if local_size > most {
            return Err(format!(
                "a workgroup of {local_size} invocations, the device allows {most}"
            ));
        }
        if shared_bytes > self.max_shared_memory_bytes.into() {
            return Err(format!(
                "{shared_bytes} bytes of shared memory, the device has {}",
                self.max_shared_memory_bytes
            ));
        }
        Ok(())
    }

    /// The least that any Vulkan 1.1 device guarantees, with the storage range that is usual:
    /// for tests that need no GPU.
    pub fn minimum() -> Self {
        Self {
            class: DeviceClass::Other,
            vendor_id: 0,
            max_storage_buffer_range_bytes: 1 << 27,
            max_allocation_bytes: 1 << 30,
            storage_buffer_alignment_bytes: 256,
            max_workgroup_count: [65_535; 3],
            max_workgroup_invocations: 128,
            max_workgroup_size: [128, 128, 64],
            max_shared_memory_bytes: 16 << 10,
            max_push_constant_bytes: 128,
            subgroup_size: 4,
            storage_16bit: false,
            arithmetic_16bit: false,
            matrix_16x16: false,
            allocation_granularity_bytes: 256,
            image_extents: ImageExtents::default(),
        }
    }
}
