//! The features that kernels use where a device has them. None is required.

use super::failure;
use super::instance::{Instance, LIFETIME};
use super::lock;
use super::snapshot::{MatrixShape, Snapshot};
use crate::base::error::Result;
use ash::{khr, vk};
use std::ffi::c_char;

/// What kernels may use.
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
    /// Those that the device of `snapshot` has in the form that kernels need.
    pub(super) fn usable(snapshot: &Snapshot) -> Self {
        let (extensions, offered) = (&snapshot.extensions, &snapshot.features);
        let storage_16bit = offered.storage_buffer_16bit;
        let arithmetic_16bit = extensions.shader_float16_int8 && offered.shader_float16;
        let matrices = extensions.cooperative_matrix && offered.cooperative_matrix;
        let model = extensions.vulkan_memory_model && offered.vulkan_memory_model;
        Self {
            storage_16bit,
            arithmetic_16bit,
            matrix_16x16: matrices
                && model
                // An older validation layer refuses the extension.
                && snapshot.layers_know_matrices
                && storage_16bit
                && arithmetic_16bit
                && snapshot.subgroup_size == 32
                && snapshot.matrices.iter().any(MatrixShape::is_16x16),
        }
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
        let _lifetime = lock(&LIFETIME);
        // SAFETY: every pointer in `info` lives until the call returns.
        unsafe { instance.handle.create_device(physical, &info, None) }
            .map_err(|e| failure("vkCreateDevice", e))
    }
}

impl MatrixShape {
    /// Whether it is the one that kernels are written for.
    fn is_16x16(&self) -> bool {
        use vk::ComponentTypeKHR as T;
        self.mnk == [16; 3]
            && self.types == [T::FLOAT16, T::FLOAT16, T::FLOAT32, T::FLOAT32]
            && self.scope == vk::ScopeKHR::SUBGROUP
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Extensions, Offered};
    use super::*;
    use vk::ComponentTypeKHR as T;

    const MATRIX: MatrixShape = MatrixShape {
        mnk: [16; 3],
        types: [T::FLOAT16, T::FLOAT16, T::FLOAT32, T::FLOAT32],
        scope: vk::ScopeKHR::SUBGROUP,
    };

    /// A device that has everything, as an H100 has.
    fn everything() -> Snapshot {
        Snapshot {
            subgroup_size: 32,
            extensions: Extensions {
                shader_float16_int8: true,
                cooperative_matrix: true,
                vulkan_memory_model: true,
            },
            layers_know_matrices: true,
            features: Offered {
                storage_buffer_16bit: true,
                shader_float16: true,
                cooperative_matrix: true,
                vulkan_memory_model: true,
            },
            matrices: vec![MATRIX],
            ..Snapshot::default()
        }
    }

    /// What is usable of that device after `change`.
    fn without(change: impl FnOnce(&mut Snapshot)) -> Features {
        let mut snapshot = everything();
        change(&mut snapshot);
        Features::usable(&snapshot)
    }

    const ALL: Features = Features {
        storage_16bit: true,
        arithmetic_16bit: true,
        matrix_16x16: true,
    };
    const NO_MATRIX: Features = Features {
        matrix_16x16: false,
        ..ALL
    };

    #[test]
    fn a_device_with_everything_and_one_with_nothing() {
        assert_eq!(without(|_| {}), ALL);
        assert_eq!(Features::usable(&Snapshot::default()), Features::default());
    }

    #[test]
    fn storage_and_arithmetic_are_used_without_each_other() {
        let storage = without(|s| s.features.shader_float16 = false);
        assert_eq!(
            (storage.storage_16bit, storage.arithmetic_16bit),
            (true, false)
        );
        let arithmetic = without(|s| s.features.storage_buffer_16bit = false);
        assert_eq!(
            (arithmetic.storage_16bit, arithmetic.arithmetic_16bit),
            (false, true)
        );
        // Matrices need both.
        assert!(!storage.matrix_16x16 && !arithmetic.matrix_16x16);
    }

    #[test]
    fn a_feature_counts_only_with_its_extension() {
        let no_float16 = without(|s| s.extensions.shader_float16_int8 = false);
        assert!(no_float16.storage_16bit && !no_float16.arithmetic_16bit);
        assert_eq!(
            without(|s| s.extensions.cooperative_matrix = false),
            NO_MATRIX
        );
        assert_eq!(
            without(|s| s.extensions.vulkan_memory_model = false),
            NO_MATRIX
        );
        assert_eq!(
            without(|s| s.features.cooperative_matrix = false),
            NO_MATRIX
        );
        assert_eq!(
            without(|s| s.features.vulkan_memory_model = false),
            NO_MATRIX
        );
    }

    #[test]
    fn matrices_need_subgroups_of_32_and_layers_that_know_them() {
        for size in [1, 4, 8, 16, 64, 128] {
            assert_eq!(without(|s| s.subgroup_size = size), NO_MATRIX, "{size}");
        }
        assert_eq!(without(|s| s.layers_know_matrices = false), NO_MATRIX);
    }

    #[test]
    fn matrices_of_other_shapes_types_and_scopes_are_not_used() {
        let mut others = vec![];
        for mnk in [[16, 8, 16], [8, 16, 16], [16, 16, 8], [16, 16, 32], [8; 3]] {
            others.push(MatrixShape { mnk, ..MATRIX });
        }
        for at in 0..4 {
            let mut types = MATRIX.types;
            types[at] = if at < 2 { T::FLOAT32 } else { T::FLOAT16 };
            others.push(MatrixShape { types, ..MATRIX });
        }
        let scope = vk::ScopeKHR::WORKGROUP;
        others.push(MatrixShape { scope, ..MATRIX });
        for &other in &others {
            assert_eq!(
                without(|s| s.matrices = vec![other]),
                NO_MATRIX,
                "{other:?}"
            );
        }
        // Any place in the driver's list will do.
        others.push(MATRIX);
        assert_eq!(without(|s| s.matrices = others), ALL);
        assert_eq!(without(|s| s.matrices.clear()), NO_MATRIX);
    }
}
