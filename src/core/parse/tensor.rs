//! Tensor values: types, rank, and whether a constant has enough bytes.

use super::generated::wire;
use super::limits::{index, limit, MAX_RANK};
use crate::base::error::{Error, Result};
use crate::core::graph::{ConstantId, ConstantSource, TensorSpec, Value};
use crate::core::tensor::DType;

/// Type, dims and data of `tensor`.
pub(super) fn spec(
    tensor: wire::TensorValue<'_>,
    constants: &[ConstantSource],
) -> Result<TensorSpec> {
    let dtype = dtype(tensor.element_type())
        .ok_or_else(|| Error::blob(format!("unknown dtype {}", tensor.element_type().0)))?;
    let host_dtype = match tensor.host_element_type() {
        wire::ElementType::UNSET => dtype,
        host => self::dtype(host)
            .ok_or_else(|| Error::blob(format!("unknown staging dtype {}", host.0)))?,
    };
    let rank = tensor.dims().map_or(0, |d| d.len());
    limit("dims", rank, MAX_RANK)?;
    let dims = tensor
        .dims()
        .map(|d| d.iter().collect())
        .unwrap_or_default();
    // An absent field reads as constant 0; only a negative number says "no constant".
    let constant = match u32::try_from(tensor.constant()) {
        Ok(id) if index(id).is_some_and(|i| i < constants.len()) => Some(ConstantId(id)),
        Ok(id) => {
            let count = constants.len();
            return Err(Error::blob(format!(
                "constant {id} does not exist, there are {count}"
            )));
        }
        Err(_) => None,
    };
    let spec = TensorSpec {
        dtype,
        host_dtype,
        dims,
        constant,
    };
    check_data(&spec, constants)?;
    Ok(spec)
}

/// A constant holds at least the bytes of its tensor: exporters write the whole storage, which may
/// be larger. A named constant of stated length 0 states nothing.
fn check_data(spec: &TensorSpec, constants: &[ConstantSource]) -> Result<()> {
    let Some(id) = spec.constant else {
        return Ok(());
    };
    let have = match index(id.0).and_then(|i| constants.get(i)) {
        Some(ConstantSource::Named { size_bytes: 0, .. }) => return Ok(()),
        Some(ConstantSource::Named { size_bytes, .. }) => *size_bytes,
        Some(ConstantSource::Inline { size_bytes, .. }) => {
            u64::try_from(*size_bytes).unwrap_or(u64::MAX)
        }
        Some(ConstantSource::Empty) | None => 0,
    };
    if size_bytes_of(spec).is_some_and(|need| need <= have) {
        return Ok(());
    }
    Err(Error::blob(format!(
        "constant {} has {have} bytes, too few for {:?} of dims {:?}",
        id.0, spec.dtype, spec.dims
    )))
}

/// Where the program states no length of a named constant, it is what its largest tensor needs: the
/// host must have that much.
pub(super) fn need_data(values: &[Value], constants: &mut [ConstantSource]) {
    for value in values {
        let Value::Tensor(spec) = value else {
            continue;
        };
        let constant = spec.constant.and_then(|id| index(id.0));
        let constant = constant.and_then(|i| constants.get_mut(i));
        if let Some(ConstantSource::Named { size_bytes, .. }) = constant {
            let need = size_bytes_of(spec).unwrap_or(u64::MAX);
            *size_bytes = need.max(*size_bytes);
        }
    }
}

/// Bytes of its elements; `None` when that overflows.
fn size_bytes_of(spec: &TensorSpec) -> Option<u64> {
    spec.numel()?.checked_mul(spec.dtype.size_bytes())
}

/// The type of a number on the wire; `None` for `UNSET` and for numbers that mean nothing.
fn dtype(number: wire::ElementType) -> Option<DType> {
    Some(match number {
        wire::ElementType::BOOL => DType::Bool,
        wire::ElementType::U8 => DType::U8,
        wire::ElementType::I8 => DType::I8,
        wire::ElementType::I32 => DType::I32,
        wire::ElementType::F16 => DType::F16,
        wire::ElementType::F32 => DType::F32,
        wire::ElementType::F64 => DType::F64,
        wire::ElementType::I64 => DType::I64,
        _ => return None,
    })
}
