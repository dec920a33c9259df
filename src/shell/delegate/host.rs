//! Between host memory and staging: element types and the order of dims in memory. Pure.
//!
//! Staging is row-major over the port's dims in one of three element types; host memory may be of
//! a wider or narrower type, and permuted (channels-last, say).

#[cfg(test)]
mod tests;

use crate::base::error::{Error, Result};
use crate::base::parallel::{self, Workers};
use crate::core::tensor::{DType, Element};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// How a host tensor lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct HostLayout<'a> {
    /// Its type.
    pub dtype: DType,
    /// Its sizes; must equal the port's.
    pub dims: &'a [u32],
    /// Dims from outermost to innermost in memory; `None` means 0, 1, 2, ...
    pub dim_order: Option<&'a [u8]>,
}

/// An input in host memory.
#[derive(Clone, Copy, Debug)]
pub struct HostTensor<'a> {
    /// How it lies.
    pub layout: HostLayout<'a>,
    /// Its bytes; may be more than it needs.
    pub data: &'a [u8],
}

/// An output in host memory.
#[derive(Debug)]
pub struct HostTensorMut<'a> {
    /// How it lies.
    pub layout: HostLayout<'a>,
    /// Its bytes; may be more than it needs, the rest stays as it is.
    pub data: &'a mut [u8],
}

/// Whether a host tensor of type `host` may stand for a port of type `port`, in either direction.
/// The exporter narrows numbers in the graph, and the program around it keeps the type it had:
/// int64 where the graph has int32, and any floating-point type where it has another one.
pub fn fits(host: DType, port: DType) -> bool {
    let (integers, floats) = (
        [DType::I32, DType::I64],
        [DType::F16, DType::F32, DType::F64],
    );
    let both = |types: &[DType]| types.contains(&host) && types.contains(&port);
    host == port || both(&integers) || both(&floats)
}

/// Checks a host tensor of `size_bytes` against a port of type `dtype` and sizes `dims`.
pub fn check(layout: &HostLayout<'_>, size_bytes: usize, dtype: DType, dims: &[u32]) -> Result<()> {
    if !fits(layout.dtype, dtype) {
        return Err(Error::argument(format!(
            "dtype {:?} where the program has {dtype:?}",
            layout.dtype
        )));
    }
    if layout.dims != dims {
        return Err(Error::argument(format!(
            "dims {:?}, the program is set up for {dims:?}",
            layout.dims
        )));
    }
    if let Some(order) = layout.dim_order {
        let mut seen = vec![false; dims.len()];
        let fresh = |&d: &u8| {
            let slot = seen.get_mut(usize::from(d));
            slot.is_some_and(|seen| !std::mem::replace(seen, true))
        };
        if order.len() != dims.len() || !order.iter().all(fresh) {
            return Err(Error::argument(format!(
                "dim_order {order:?} is no permutation of {} dims",
                dims.len()
            )));
        }
    }
    let needed = numel(dims)
        .and_then(|n| n.checked_mul(size_of(layout.dtype)))
        .ok_or_else(|| Error::argument(format!("dims {dims:?} overflow")))?;
    if size_bytes < needed {
        return Err(Error::argument(format!(
            "{size_bytes} bytes, {dims:?} of {:?} needs {needed}",
            layout.dtype
        )));
    }
    Ok(())
}

fn numel(dims: &[u32]) -> Option<usize> {
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
}

fn size_of(dtype: DType) -> usize {
    match dtype {
        DType::Bool | DType::U8 | DType::I8 => 1,
        DType::F16 => 2,
        DType::I32 | DType::F32 => 4,
        DType::I64 | DType::F64 => 8,
    }
}

/// Writes `host`, which has passed [`check`], into `staging`.
pub fn store(
    workers: &Workers,
    host: &HostTensor<'_>,
    element: Element,
    staging: &mut [u8],
) -> Result<()> {
    let (data, walk) = (host.data, Walk::new(workers, &host.layout)?);
    use {DType as D, Element as E};
    match (host.layout.dtype, element) {
        (D::F32, E::F32) | (D::I32, E::I32) | (D::F16, E::F16) if walk.strides.is_none() => copy(
            workers,
            data,
            staging,
            walk.count * size_of(host.layout.dtype),
        ),
        (D::F32, E::F32) | (D::I32, E::I32) => walk.read::<4, 4>(data, staging, |x| x),
        (D::F16, E::F16) => walk.read::<2, 2>(data, staging, |x| x),
        (D::F16, E::F32) => walk.read(data, staging, |x| {
            f16::from_le_bytes(x).to_f32().to_le_bytes()
        }),
        (D::F32, E::F16) if walk.strides.is_none() => walk.read_halves(data, staging),
        (D::F32, E::F16) => walk.read(data, staging, |x| {
            f16::from_f32(f32::from_le_bytes(x)).to_le_bytes()
        }),
        (D::F64, E::F32) => walk.read(data, staging, |x| {
            (f64::from_le_bytes(x) as f32).to_le_bytes()
        }),
        (D::F64, E::F16) => walk.read(data, staging, |x| {
            f16::from_f64(f64::from_le_bytes(x)).to_le_bytes()
        }),
        // PyTorch keeps the low half.
        (D::I64, E::I32) => walk.read(data, staging, |x| {
            (i64::from_le_bytes(x) as i32).to_le_bytes()
        }),
        (D::Bool, E::I32) => walk.read(data, staging, |[x]| i32::from(x != 0).to_le_bytes()),
        (D::U8, E::I32) => walk.read(data, staging, |[x]| i32::from(x).to_le_bytes()),
        (D::I8, E::I32) => walk.read(data, staging, |x| {
            i32::from(i8::from_le_bytes(x)).to_le_bytes()
        }),
        (dtype, element) => Err(mismatch(dtype, element)),
    }
}

/// Writes `staging` into `host`, which has passed [`check`].
pub fn load(
    workers: &Workers,
    staging: &[u8],
    element: Element,
    host: &mut HostTensorMut<'_>,
) -> Result<()> {
    let walk = Walk::new(workers, &host.layout)?;
    let data = &mut *host.data;
    use {DType as D, Element as E};
    match (element, host.layout.dtype) {
        (E::F32, D::F32) | (E::I32, D::I32) | (E::F16, D::F16) if walk.strides.is_none() => copy(
            workers,
            staging,
            data,
            walk.count * size_of(host.layout.dtype),
        ),
        (E::F32, D::F32) | (E::I32, D::I32) => walk.write::<4, 4>(staging, data, |x| x),
        (E::F16, D::F16) => walk.write::<2, 2>(staging, data, |x| x),
        (E::F32, D::F16) => walk.write(staging, data, |x| {
            f16::from_f32(f32::from_le_bytes(x)).to_le_bytes()
        }),
        (E::F16, D::F32) if walk.strides.is_none() => walk.write_halves(staging, data),
        (E::F16, D::F32) => walk.write(staging, data, |x| {
            f16::from_le_bytes(x).to_f32().to_le_bytes()
        }),
        (E::F32, D::F64) => walk.write(staging, data, |x| {
            f64::from(f32::from_le_bytes(x)).to_le_bytes()
        }),
        (E::F16, D::F64) => walk.write(staging, data, |x| {
            f16::from_le_bytes(x).to_f64().to_le_bytes()
        }),
        (E::I32, D::I64) => walk.write(staging, data, |x| {
            i64::from(i32::from_le_bytes(x)).to_le_bytes()
        }),
        (E::I32, D::Bool) => walk.write(staging, data, |x| [u8::from(i32::from_le_bytes(x) != 0)]),
        // The low byte, which is the same for both.
        (E::I32, D::U8 | D::I8) => walk.write(staging, data, |[low, ..]: [u8; 4]| [low]),
        (element, dtype) => Err(mismatch(dtype, element)),
    }
}

fn copy(workers: &Workers, from: &[u8], to: &mut [u8], length: usize) -> Result<()> {
    let (from, to) = from
        .get(..length)
        .zip(to.get_mut(..length))
        .ok_or_else(too_small)?;
    dense_parts::<1, 1>(workers, from, to, |from, to| to.copy_from_slice(from));
    Ok(())
}

/// Less than this is copied sooner than another thread wakes and the memory behind the bus takes
/// it: on the host of an H100 1600 KiB take 100 microseconds on one thread, 68 on four.
const PART_BYTES: usize = 400 << 10;

/// What a thread takes at once, where there are several: the later ones come to take fewer.
const PIECE_BYTES: usize = 128 << 10;

/// Does `work` on parts of dense elements, of `F` bytes here and `T` there, which lie alike.
fn dense_parts<const F: usize, const T: usize>(
    workers: &Workers,
    from: &[u8],
    to: &mut [u8],
    work: impl Fn(&[u8], &mut [u8]) + Sync,
) {
    let threads = parallel::parts(from.len().max(to.len()), PART_BYTES);
    let count = match threads {
        1 => to.len() / T,
        _ => PIECE_BYTES / F.max(T),
    };
    let count = count.max(1);
    let parts = from.chunks(count * F).zip(to.chunks_mut(count * T));
    workers.each(threads, parts, |(from, to)| work(from, to));
}

fn mismatch(dtype: DType, element: Element) -> Error {
    Error::internal(format!(
        "no conversion between host {dtype:?} and device {element:?}"
    ))
}

/// Elements that are converted at once: they stay in the first cache.
const AT_ONCE: usize = 256;

/// Visits the elements of a tensor in row-major order of its dims, telling where each lies in host
/// memory.
struct Walk<'a> {
    workers: &'a Workers,
    count: usize,
    dims: Vec<usize>,
    /// Host distance of neighbours in each dim, in elements; `None` when host memory is row-major.
    strides: Option<Vec<usize>>,
}

impl<'a> Walk<'a> {
    fn new(workers: &'a Workers, layout: &HostLayout<'_>) -> Result<Self> {
        let overflow = || Error::argument("host tensor is too large");
        let count = numel(layout.dims).ok_or_else(overflow)?;
        let dims: Vec<usize> = layout
            .dims
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| overflow()))
            .collect::<Result<_>>()?;
        let strides = layout.dim_order.and_then(|order| {
            // Sizes of 1 may stand anywhere: channels-last with one channel is row-major.
            if order
                .iter()
                .filter(|&&d| dims[usize::from(d)] != 1)
                .is_sorted()
            {
                return None;
            }
            let mut strides = vec![0; dims.len()];
            let mut stride = 1;
            for &d in order.iter().rev() {
                strides[usize::from(d)] = stride;
                stride *= dims[usize::from(d)];
            }
            Some(strides)
        });
        Ok(Self {
            workers,
            count,
            dims,
            strides,
        })
    }

    /// Host elements of `H` bytes, converted, into dense ones of `S` bytes.
    fn read<const H: usize, const S: usize>(
        &self,
        host: &[u8],
        dense: &mut [u8],
        convert: impl Fn([u8; H]) -> [u8; S] + Sync,
    ) -> Result<()> {
        let host = whole::<H>(host.len(), self.count).and_then(|n| host.get(..n));
        let dense = whole::<S>(dense.len(), self.count).and_then(|n| dense.get_mut(..n));
        let (host, dense) = host.zip(dense).ok_or_else(too_small)?;
        if let Some(strides) = &self.strides {
            self.visit(strides, |at, i| put(dense, i, convert(take(host, at))));
            return Ok(());
        }
        dense_parts::<H, S>(self.workers, host, dense, |host, dense| {
            for (to, from) in dense.chunks_exact_mut(S).zip(host.chunks_exact(H)) {
                to.copy_from_slice(&convert(take(from, 0)));
            }
        });
        Ok(())
    }

    /// Dense elements of `S` bytes, converted, into host ones of `H` bytes.
    fn write<const S: usize, const H: usize>(
        &self,
        dense: &[u8],
        host: &mut [u8],
        convert: impl Fn([u8; S]) -> [u8; H] + Sync,
    ) -> Result<()> {
        let host = whole::<H>(host.len(), self.count).and_then(|n| host.get_mut(..n));
        let dense = whole::<S>(dense.len(), self.count).and_then(|n| dense.get(..n));
        let (host, dense) = host.zip(dense).ok_or_else(too_small)?;
        if let Some(strides) = &self.strides {
            self.visit(strides, |at, i| put(host, at, convert(take(dense, i))));
            return Ok(());
        }
        dense_parts::<S, H>(self.workers, dense, host, |dense, host| {
            for (to, from) in host.chunks_exact_mut(H).zip(dense.chunks_exact(S)) {
                to.copy_from_slice(&convert(take(from, 0)));
            }
        });
        Ok(())
    }

    /// Row-major floats of the host as halves, many at once: processors have instructions for that.
    fn read_halves(&self, host: &[u8], dense: &mut [u8]) -> Result<()> {
        let host = whole::<4>(host.len(), self.count).and_then(|n| host.get(..n));
        let dense = whole::<2>(dense.len(), self.count).and_then(|n| dense.get_mut(..n));
        let (host, dense) = host.zip(dense).ok_or_else(too_small)?;
        dense_parts::<4, 2>(self.workers, host, dense, |host, dense| {
            let (mut floats, mut halves) = ([0f32; AT_ONCE], [f16::ZERO; AT_ONCE]);
            for (from, to) in host.chunks(4 * AT_ONCE).zip(dense.chunks_mut(2 * AT_ONCE)) {
                let count = to.len() / 2;
                for (float, bytes) in floats.iter_mut().zip(from.chunks_exact(4)) {
                    *float = f32::from_le_bytes(take(bytes, 0));
                }
                halves[..count].convert_from_f32_slice(&floats[..count]);
                for (bytes, half) in to.chunks_exact_mut(2).zip(&halves) {
                    bytes.copy_from_slice(&half.to_le_bytes());
                }
            }
        });
        Ok(())
    }

    /// The way back.
    fn write_halves(&self, dense: &[u8], host: &mut [u8]) -> Result<()> {
        let dense = whole::<2>(dense.len(), self.count).and_then(|n| dense.get(..n));
        let host = whole::<4>(host.len(), self.count).and_then(|n| host.get_mut(..n));
        let (dense, host) = dense.zip(host).ok_or_else(too_small)?;
        dense_parts::<2, 4>(self.workers, dense, host, |dense, host| {
            let (mut halves, mut floats) = ([f16::ZERO; AT_ONCE], [0f32; AT_ONCE]);
            for (from, to) in dense.chunks(2 * AT_ONCE).zip(host.chunks_mut(4 * AT_ONCE)) {
                let count = from.len() / 2;
                for (half, bytes) in halves.iter_mut().zip(from.chunks_exact(2)) {
                    *half = f16::from_le_bytes(take(bytes, 0));
                }
                halves[..count].convert_to_f32_slice(&mut floats[..count]);
                for (bytes, float) in to.chunks_exact_mut(4).zip(&floats) {
                    bytes.copy_from_slice(&float.to_le_bytes());
                }
            }
        });
        Ok(())
    }

    /// Calls `each(host element, dense element)`.
    fn visit(&self, strides: &[usize], mut each: impl FnMut(usize, usize)) {
        let mut index = vec![0; self.dims.len()];
        let mut at = 0;
        for i in 0..self.count {
            each(at, i);
            for d in (0..index.len()).rev() {
                index[d] += 1;
                at += strides[d];
                if index[d] < self.dims[d] {
                    break;
                }
                at -= strides[d] * self.dims[d];
                index[d] = 0;
            }
        }
    }
}

fn too_small() -> Error {
    Error::internal("a tensor is smaller than its dims")
}

/// Bytes of `count` elements of `N` bytes, if `length` bytes hold them.
fn whole<const N: usize>(length: usize, count: usize) -> Option<usize> {
    count.checked_mul(N).filter(|&bytes| bytes <= length)
}

/// Element `at`.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at * N..].first_chunk().copied().unwrap_or([0; N])
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, element: [u8; N]) {
    bytes[at * N..][..N].copy_from_slice(&element);
}
