//! Broadcasting, as NumPy does it: dims are aligned at the last, missing ones are 1, and a size of 1 is
//! repeated.

use crate::base::error::{Error, Result};
use crate::core::tensor::Tensor;

/// The dims that tensors of `all` dims broadcast to together.
pub fn joined(all: &[&[u32]]) -> Result<Vec<u32>> {
    let rank = all.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let mut result = vec![1u32; rank];
    for dims in all {
        let lead = rank - dims.len();
        for (to, &d) in result[lead..].iter_mut().zip(*dims) {
            match (*to, d) {
                (a, b) if a == b || b == 1 => {}
                (1, b) => *to = b,
                _ => return Err(Error::blob(format!("dims {all:?} do not broadcast"))),
            }
        }
    }
    Ok(result)
}

/// The window that repeats `tensor` over `dims`. Where the tensor's size is 1 its stride is 0.
pub fn over(tensor: &Tensor, dims: &[u32]) -> Result<Tensor> {
    Ok(Tensor {
        dims: dims.to_vec(),
        strides: strides(tensor, dims)?,
        ..tensor.clone()
    })
}

/// The strides of [`over`].
pub fn strides(tensor: &Tensor, dims: &[u32]) -> Result<Vec<i64>> {
    let own = tensor.dims.iter().zip(&tensor.strides);
    let lead = dims.len().checked_sub(tensor.dims.len());
    let fits = |lead: usize| {
        let sizes = tensor.dims.iter().zip(&dims[lead..]);
        sizes.into_iter().all(|(&d, &size)| d == size || d == 1)
    };
    let lead = lead.filter(|&lead| fits(lead)).ok_or_else(|| {
        Error::blob(format!(
            "dims {:?} do not broadcast to {dims:?}",
            tensor.dims
        ))
    })?;
    let mut strides = vec![0; lead];
    strides.extend(own.map(|(&d, &stride)| if d == 1 { 0 } else { stride }));
    Ok(strides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::BufferId;
    use crate::core::tensor::{DType, Element};

    #[test]
    fn dims_join_as_in_numpy() {
        let ok = |all: &[&[u32]]| joined(all).expect("broadcasts");
        assert_eq!(ok(&[&[2, 1, 3], &[4, 1]]), [2, 4, 3]);
        assert_eq!(ok(&[&[], &[5]]), [5]);
        assert_eq!(ok(&[&[1], &[0, 3]]), [0, 3]);
        assert_eq!(ok(&[&[], &[]]), [0u32; 0]);
        assert!(joined(&[&[2], &[3]]).is_err());
        assert!(joined(&[&[0], &[2]]).is_err());
    }

    #[test]
    fn what_is_repeated_has_no_stride() {
        let window = |dims: &[u32], strides: &[i64]| Tensor {
            buffer: BufferId(0),
            dtype: DType::F32,
            element: Element::F32,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
            offset: 5,
        };
        let row = window(&[1, 3], &[9, -2]);
        let over_more = over(&row, &[2, 4, 3]).expect("broadcasts");
        assert_eq!(over_more, window(&[2, 4, 3], &[0, 0, -2]));
        assert_eq!(
            over(&row, &[1, 3]).expect("its own"),
            window(&[1, 3], &[0, -2])
        );
        let scalar = window(&[], &[]);
        assert_eq!(over(&scalar, &[0, 2]).expect("a scalar").strides, [0, 0]);
        for dims in [&[3u32][..], &[2, 4], &[2, 1, 1], &[2, 0]] {
            assert!(over(&row, dims).is_err(), "{dims:?}");
        }
    }
}
