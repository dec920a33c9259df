//! Planes: what pooling and resampling have in common. The kernel makes each element of a target
//! `[n, c, h, w]` from the plane `[n, c]` of a source.

use crate::base::error::{Error, Result};
use crate::core::kernels::lib::{Planes, Window};
use crate::core::tensor::{Layout, Tensor};
use crate::ops::support::words::signed;

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

/// The planes of `source` and `target`, which have rank 4.
pub fn planes(source: &Tensor, target: &Tensor) -> Result<Planes> {
    let count = u32::try_from(target.numel())
        .map_err(|_| Error::unsupported(format!("{} elements", target.numel())))?;
    let &[_, channels, height, width] = target.dims.as_slice() else {
        return Err(Error::internal(format!("planes of dims {:?}", target.dims)));
    };
    Ok(Planes {
        count,
        channels,
        height,
        width,
        source: window(source)?,
        target: window(target)?,
    })
}

/// All of a tensor of rank 4.
pub fn window(tensor: &Tensor) -> Result<Window<4>> {
    let mut strides = [0; 4];
    for (to, &stride) in strides.iter_mut().zip(&tensor.strides) {
        *to = signed(stride)?;
    }
    Ok(Window {
        offset: signed(tensor.offset)?,
        strides,
    })
}

/// Whether channels are innermost in the target's memory.
pub fn channels_last(target: &Tensor) -> bool {
    target.dims[1] > 1 && !target.has_strides(Layout::Contiguous)
}
