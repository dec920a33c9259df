//! The features that kernels use where a device has them. None is required.

use super::failure;
use super::instance::{offers, Instance};
use super::physical::has_matrix_16x16;
use crate::base::error::Result;
use ash::{khr, vk};
use std::ffi::{c_char, c_void};

/// What is enabled, or can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// 16-bit members of storage buffers.
    pub(super) storage_16bit: bool,
    /// float16 arithmetic.
    pub(super) arithmetic_16bit: bool,
    /// Cooperative matrices of 16x16x16, float16 into float32, over subgroups of 32.
    pub(super) matrix_16x16: bool,
}

impl Features {
    /// What `physical`, which was enumerated from `instance`, can do.
    pub(super) fn offered(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        subgroup_size: u32,
    ) -> Result<Self> {
        // SAFETY: `physical` was enumerated from `instance`, which is alive.
        let present = unsafe {
            instance
                .handle
                .enumerate_device_extension_properties(physical)
        }
        .map_err(|e| failure("vkEnumerateDeviceExtensionProperties", e))?;
        let float16_offered = offers(&present, khr::shader_float16_int8::NAME);
        let mut has_storage16 = vk::PhysicalDevice16BitStorageFeatures::default();
        let mut has_float16 = vk::PhysicalDeviceShaderFloat16Int8Features::default();
        let matrix_offered = instance.matrices
            && offers(&present, khr::cooperative_matrix::NAME)
            && offers(&present, khr::vulkan_memory_model::NAME);
        let mut has_matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut has_model = vk::PhysicalDeviceVulkanMemoryModelFeatures::default();
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut has_storage16);
        if float16_offered {
            features = features.push_next(&mut has_float16);
        }
        if matrix_offered {
            features = features
                .push_next(&mut has_matrix)
                .push_next(&mut has_model);
        }
        // SAFETY: the chain holds structures that the device knows: core 1.1, or offered above.
        unsafe {
            instance
                .handle
                .get_physical_device_features2(physical, &mut features)
        };
        let found = Self {
            storage_16bit: has_storage16.storage_buffer16_bit_access == vk::TRUE,
            arithmetic_16bit: float16_offered && has_float16.shader_float16 == vk::TRUE,
            matrix_16x16: matrix_offered
                && has_matrix.cooperative_matrix == vk::TRUE
                && has_model.vulkan_memory_model == vk::TRUE,
        };
        found.with_usable_matrices(instance, physical, subgroup_size)
    }

    /// The same without matrices that kernels cannot use.
    pub(super) fn with_usable_matrices(
        mut self,
        instance: &Instance,
        physical: vk::PhysicalDevice,
        subgroup_size: u32,
    ) -> Result<Self> {
        self.matrix_16x16 = self.matrix_16x16
            && self.storage_16bit
            && self.arithmetic_16bit
            && subgroup_size == 32
            && has_matrix_16x16(&instance.entry, &instance.handle, physical)?;
        Ok(self)
    }

    /// Opens `physical`, which offers them, with one queue of the family.
    pub(super) fn open(
        self,
        instance: &Instance,
        physical: vk::PhysicalDevice,
        queue_family: u32,
    ) -> Result<ash::Device> {
        let mut extensions: Vec<*const c_char> = Vec::new();
        let mut storage16 = vk::PhysicalDevice16BitStorageFeatures::default()
            .storage_buffer16_bit_access(self.storage_16bit);
        let mut float16 =
            vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(true);
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(queue_family)
            .queue_priorities(&priorities)];
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .push_next(&mut storage16);
        if self.arithmetic_16bit {
            extensions.push(khr::shader_float16_int8::NAME.as_ptr());
            info = info.push_next(&mut float16);
        }
        let mut matrix =
            vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
        let mut model =
            vk::PhysicalDeviceVulkanMemoryModelFeatures::default().vulkan_memory_model(true);
        if self.matrix_16x16 {
            extensions.push(khr::cooperative_matrix::NAME.as_ptr());
            extensions.push(khr::vulkan_memory_model::NAME.as_ptr());
            info = info.push_next(&mut matrix).push_next(&mut model);
        }
        let info = info.enabled_extension_names(&extensions);
        // SAFETY: every pointer in `info` lives until the call returns.
        unsafe { instance.handle.create_device(physical, &info, None) }
            .map_err(|e| failure("vkCreateDevice", e))
    }

    /// What the pNext chain of a VkDeviceCreateInfo enables.
    ///
    /// # Safety
    /// Null, or a chain as Vulkan takes it.
    pub(super) unsafe fn of_chain(chain: *const c_void) -> Self {
        use vk::StructureType as S;
        let mut found = Self::default();
        let (mut matrices, mut model) = (false, false);
        let mut next = chain.cast::<vk::BaseInStructure<'_>>();
        // SAFETY: each structure starts with its type and the pointer to the next; the type says
        // what it is.
        unsafe {
            while let Some(structure) = next.as_ref() {
                match structure.s_type {
                    S::PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDevice16BitStorageFeatures<'_>>();
                        found.storage_16bit |= this.storage_buffer16_bit_access == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_1_1_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkan11Features<'_>>();
                        found.storage_16bit |= this.storage_buffer16_bit_access == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceShaderFloat16Int8Features<'_>>();
                        found.arithmetic_16bit |= this.shader_float16 == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_1_2_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkan12Features<'_>>();
                        found.arithmetic_16bit |= this.shader_float16 == vk::TRUE;
                        model |= this.vulkan_memory_model == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES => {
                        let this = &*next.cast::<vk::PhysicalDeviceVulkanMemoryModelFeatures<'_>>();
                        model |= this.vulkan_memory_model == vk::TRUE;
                    }
                    S::PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR => {
                        let this =
                            &*next.cast::<vk::PhysicalDeviceCooperativeMatrixFeaturesKHR<'_>>();
                        matrices |= this.cooperative_matrix == vk::TRUE;
                    }
                    _ => {}
                }
                next = structure.p_next;
            }
        }
        found.matrix_16x16 = matrices && model;
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
            assert_eq!(Features::of_chain(std::ptr::null()), Features::default());
            let mut storage =
                vk::PhysicalDevice16BitStorageFeatures::default().storage_buffer16_bit_access(true);
            let mut newer = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let mut matrix =
                vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
            let chain = vk::PhysicalDeviceFeatures2::default()
                .push_next(&mut storage)
                .push_next(&mut newer)
                .push_next(&mut matrix);
            let want = Features {
                storage_16bit: true,
                arithmetic_16bit: false,
                matrix_16x16: true,
            };
            assert_eq!(Features::of_chain((&raw const chain).cast()), want);
        }
    }
}
