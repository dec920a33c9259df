//! What a driver says of a physical device, as plain data: everything that is decided from it is
//! decided without a GPU.

use super::failure;
use super::instance::{offers, Instance};
use super::requirements::{format_of, image_type_of, IMAGE_USAGE};
use crate::base::error::Result;
use crate::core::image::ImageDimensions;
use crate::core::tensor::Element;
use ash::{khr, vk};
use std::ffi::c_void;

/// A physical device and what of it can be used.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) properties: vk::PhysicalDeviceProperties,
    pub(super) queue_families: Vec<vk::QueueFamilyProperties>,
    pub(super) memory: vk::PhysicalDeviceMemoryProperties,
    /// Largest single allocation.
    pub(super) max_allocation_bytes: u64,
    pub(super) subgroup_size: u32,
    pub(super) extensions: Extensions,
    /// Whether every layer knows VK_KHR_cooperative_matrix.
    pub(super) layers_know_matrices: bool,
    pub(super) features: Offered,
    pub(super) matrices: Vec<MatrixShape>,
    /// The images that shaders can store.
    pub(super) images: Vec<ImageFormat>,
}

/// The extensions that kernels use: what is offered, or what a host has enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) shader_float16_int8: bool,
    pub(super) cooperative_matrix: bool,
    pub(super) vulkan_memory_model: bool,
}

/// The features that kernels use, under Vulkan's names: what is offered, or what a host has enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) storage_buffer_16bit: bool,
    pub(super) shader_float16: bool,
    pub(super) cooperative_matrix: bool,
    pub(super) vulkan_memory_model: bool,
}

/// A product of matrices that a subgroup does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatrixShape {
    /// Rows and columns of the result, and the length of its sums.
    pub(super) mnk: [u32; 3],
    /// Of both operands, of what is added, and of the result.
    pub(super) types: [vk::ComponentTypeKHR; 4],
    pub(super) scope: vk::ScopeKHR,
}

/// Images that shaders can store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageFormat {
    pub(super) dimensions: ImageDimensions,
    pub(super) element: Element,
    /// Most texels along x, y, z.
    pub(super) max_extent: [u32; 3],
    /// Most bytes of one image.
    pub(super) max_bytes: u64,
}

impl Snapshot {
    /// What `physical`, which was enumerated from `instance`, offers.
    pub(super) fn ask(instance: &Instance, physical: vk::PhysicalDevice) -> Result<Self> {
        let mut snapshot = Self::of_device(instance, physical)?;
        snapshot.extensions = offered_extensions(instance, physical)?;
        snapshot.features = offered_features(instance, physical, snapshot.extensions);
        snapshot.ask_matrices(instance, physical)?;
        Ok(snapshot)
    }

    /// The same where the host has enabled no more than what the chain of its device says.
    ///
    /// # Safety
    /// The chain is null, or one of a VkDeviceCreateInfo.
    pub(super) unsafe fn ask_host(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        chain: *const c_void,
    ) -> Result<Self> {
        let mut snapshot = Self::of_device(instance, physical)?;
        // A feature is enabled only together with its extension.
        snapshot.extensions = Extensions {
            shader_float16_int8: true,
            cooperative_matrix: true,
            vulkan_memory_model: true,
        };
        // SAFETY: the caller's promise.
        snapshot.features = unsafe { Offered::of_chain(chain) };
        snapshot.ask_matrices(instance, physical)?;
        Ok(snapshot)
    }

    /// What does not depend on extensions.
    fn of_device(instance: &Instance, physical: vk::PhysicalDevice) -> Result<Self> {
        let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
        let mut maintenance3 = vk::PhysicalDeviceMaintenance3Properties::default();
        let mut chain = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut subgroup)
            .push_next(&mut maintenance3);
        let handle = &instance.handle;
        // SAFETY: both chained structures are core in Vulkan 1.1, which the device has; `physical`
        // was enumerated from `instance`, which is alive.
        let (queue_families, memory) = unsafe {
            handle.get_physical_device_properties2(physical, &mut chain);
            (
                handle.get_physical_device_queue_family_properties(physical),
                handle.get_physical_device_memory_properties(physical),
            )
        };
        Ok(Self {
            properties: chain.properties,
            queue_families,
            memory,
            max_allocation_bytes: maintenance3.max_memory_allocation_size,
            subgroup_size: subgroup.subgroup_size,
            layers_know_matrices: instance.layers_know_matrices,
            images: image_formats(instance, physical)?,
            ..Self::default()
        })
    }

    fn ask_matrices(&mut self, instance: &Instance, physical: vk::PhysicalDevice) -> Result<()> {
        if !self.features.cooperative_matrix {
            return Ok(());
        }
        let functions = khr::cooperative_matrix::Instance::new(&instance.entry, &instance.handle);
        // SAFETY: `physical` was enumerated from `instance` and has the extension.
        let found =
            unsafe { functions.get_physical_device_cooperative_matrix_properties(physical) }
                .map_err(|e| failure("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", e))?;
        let shape = |kind: &vk::CooperativeMatrixPropertiesKHR<'_>| MatrixShape {
            mnk: [kind.m_size, kind.n_size, kind.k_size],
            types: [kind.a_type, kind.b_type, kind.c_type, kind.result_type],
            scope: kind.scope,
        };
        self.matrices = found.iter().map(shape).collect();
        Ok(())
    }
}

fn offered_extensions(instance: &Instance, physical: vk::PhysicalDevice) -> Result<Extensions> {
    let handle = &instance.handle;
    // SAFETY: `physical` was enumerated from `instance`, which is alive.
    let present = unsafe { handle.enumerate_device_extension_properties(physical) }
        .map_err(|e| failure("vkEnumerateDeviceExtensionProperties", e))?;
    Ok(Extensions {
        shader_float16_int8: offers(&present, khr::shader_float16_int8::NAME),
        cooperative_matrix: offers(&present, khr::cooperative_matrix::NAME),
        vulkan_memory_model: offers(&present, khr::vulkan_memory_model::NAME),
    })
}

fn offered_features(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    extensions: Extensions,
) -> Offered {
    let mut storage = vk::PhysicalDevice16BitStorageFeatures::default();
    let mut float16 = vk::PhysicalDeviceShaderFloat16Int8Features::default();
    let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
    let mut model = vk::PhysicalDeviceVulkanMemoryModelFeatures::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut storage);
    if extensions.shader_float16_int8 {
        features = features.push_next(&mut float16);
    }
    if extensions.cooperative_matrix && instance.layers_know_matrices {
        features = features.push_next(&mut matrix);
    }
    if extensions.vulkan_memory_model {
        features = features.push_next(&mut model);
    }
    let handle = &instance.handle;
    // SAFETY: the chain holds structures that the device knows: core 1.1, or of its extensions.
    unsafe { handle.get_physical_device_features2(physical, &mut features) };
    Offered {
        storage_buffer_16bit: storage.storage_buffer16_bit_access == vk::TRUE,
        shader_float16: float16.shader_float16 == vk::TRUE,
        cooperative_matrix: matrix.cooperative_matrix == vk::TRUE,
        vulkan_memory_model: model.vulkan_memory_model == vk::TRUE,
    }
}

fn image_formats(instance: &Instance, physical: vk::PhysicalDevice) -> Result<Vec<ImageFormat>> {
    let handle = &instance.handle;
    let mut found = Vec::new();
    for dimensions in [ImageDimensions::Two, ImageDimensions::Three] {
        for element in [Element::F32, Element::F16] {
            let format = format_of(element);
            // SAFETY: `physical` was enumerated from `instance`, which is alive.
            let (properties, limits) = unsafe {
                (
                    handle.get_physical_device_format_properties(physical, format),
                    handle.get_physical_device_image_format_properties(
                        physical,
                        format,
                        image_type_of(dimensions),
                        vk::ImageTiling::OPTIMAL,
                        IMAGE_USAGE,
                        vk::ImageCreateFlags::empty(),
                    ),
                )
            };
            let storable = properties
                .optimal_tiling_features
                .contains(vk::FormatFeatureFlags::STORAGE_IMAGE);
            let limits = match limits {
                Ok(limits) if storable => limits,
                Ok(_) | Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED) => continue,
                Err(e) => return Err(failure("vkGetPhysicalDeviceImageFormatProperties", e)),
            };
            let most = limits.max_extent;
            found.push(ImageFormat {
                dimensions,
                element,
                max_extent: [most.width, most.height, most.depth],
                max_bytes: limits.max_resource_size,
            });
        }
    }
    Ok(found)
}

impl Offered {
    /// What the pNext chain of a VkDeviceCreateInfo enables.
    ///
    /// # Safety
    /// Null, or a chain as Vulkan takes it.
    unsafe fn of_chain(chain: *const c_void) -> Self {
        use vk::StructureType as S;
        let mut found = Self::default();
        let mut next = chain.cast::<vk::BaseInStructure<'_>>();
        // SAFETY: each structure starts with its type and the pointer to the next; the type says
        // what it is.
        unsafe {
            while let Some(structure) = next.as_ref() {
                match structure.s_type {
                    S::PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDevice16BitStorageFeatures<'_>>();
                        found.storage_buffer_16bit |= this.storage_buffer16_bit_access == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_1_1_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkan11Features<'_>>();
                        found.storage_buffer_16bit |= this.storage_buffer16_bit_access == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceShaderFloat16Int8Features<'_>>();
                        found.shader_float16 |= this.shader_float16 == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_1_2_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkan12Features<'_>>();
                        found.shader_float16 |= this.shader_float16 == vk::TRUE;
                        found.vulkan_memory_model |= this.vulkan_memory_model == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkanMemoryModelFeatures<'_>>();
                        found.vulkan_memory_model |= this.vulkan_memory_model == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR => {
                        let this =
                            &*next.cast::<vk::PhysicalDeviceCooperativeMatrixFeaturesKHR<'_>>();
                        found.cooperative_matrix |= this.cooperative_matrix == vk::TRUE;
                    }
                    _ => {}
                }
                next = structure.p_next;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_read_by_type() {
        // SAFETY: null, then chains of structures that live.
        unsafe {
            assert_eq!(Offered::of_chain(std::ptr::null()), Offered::default());
            let mut storage =
                vk::PhysicalDevice16BitStorageFeatures::default().storage_buffer16_bit_access(true);
            let mut newer = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let mut matrix =
                vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
            let chain = vk::PhysicalDeviceFeatures2::default()
                .push_next(&mut storage)
                .push_next(&mut newer)
                .push_next(&mut matrix);
            let want = Offered {
                storage_buffer_16bit: true,
                shader_float16: false,
                cooperative_matrix: true,
                vulkan_memory_model: true,
            };
            assert_eq!(Offered::of_chain((&raw const chain).cast()), want);
        }
    }
}
