//! Arithmetic of windows: what shape operators do instead of moving data. Pure.

use super::args::wrap_dim;
use crate::base::error::{Error, Result};
use crate::core::tensor::Tensor;

/// `dims[i]` of the result is `dims[order[i]]` of `t`.
pub fn permute(t: &Tensor, order: &[usize]) -> Result<Tensor> {
    let mut seen = vec![false; t.dims.len()];
    for &d in order {
        match seen.get_mut(d) {
            Some(slot) if !*slot => *slot = true,
            _ => return Err(Error::blob(format!("order {order:?} of dims {:?}", t.dims))),
        }
    }
    if order.len() != t.dims.len() {
        return Err(Error::blob(format!("order {order:?} of dims {:?}", t.dims)));
    }
    Ok(Tensor {
        dims: order.iter().map(|&d| t.dims[d]).collect(),
        strides: order.iter().map(|&d| t.strides[d]).collect(),
        ..t.clone()
    })
}

/// `len` elements of dim `d`, from `start`, `step` apart (which may be negative).
pub fn slice(t: &Tensor, d: usize, start: u32, len: u32, step: i64) -> Result<Tensor> {
    let last = i128::from(start) + i128::from(len.max(1) - 1) * i128::from(step);
    let inside = 0..i128::from(t.dims[d]);
    if len > 0 && !(inside.contains(&i128::from(start)) && inside.contains(&last)) {
        return Err(Error::blob(format!(
            "{len} elements from {start}, {step} apart, of dim {d} of {:?}",
            t.dims
        )));
    }
    let mut out = t.clone();
    out.dims[d] = len;
    // An empty window starts anywhere.
    if len > 0 {
        out.offset = add(t.offset, mul(t.strides[d], i64::from(start))?)?;
    }
    if len > 1 {
        out.strides[d] = mul(t.strides[d], step)?;
    }
    Ok(out)
}

/// Element `at` of dim `d`; the dim goes away.
pub fn select(t: &Tensor, d: usize, at: u32) -> Result<Tensor> {
    let mut out = slice(t, d, at, 1, 1)?;
    out.dims.remove(d);
    out.strides.remove(d);
    Ok(out)
}

/// A dim of `size` that repeats everything, at position `d`.
pub fn insert(t: &Tensor, d: usize, size: u32) -> Tensor {
    let mut out = t.clone();
    out.dims.insert(d, size);
    out.strides.insert(d, 0);
    out
}

/// Dim `d` as several whose product it is, outermost first.
pub fn split(t: &Tensor, d: usize, sizes: &[u32]) -> Result<Tensor> {
    let product: u64 = sizes.iter().map(|&n| u64::from(n)).product();
    if product != u64::from(t.dims[d]) {
        return Err(Error::blob(format!("dim {d} of {:?} as {sizes:?}", t.dims)));
    }
    let mut strides = vec![t.strides[d]; sizes.len()];
    for i in (1..sizes.len()).rev() {
        strides[i - 1] = mul(strides[i], i64::from(sizes[i]))?;
    }
    let mut out = t.clone();
    out.dims.splice(d..=d, sizes.iter().copied());
    out.strides.splice(d..=d, strides);
    Ok(out)
}

/// `t` read as `dims` in row-major order, where that is a window: `None` where it needs a copy.
/// The number of elements is the same.
pub fn view(t: &Tensor, dims: &[u32]) -> Option<Tensor> {
    let mut out = Tensor {
        dims: dims.to_vec(),
        strides: vec![0; dims.len()],
        ..t.clone()
    };
    if t.numel() == 0 {
        return Some(out);
    }
    // Innermost first: runs of old dims that lie as one dim, each cut into new dims.
    let mut rest = dims.len();
    let mut run: u64 = 1; // elements of the run so far
    let mut base = t.strides.last().copied().unwrap_or(0); // its innermost stride
    for d in (0..t.dims.len()).rev() {
        run *= u64::from(t.dims[d]);
        let joins = d > 0
            && (t.dims[d - 1] == 1
                || i128::from(t.strides[d - 1]) == i128::from(run) * i128::from(base));
        if joins {
            continue;
        }
        let mut cut: u64 = 1;
        while rest > 0 && cut < run {
            rest -= 1;
            out.strides[rest] = i64::try_from(cut).ok()?.checked_mul(base)?;
            cut = cut.checked_mul(u64::from(dims[rest]))?;
        }
        if cut != run {
            return None;
        }
        if d > 0 {
            (run, base) = (1, t.strides[d - 1]);
        }
    }
    // What is left are sizes of 1 (the numbers of elements are equal).
    (dims[..rest].iter().all(|&n| n == 1)).then_some(out)
}

/// The sizes that `list` asks of `numel` elements, with at most one -1.
pub fn resolve_view(list: &[i64], numel: u64) -> Result<Vec<u32>> {
    let fails = || Error::blob(format!("a view of {numel} elements as {list:?}"));
    let mut known: u64 = 1;
    for &n in list.iter().filter(|&&n| n != -1) {
        let n = u64::from(u32::try_from(n).map_err(|_| fails())?);
        known = known.checked_mul(n).ok_or_else(fails)?;
    }
    let free = list.iter().filter(|&&n| n == -1).count();
    let inferred = match free {
        0 if known == numel => 0,
        1 if known != 0 && numel % known == 0 => numel / known,
        _ => return Err(fails()),
    };
    let size = |&n: &i64| match n {
        -1 => u32::try_from(inferred).map_err(|_| fails()),
        n => u32::try_from(n).map_err(|_| fails()),
    };
    list.iter().map(size).collect()
}

/// `dims` counted from the front, each at most once.
pub fn wrap_dims(dims: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut wrapped = Vec::with_capacity(dims.len());
    for &d in dims {
        let d = wrap_dim(d, rank)?;
        if wrapped.contains(&d) {
            return Err(Error::blob(format!("dim {d} twice in {dims:?}")));
        }
        wrapped.push(d);
    }
    Ok(wrapped)
}

/// A dim that the tensor really has: a scalar has none.
pub fn existing_dim(dim: i64, dims: &[u32]) -> Result<usize> {
    let d = wrap_dim(dim, dims.len())?;
    if d < dims.len() {
        return Ok(d);
    }
    Err(Error::blob(format!("dim {dim} of a scalar")))
}

fn mul(a: i64, b: i64) -> Result<i64> {
    a.checked_mul(b)
        .ok_or_else(|| Error::unsupported(format!("a stride of {a} * {b} elements")))
}

fn add(a: i64, b: i64) -> Result<i64> {
    a.checked_add(b)
        .ok_or_else(|| Error::unsupported(format!("an offset of {a} + {b} elements")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::program::BufferId;
    use crate::core::tensor::{dense_strides, DType, Element, Layout};

    fn dense(dims: &[u32], layout: Layout) -> Tensor {
        let (strides, _) = dense_strides(dims, layout).expect("small");
        Tensor {
            buffer: BufferId(0),
            dtype: DType::F32,
            element: Element::F32,
            dims: dims.to_vec(),
            strides,
            offset: 0,
        }
    }

    /// Element indices of the window in row-major order.
    fn walk(t: &Tensor) -> Vec<i64> {
        let mut out = vec![t.offset];
        for (&d, &s) in t.dims.iter().zip(&t.strides) {
            out = out
                .iter()
                .flat_map(|&at| (0..i64::from(d)).map(move |i| at + i * s))
                .collect();
        }
        out
    }

    #[test]
    fn every_view_that_exists_is_found_and_right() {
        let shapes: &[&[u32]] = &[
            &[24],
            &[1, 24],
            &[2, 12],
            &[2, 3, 4],
            &[4, 6],
            &[4, 3, 2],
            &[2, 1, 3, 4],
            &[2, 3, 2, 2],
            &[1, 2, 3, 4, 1],
            &[6, 4],
            &[8, 3],
            &[2, 3, 1, 1, 4],
        ];
        let mut sources = Vec::new();
        for &dims in shapes {
            sources.push(dense(dims, Layout::Contiguous));
            if dims.len() == 4 {
                sources.push(dense(dims, Layout::ChannelsPacked));
            }
            let wide: Vec<u32> = dims.iter().map(|&d| d * 2).collect();
            let wide = dense(&wide, Layout::Contiguous);
            let mut strided = wide.clone();
            for (d, &n) in dims.iter().enumerate() {
                strided = slice(&strided, d, 1, n, 1).expect("inside");
            }
            sources.push(strided);
            let order: Vec<usize> = (0..dims.len()).rev().collect();
            let last = dims.len() - 1;
            let turned = permute(&dense(dims, Layout::Contiguous), &order).expect("order");
            sources.push(turned);
            let n = dims[last];
            sources
                .push(slice(&dense(dims, Layout::Contiguous), last, n - 1, n, -1).expect("flip"));
        }
        let mut found = 0;
        for source in &sources {
            let want = walk(source);
            for &dims in shapes {
                // A view exists exactly when the element indices progress evenly along each dim.
                let even = |strides: &[i64]| {
                    walk(&Tensor {
                        dims: dims.to_vec(),
                        strides: strides.to_vec(),
                        ..source.clone()
                    }) == want
                };
                let mut strides = vec![0i64; dims.len()];
                let mut block = 24usize;
                for (d, &n) in dims.iter().enumerate() {
                    block /= n as usize;
                    strides[d] = if n > 1 { want[block] - want[0] } else { 0 };
                }
                match view(source, dims) {
                    Some(got) => {
                        assert_eq!(walk(&got), want, "{source:?} as {dims:?}");
                        found += 1;
                    }
                    None => assert!(!even(&strides), "{source:?} as {dims:?} has a view"),
                }
            }
        }
        assert!(found > 100);
    }

    #[test]
    fn views_are_resolved_as_pytorch() {
        assert_eq!(resolve_view(&[2, -1], 6).expect("fits"), [2, 3]);
        assert_eq!(resolve_view(&[], 1).expect("scalar"), [0u32; 0]);
        assert_eq!(resolve_view(&[0, 3], 0).expect("empty"), [0, 3]);
        for bad in [
            &[2i64, 2][..],
            &[-1, -1],
            &[4, -1],
            &[-2, 3],
            &[0, -1],
            &[i64::MAX, i64::MAX],
        ] {
            assert!(resolve_view(bad, 6).is_err(), "{bad:?}");
        }
        assert!(resolve_view(&[0, -1], 0).is_err(), "ambiguous");
    }

    #[test]
    fn slices_stay_inside() {
        let t = dense(&[4, 5], Layout::Contiguous);
        assert_eq!(
            walk(&slice(&t, 1, 1, 2, 3).expect("1, 4")),
            [1, 4, 6, 9, 11, 14, 16, 19]
        );
        assert_eq!(
            walk(&slice(&t, 1, 4, 5, -1).expect("flip"))[..5],
            [4, 3, 2, 1, 0]
        );
        assert!(slice(&t, 1, 1, 3, 2).is_err());
        assert!(slice(&t, 1, 3, 5, -1).is_err());
        assert!(slice(&t, 1, 5, 1, 1).is_err());
        assert_eq!(slice(&t, 1, 5, 0, 1).expect("empty").dims, [4, 0]);
        assert!(slice(&t, 0, 1, 2, i64::MAX).is_err());
    }

    #[test]
    fn splits_and_permutes() {
        let t = dense(&[2, 12, 3], Layout::Contiguous);
        assert_eq!(walk(&split(&t, 1, &[2, 3, 2]).expect("12")), walk(&t));
        assert!(split(&t, 1, &[5, 2]).is_err());
        let row = dense(&[1, 3], Layout::Contiguous);
        assert!(permute(&t, &[0, 1]).is_err() && permute(&t, &[0, 1, 1]).is_err());
        assert_eq!(walk(&permute(&row, &[1, 0]).expect("order")), [0, 1, 2]);
        assert_eq!(select(&t, 1, 11).expect("last").offset, 33);
        assert!(wrap_dims(&[0, -3], 3).is_err());
        assert!(existing_dim(0, &[]).is_err());
    }
}
