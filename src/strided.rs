//! One loop over several windows: dims that are contiguous for all of them are merged, so that a
//! kernel divides as rarely as possible. Pure.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Sizes of a loop, and for each window its offset and strides in that loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strided {
    /// Loop sizes, outermost first; at least one.
    pub sizes: Vec<u32>,
    /// Per window: strides in elements, one per loop size.
    pub strides: Vec<Vec<i64>>,
    /// Per window: first element.
    pub offsets: Vec<i64>,
}

impl Strided {
    /// The loop over `dims` for `windows`, each of which has these dims, or is broadcast to them
    /// as NumPy does (missing leading dims, sizes of 1).
    pub fn new(dims: &[u32], windows: &[&Tensor]) -> Result<Self> {
        let aligned: Vec<Vec<i64>> = windows
            .iter()
            .map(|w| broadcast_strides(dims, w))
            .collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..dims.len()).filter(|&d| dims[d] != 1).collect();
        // The last window is the one written: walk in its memory order, so that neighbours in
        // the loop are neighbours there.
        if let Some(target) = aligned.last() {
            order.sort_by_key(|&d| std::cmp::Reverse(target[d].unsigned_abs()));
        }
        let mut sizes: Vec<u32> = Vec::new();
        let mut strides: Vec<Vec<i64>> = vec![Vec::new(); windows.len()];
        for d in order {
            let merge = sizes.last().is_some_and(|&outer| {
                strides.iter().zip(&aligned).all(|(s, a)| {
                    s.last()
                        .is_some_and(|&s| Some(s) == a[d].checked_mul(i64::from(dims[d])))
                }) && outer.checked_mul(dims[d]).is_some()
            });
            if merge {
                if let Some(outer) = sizes.last_mut() {
                    *outer *= dims[d];
                }
                for (s, a) in strides.iter_mut().zip(&aligned) {
                    if let Some(last) = s.last_mut() {
                        *last = a[d];
                    }
                }
            } else {
                sizes.push(dims[d]);
                strides
                    .iter_mut()
                    .zip(&aligned)
                    .for_each(|(s, a)| s.push(a[d]));
            }
        }
        if sizes.is_empty() {
            sizes.push(1);
            strides.iter_mut().for_each(|s| s.push(0));
        }
        Ok(Self {
            sizes,
            strides,
            offsets: windows.iter().map(|w| w.offset).collect(),
        })
    }

    /// Number of loop dims.
    pub fn rank(&self) -> usize {
        self.sizes.len()
    }

    /// Number of iterations.
    pub fn count(&self) -> u64 {
        self.sizes.iter().map(|&d| u64::from(d)).product()
    }

    /// Push constants: `count, offset per window, sizes[max_rank], strides[max_rank] per window`.
    pub fn push(&self, max_rank: usize) -> Result<Vec<u32>> {
        if self.rank() > max_rank {
            return Err(Error::unsupported(format!(
                "a loop of {} dims {:?}, at most {max_rank} are supported",
                self.rank(),
                self.sizes
            )));
        }
        let word = |n: i64| {
            i32::try_from(n)
                .map(|n| n as u32)
                .map_err(|_| Error::unsupported(format!("a stride or offset of {n} elements")))
        };
        let count = u32::try_from(self.count())
            .map_err(|_| Error::unsupported(format!("{} elements", self.count())))?;
        let mut words = vec![count];
        for &offset in &self.offsets {
            words.push(word(offset)?);
        }
        let pad = max_rank - self.rank();
        words.extend(
            self.sizes
                .iter()
                .copied()
                .chain(std::iter::repeat_n(1, pad)),
        );
        for strides in &self.strides {
            for &stride in strides {
                words.push(word(stride)?);
            }
            words.extend(std::iter::repeat_n(0, pad));
        }
        Ok(words)
    }
}

/// Strides of `window` in a loop over `dims`, 0 where it is broadcast.
fn broadcast_strides(dims: &[u32], window: &Tensor) -> Result<Vec<i64>> {
    let lead = dims.len().checked_sub(window.dims.len());
    let fits = lead.is_some_and(|lead| {
        window
            .dims
            .iter()
            .zip(&dims[lead..])
            .all(|(&w, &d)| w == d || w == 1)
    });
    let (Some(lead), true) = (lead, fits) else {
        return Err(Error::blob(format!(
            "dims {:?} do not broadcast to {dims:?}",
            window.dims
        )));
    };
    let mut strides = vec![0i64; lead];
    strides.extend(
        window
            .dims
            .iter()
            .zip(&window.strides)
            .map(|(&d, &s)| if d == 1 { 0 } else { s }),
    );
    Ok(strides)
}
