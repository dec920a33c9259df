//! Where constants come from, and single elements of their bytes.

use crate::base::error::Result;
use crate::core::graph::ConstantSource;
use crate::core::tensor::DType;
use half::f16;

/// Gives the bytes of constants. They are borrowed for the call of `read`, so a host may unmap them
/// right after.
pub trait ConstantData {
    /// Calls `read` with the bytes of `source`.
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;
}

/// Element `at` of `bytes`; 0 beyond the end, which `validate` rules out.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    at.checked_mul(N)
        .and_then(|start| bytes.get(start..start.checked_add(N)?))
        .and_then(|slice| slice.try_into().ok())
        .unwrap_or([0; N])
}

/// Element `at` as a float, converted as PyTorch converts.
pub fn read_float(dtype: DType, bytes: &[u8], at: usize) -> f32 {
    match dtype {
        DType::F32 => f32::from_le_bytes(field(bytes, at)),
        DType::F16 => f16::from_le_bytes(field(bytes, at)).to_f32(),
        DType::F64 => f64::from_le_bytes(field(bytes, at)) as f32,
        _ => read_int(dtype, bytes, at) as f32,
    }
}

/// Element `at` as an integer: 64-bit ones keep their low half, booleans are 0 or 1.
pub fn read_int(dtype: DType, bytes: &[u8], at: usize) -> i32 {
    match dtype {
        DType::Bool => i32::from(field::<1>(bytes, at)[0] != 0),
        DType::U8 => i32::from(field::<1>(bytes, at)[0]),
        DType::I8 => i32::from(i8::from_le_bytes(field(bytes, at))),
        DType::I32 => i32::from_le_bytes(field(bytes, at)),
        DType::I64 => i64::from_le_bytes(field(bytes, at)) as i32,
        DType::F16 | DType::F32 | DType::F64 => read_float(dtype, bytes, at) as i32,
    }
}
