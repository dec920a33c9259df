//! Planes: what pooling and resampling have in common. The kernel makes each element of a target
//! `[n, c, h, w]` from the plane `[n, c]` of a source.

use crate::base::error::{Error, Result};
use crate::core::tensor::{Layout, Tensor};

/// `t` with rank 4: `[c, h, w]` gets an `n` of 1.
pub fn with_batch(t: &Tensor) -> Result<Tensor> {
    match t.dims.len() {
        4 => Ok(t.clone()),
        3 => Ok(super::window::insert(t, 0, 1)),
        _ => Err(Error::unsupported(format!(
            "planes of dims {:?}: rank 3 or 4 is supported",
            t.dims
        ))),
    }
}

/// The last two dims.
pub fn plane_of(dims: &[u32]) -> Result<[u32; 2]> {
    match dims {
        [.., h, w] => Ok([*h, *w]),
        _ => Err(Error::blob(format!("no planes in dims {dims:?}"))),
    }
}

/// Push constants of `shaders/lib/planes.glsl`; `source` and `target` have rank 4. A kernel's own
/// follow.
pub fn push(source: &Tensor, target: &Tensor) -> Result<Vec<u32>> {
    let count = u32::try_from(target.numel())
        .map_err(|_| Error::unsupported(format!("{} elements", target.numel())))?;
    let mut words = vec![count, target.dims[1], target.dims[2], target.dims[3]];
    words.push(signed(source.offset)?);
    words.push(signed(target.offset)?);
    for &stride in source.strides.iter().chain(&target.strides) {
        words.push(signed(stride)?);
    }
    Ok(words)
}

/// Specialization constant 3: whether channels are innermost in the target's memory.
pub fn channels_last(target: &Tensor) -> u32 {
    u32::from(target.dims[1] > 1 && !target.has_strides(Layout::Contiguous))
}

/// A stride, offset or size as a kernel's 32-bit signed integer.
pub fn signed(n: i64) -> Result<u32> {
    i32::try_from(n)
        .map(|n| n as u32)
        .map_err(|_| Error::unsupported(format!("a stride, offset or size of {n}")))
}
