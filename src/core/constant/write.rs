//! Packing: the bytes of a constant in the form that a kernel reads.

use super::pack::{Pack, Transform};
use super::read::{field, read_float, read_int};
use super::winograd;
use crate::base::parallel::{self, Workers};
use crate::core::tensor::{DType, Element};
use half::f16;

impl Pack {
    /// Writes destination elements `first..` into `out` (a whole number of elements).
    /// `source` has passed [`Pack::validate`].
    pub fn write(&self, source: &[u8], first: u64, out: &mut [u8]) {
        if let Transform::Winograd(taps) = self.transform {
            return winograd::write(self, taps, source, first, out);
        }
        match (self.source, self.element) {
            // The same bytes: most weights.
            (DType::F32, Element::F32) | (DType::I32, Element::I32) => {
                self.gather(first, out, |at| field::<4>(source, at));
            }
            (DType::F16, Element::F16) => self.gather(first, out, |at| field::<2>(source, at)),
            (DType::F32, Element::F16) => self.gather(first, out, |at| {
                f16::from_f32(f32::from_le_bytes(field(source, at))).to_le_bytes()
            }),
            (from, Element::F16) => self.gather(first, out, |at| {
                f16::from_f32(read_float(from, source, at)).to_le_bytes()
            }),
            (from, Element::F32) => {
                self.gather(first, out, |at| read_float(from, source, at).to_le_bytes());
            }
            (from, Element::I32) => {
                self.gather(first, out, |at| read_int(from, source, at).to_le_bytes());
            }
        }
    }

    /// [`Pack::write`] on several threads where there is enough to do.
    pub fn write_parallel(&self, workers: &Workers, source: &[u8], first: u64, out: &mut [u8]) {
        let size = usize::try_from(self.element.size_bytes()).unwrap_or(4);
        let threads = parallel::parts(out.len(), PART_BYTES);
        let part_bytes = out.len().div_ceil(threads).next_multiple_of(size);
        let starts = (first..).step_by((part_bytes / size).max(1));
        let parts = starts.zip(out.chunks_mut(part_bytes.max(1)));
        workers.each(threads, parts, |(first, part)| {
            self.write(source, first, part)
        });
    }

    /// Writes `get(source element)` for the destination elements `first..`, row after row: the
    /// innermost dim is a loop without decisions. Whole rows go together where they can: a weight's
    /// rows are its outputs, which lie far apart, while neighbouring rows lie in one cache line.
    fn gather<const N: usize>(&self, first: u64, out: &mut [u8], get: impl Fn(usize) -> [u8; N]) {
        let get = |at: i64| get(usize::try_from(at).unwrap_or(usize::MAX));
        let (Some((&width, outer)), Some(&valid), Some((&stride, row_strides))) = (
            self.dims.split_last(),
            self.valid.last(),
            self.strides.split_last(),
        ) else {
            // A scalar.
            for slot in out.chunks_exact_mut(N) {
                slot.copy_from_slice(&get(self.offset));
            }
            return;
        };
        let (width, valid) = (width.max(1) as usize, valid as usize);
        let mut position = RowIndex::new(outer, &self.valid, first / width as u64);
        let mut column = (first % width as u64) as usize;
        let mut out = out;
        while out.len() >= N {
            let left = out.len() / N;
            // A row that is begun or does not end here goes alone.
            let (count, whole) = match (column, left / width) {
                (0, whole @ 1..) => (position.together().min(whole), width),
                _ => (1, left.min(width - column)),
            };
            let (now, later) = out.split_at_mut(count * whole * N);
            let (inside, start) = (position.inside(), position.at(self.offset, row_strides));
            let row_stride = row_strides.last().copied().unwrap_or(0);
            let read = if inside { valid.min(column + whole) } else { 0 };
            for c in column..read {
                let mut at = start.wrapping_add((c as i64).wrapping_mul(stride));
                for row in 0..count {
                    now[(row * whole + c - column) * N..][..N].copy_from_slice(&get(at));
                    at = at.wrapping_add(row_stride);
                }
            }
            for row in now.chunks_exact_mut(whole * N) {
                row[(read.max(column) - column) * N..].fill(0);
            }
            out = later;
            column += whole;
            if column >= width {
                column = 0;
                position.advance(count);
            }
        }
    }
}

/// A row of the destination, as an index of every dim but the innermost.
struct RowIndex<'a> {
    index: Vec<u32>,
    extents: &'a [u32],
    valid: &'a [u32],
}

impl<'a> RowIndex<'a> {
    fn new(extents: &'a [u32], valid: &'a [u32], first: u64) -> Self {
        let mut index = vec![0u32; extents.len()];
        let mut rest = first;
        for (i, &extent) in index.iter_mut().zip(extents).rev() {
            let extent = u64::from(extent).max(1);
            *i = u32::try_from(rest % extent).unwrap_or(0);
            rest /= extent;
        }
        Self {
            index,
            extents,
            valid,
        }
    }

    /// Whether the source has the row.
    fn inside(&self) -> bool {
        self.index.iter().zip(self.valid).all(|(i, v)| i < v)
    }

    fn at(&self, offset: i64, strides: &[i64]) -> i64 {
        self.index
            .iter()
            .zip(strides)
            .map(|(&i, &s)| i64::from(i).wrapping_mul(s))
            .fold(offset, i64::wrapping_add)
    }

    /// Rows from here on that differ in the innermost index alone, and are all inside or all not.
    fn together(&self) -> usize {
        let last = self.index.last().zip(self.extents.last());
        let Some((&index, &extent)) = last else {
            return 1;
        };
        let valid = self.valid.get(self.index.len() - 1).copied().unwrap_or(0);
        let end = if index < valid { valid } else { extent };
        (end.saturating_sub(index) as usize).clamp(1, ROWS_TOGETHER)
    }

    fn advance(&mut self, mut count: usize) {
        for (i, &extent) in self.index.iter_mut().zip(self.extents).rev() {
            *i = i.saturating_add(count as u32);
            if *i < extent {
                return;
            }
            (*i, count) = (0, 1);
        }
    }
}

/// So many neighbours of 4 bytes lie in one cache line.
const ROWS_TOGETHER: usize = 16;

/// What a thread packs at least: less is done before it has started.
const PART_BYTES: usize = 256 << 10;
