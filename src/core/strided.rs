//! One loop over several windows: dims that are contiguous for all of them are merged, so that a
//! kernel divides as rarely as possible. Pure.

use crate::base::error::{Error, Result};
use crate::core::kernels::lib::Window;
use crate::core::tensor::Tensor;

/// Sizes of a loop, and for each of `W` windows its offset and strides in that loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strided<const W: usize> {
    /// Loop sizes, outermost first; at least one.
    pub sizes: Vec<u32>,
    /// Per window: strides in elements, one per loop size.
    pub strides: [Vec<i64>; W],
    /// Per window: first element.
    pub offsets: [i64; W],
}

/// A loop as a kernel takes it that has at most `R` dims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk<const R: usize, const W: usize> {
    /// Number of dims.
    pub rank: u32,
    /// Number of iterations.
    pub count: u32,
    /// Sizes; 1 beyond the loop's own.
    pub sizes: [u32; R],
    /// The windows, in the order in which the loop was made of them.
    pub windows: [Window<R>; W],
}

impl<const W: usize> Strided<W> {
    /// The loop over `dims` for `windows`, each of which has these dims, or is broadcast to them
    /// as NumPy does (missing leading dims, sizes of 1).
    pub fn new(dims: &[u32], windows: [&Tensor; W]) -> Result<Self> {
        let mut aligned: [Vec<i64>; W] = std::array::from_fn(|_| Vec::new());
        for (strides, window) in aligned.iter_mut().zip(windows) {
            *strides = broadcast_strides(dims, window)?;
        }
        let mut order: Vec<usize> = (0..dims.len()).filter(|&d| dims[d] != 1).collect();
        // The last window is the one written: walk in its memory order, so that neighbours in
        // the loop are neighbours there.
        if let Some(target) = aligned.last() {
            order.sort_by_key(|&d| std::cmp::Reverse(target[d].unsigned_abs()));
        }
        let mut sizes: Vec<u32> = Vec::new();
        let mut strides: [Vec<i64>; W] = std::array::from_fn(|_| Vec::new());
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
            offsets: windows.map(|w| w.offset),
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

    /// The loop for a kernel whose push constants have arrays of `R`.
    pub fn walk<const R: usize>(&self) -> Result<Walk<R, W>> {
        if self.rank() > R {
            return Err(Error::unsupported(format!(
                "a loop of {} dims {:?}, at most {R} are supported",
                self.rank(),
                self.sizes
            )));
        }
        let word = |n: i64| {
            i32::try_from(n)
                .map_err(|_| Error::unsupported(format!("a stride or offset of {n} elements")))
        };
        let count = u32::try_from(self.count())
            .map_err(|_| Error::unsupported(format!("{} elements", self.count())))?;
        let mut sizes = [1; R];
        sizes[..self.rank()].copy_from_slice(&self.sizes);
        let mut windows = [Window {
            offset: 0,
            strides: [0; R],
        }; W];
        let of_windows = self.offsets.iter().zip(&self.strides);
        for (window, (&offset, strides)) in windows.iter_mut().zip(of_windows) {
            window.offset = word(offset)?;
            for (to, &stride) in window.strides.iter_mut().zip(strides) {
                *to = word(stride)?;
            }
        }
        Ok(Walk {
            rank: u32::try_from(self.rank()).unwrap_or(u32::MAX),
            count,
            sizes,
            windows,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::kernels::Words;
    use crate::core::program::BufferId;
    use crate::core::tensor::{dense_strides, DType, Element, Layout};

    fn window(dims: &[u32], strides: &[i64], offset: i64) -> Tensor {
        Tensor {
            buffer: BufferId(0),
            dtype: DType::F32,
            element: Element::F32,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
            offset,
        }
    }

    fn dense(dims: &[u32], layout: Layout) -> Tensor {
        let (strides, _) = dense_strides(dims, layout).expect("small");
        window(dims, &strides, 0)
    }

    /// For every iteration, the element of each window.
    fn visited<const W: usize>(strided: &Strided<W>) -> Vec<Vec<i64>> {
        let mut all = vec![strided.offsets.to_vec()];
        for (d, &size) in strided.sizes.iter().enumerate() {
            let step = |at: &Vec<i64>, i: u32| -> Vec<i64> {
                let strides = strided.strides.iter().map(|s| s[d] * i64::from(i));
                at.iter().zip(strides).map(|(a, b)| a + b).collect()
            };
            all = all
                .iter()
                .flat_map(|at| (0..size).map(move |i| step(at, i)))
                .collect();
        }
        all
    }

    /// The same from the windows themselves, by index.
    fn expected(dims: &[u32], windows: &[&Tensor]) -> Vec<Vec<i64>> {
        let mut indices: Vec<Vec<i64>> = vec![Vec::new()];
        for &d in dims {
            indices = indices
                .iter()
                .flat_map(|index| (0..i64::from(d)).map(move |i| [index.as_slice(), &[i]].concat()))
                .collect();
        }
        let element = |w: &Tensor, index: &[i64]| {
            let index = &index[dims.len() - w.dims.len()..];
            let reach = index.iter().zip(&w.strides).zip(&w.dims);
            w.offset
                + reach
                    .map(|((i, s), &d)| if d == 1 { 0 } else { i * s })
                    .sum::<i64>()
        };
        let one = |index: &Vec<i64>| windows.iter().map(|w| element(w, index)).collect();
        indices.iter().map(one).collect()
    }

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    #[test]
    fn visits_exactly_what_the_windows_show() {
        for seed in 0..500u64 {
            let mut state = seed;
            let rank = random(&mut state, 6) as usize;
            let dims: Vec<u32> = (0..rank)
                .map(|_| random(&mut state, 4) as u32 + u32::from(seed % 9 != 0))
                .collect();
            let windows: [Tensor; 3] = std::array::from_fn(|which| {
                // Broadcast, permuted, flipped and shifted; the last one is written: dense.
                if which == 2 {
                    return dense(&dims, Layout::Contiguous);
                }
                let lead = random(&mut state, rank as u64 + 1) as usize;
                let own: Vec<u32> = dims[lead..]
                    .iter()
                    .map(|&d| if random(&mut state, 3) == 0 { 1 } else { d })
                    .collect();
                let (mut strides, _) = dense_strides(&own, Layout::Contiguous).expect("small");
                for s in &mut strides {
                    match random(&mut state, 4) {
                        0 => *s *= 7,
                        1 => *s = -*s,
                        _ => {}
                    }
                }
                window(&own, &strides, 10_000)
            });
            let windows = windows.each_ref();
            let strided = Strided::new(&dims, windows).expect("broadcasts");
            assert!(strided.rank() <= rank.max(1), "seed {seed}");
            let (mut got, mut want) = (visited(&strided), expected(&dims, &windows));
            got.sort();
            want.sort();
            assert_eq!(got, want, "seed {seed}: {dims:?}");
        }
    }

    #[test]
    fn equal_dense_layouts_are_one_loop_dim() {
        let dims = [2, 8, 5, 7];
        for layout in [Layout::Contiguous, Layout::ChannelsPacked] {
            let t = dense(&dims, layout);
            let strided = Strided::new(&dims, [&t, &t, &t]).expect("same dims");
            assert_eq!(strided.sizes, [560]);
            assert_eq!(strided.strides, [[1], [1], [1]]);
        }
        // Pad lanes between pixels cannot be merged over.
        let padded = dense(&[2, 6, 5, 7], Layout::ChannelsPacked);
        let strided = Strided::new(&[2, 6, 5, 7], [&padded]).expect("same dims");
        assert_eq!(
            (strided.sizes, strided.strides),
            (vec![70, 6], [vec![8, 1]])
        );
    }

    #[test]
    fn scalars_and_empty_windows() {
        let scalar = window(&[], &[], 3);
        let strided = Strided::new(&[], [&scalar]).expect("0-d");
        assert_eq!((strided.count(), strided.rank()), (1, 1));
        let walk = strided.walk::<2>().expect("fits");
        assert_eq!((walk.rank, walk.count, walk.sizes), (1, 1, [1, 1]));
        let [window] = walk.windows;
        assert_eq!((window.offset, window.strides), (3, [0, 0]));
        let empty = dense(&[3, 0], Layout::Contiguous);
        assert_eq!(Strided::new(&[3, 0], [&empty]).expect("empty").count(), 0);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let t = window(&[2, 3, 4], &[100, 10, 2], 0);
        assert!(Strided::new(&[2, 3, 5], [&t]).is_err());
        assert!(Strided::new(&[3, 4], [&t]).is_err());
        let strided = Strided::new(&[2, 3, 4], [&t]).expect("same dims");
        assert!(strided.walk::<2>().is_err() && strided.walk::<3>().is_ok());
        let far = window(&[2], &[1 << 40], 0);
        assert!(Strided::new(&[2], [&far])
            .expect("one dim")
            .walk::<1>()
            .is_err());
        // Negative distances survive as two's complement.
        let back = window(&[2], &[-1], 1);
        let [window] = Strided::new(&[2], [&back])
            .expect("one dim")
            .walk::<1>()
            .expect("fits")
            .windows;
        assert_eq!(window.words(), [1, u32::MAX]);
    }
}
