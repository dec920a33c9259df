//! Rows: what reductions, softmax and norms have in common. An outer loop over rows, an inner loop
//! over the elements of a row, and workgroups of X rows by Y invocations per row.

use crate::base::error::{Error, Result};
use crate::core::kernels::lib;
use crate::core::strided::Strided;
use crate::core::tensor::{dense_strides, Layout, Tensor};
use crate::ops::support::builder::{Grid, ProgramBuilder};

/// Loop dims of each of the two loops.
const MAX_RANK: usize = lib::ROWS_RANK as usize;

/// Invocations per workgroup: what every device has.
const INVOCATIONS: u32 = lib::ROWS_LIMIT;

/// Rows of at most this many elements are walked by one invocation each.
const SHORT_ROW: u64 = 32;

/// Rows of a tensor, each over the same dims.
pub struct Rows {
    outer: Strided<2>,
    inner: Strided<2>,
    local_size: [u32; 3],
}

impl Rows {
    /// Rows of `source` over the dims that `in_row` marks; `target` has the dims of `source`, or is
    /// broadcast to them. Both loops run in row-major order of the dims. `None` when the windows
    /// are too ragged for the kernels; dense ones never are, up to rank 8.
    pub fn new(source: &Tensor, target: &Tensor, in_row: &[bool]) -> Result<Option<Self>> {
        if in_row.len() != source.dims.len() {
            return Err(Error::internal("rows: one mark per dim"));
        }
        let outer = natural(source, target, in_row, false)?;
        let inner = natural(source, target, in_row, true)?;
        if outer.rank() > MAX_RANK || inner.rank() > MAX_RANK {
            return Ok(None);
        }
        let local_size = local_size(&outer, &inner);
        Ok(Some(Self {
            outer,
            inner,
            local_size,
        }))
    }

    /// Dims of the outer and of the inner loop.
    pub fn ranks(&self) -> [u32; 2] {
        // They are at most MAX_RANK.
        [self.outer.rank() as u32, self.inner.rank() as u32]
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.outer.count()
    }

    /// Workgroups for all rows.
    pub fn grid(&self, program: &ProgramBuilder<'_>) -> Result<Grid> {
        Ok(Grid {
            local_size: self.local_size,
            workgroups: program.line(self.count(), self.local_size[0])?,
        })
    }

    /// The loops as kernels take them. Offsets are the outer loop's.
    pub fn rows(&self) -> Result<lib::Rows> {
        let (outer, inner) = (self.outer.walk()?, self.inner.walk()?);
        let [outer_source, outer_target] = outer.windows;
        let [inner_source, inner_target] = inner.windows;
        Ok(lib::Rows {
            outer_count: outer.count,
            outer_sizes: outer.sizes,
            outer_source,
            outer_target,
            inner_count: inner.count,
            inner_sizes: inner.sizes,
            inner_source: inner_source.strides,
            inner_target: inner_target.strides,
        })
    }
}

/// The loop over the dims whose mark is `row`, in row-major order.
fn natural(source: &Tensor, target: &Tensor, in_row: &[bool], row: bool) -> Result<Strided<2>> {
    let part = |t: &Tensor| {
        let kept = |d: &usize| in_row[*d] == row;
        let pick = |d: usize| (t.dims[d], t.strides[d]);
        let (dims, strides) = (0..t.dims.len()).filter(kept).map(pick).unzip();
        Tensor {
            dims,
            strides,
            ..t.clone()
        }
    };
    let (source, target) = (part(source), part(target));
    // `Strided` walks in the order of its last window: one that is dense gives the order of dims.
    let dense = Tensor {
        strides: dense_strides(&source.dims, Layout::Contiguous)?.0,
        ..source.clone()
    };
    let all = Strided::new(&source.dims, [&source, &target, &dense])?;
    let [source, target, _] = all.strides;
    let [source_offset, target_offset, _] = all.offsets;
    Ok(Strided {
        sizes: all.sizes,
        strides: [source, target],
        offsets: [source_offset, target_offset],
    })
}

/// X rows by Y invocations. Neighbouring invocations read neighbouring elements: of one row where
/// a row is contiguous, of neighbouring rows where those are.
fn local_size(outer: &Strided<2>, inner: &Strided<2>) -> [u32; 3] {
    let len = inner.count();
    if len <= SHORT_ROW {
        return [INVOCATIONS / 2, 1, 1];
    }
    let step = |s: &Strided<2>| s.strides[0].last().map_or(u64::MAX, |s| s.unsigned_abs());
    let rows_lie_side_by_side = step(outer) == 1 && step(inner) != 1;
    let x = if rows_lie_side_by_side && outer.count() > 1 {
        16
    } else {
        1
    };
    // At least four elements per invocation.
    let mut y = INVOCATIONS / x;
    while y > 8 && u64::from(y) * 4 > len {
        y /= 2;
    }
    [x, y, 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::program::BufferId;
    use crate::core::tensor::{DType, Element};

    fn dense(dims: &[u32], layout: Layout) -> Tensor {
        Tensor {
            buffer: BufferId(0),
            dtype: DType::F32,
            element: Element::F32,
            dims: dims.to_vec(),
            strides: dense_strides(dims, layout).expect("small").0,
            offset: 0,
        }
    }

    #[test]
    fn packed_planes_are_rows_in_row_major_order() {
        let source = dense(&[2, 6, 5, 7], Layout::ChannelsPacked);
        let target = dense(&[2, 6, 1, 1], Layout::Contiguous);
        let marks = [false, false, true, true];
        let rows = Rows::new(&source, &target, &marks)
            .expect("valid")
            .expect("flat");
        assert_eq!(rows.outer.sizes, [2, 6]);
        assert_eq!(rows.inner.sizes, [35]);
        assert_eq!(rows.inner.strides, [[8], [0]]);
        assert_eq!(rows.local_size, [16, 8, 1]);
        let words = rows.rows().expect("fits");
        assert_eq!((words.outer_count, words.inner_count), (12, 35));
        assert_eq!(words.inner_source, [8, 0, 0, 0]);
    }

    #[test]
    fn alternating_dims_of_rank_8_fit_and_ragged_windows_do_not() {
        let source = dense(&[2; 8], Layout::Contiguous);
        let marks: Vec<bool> = (0..8).map(|d| d % 2 == 0).collect();
        assert!(Rows::new(&source, &source, &marks)
            .expect("valid")
            .is_some());
        let mut ragged = source.clone();
        for (d, s) in ragged.strides.iter_mut().enumerate() {
            *s = *s * 3 + d as i64;
        }
        let last = [false, false, false, false, false, false, false, true];
        assert!(Rows::new(&ragged, &source, &last).expect("valid").is_none());
    }

    #[test]
    fn empty_and_scalar_tensors_have_rows() {
        let scalar = dense(&[], Layout::Contiguous);
        let rows = Rows::new(&scalar, &scalar, &[])
            .expect("valid")
            .expect("flat");
        assert_eq!((rows.count(), rows.inner.count()), (1, 1));
        let empty = dense(&[3, 0], Layout::Contiguous);
        let one = dense(&[3, 1], Layout::Contiguous);
        let rows = Rows::new(&empty, &one, &[false, true])
            .expect("valid")
            .expect("flat");
        assert_eq!((rows.count(), rows.inner.count()), (3, 0));
    }
}
