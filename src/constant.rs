//! Constants: how serialized bytes become what kernels read. Packing is pure and runs on the CPU,
//! straight from the host's mapped bytes into staging memory.

use crate::error::{Error, Result};
use crate::graph::ConstantSource;
use crate::parallel::{self, Workers};
use crate::tensor::{DType, Element};
use half::f16;

mod winograd;

pub use winograd::POSITIONS as WINOGRAD_POSITIONS;

/// Gives the bytes of constants. They are borrowed for the call of `read`, so a host may unmap them
/// right after.
pub trait ConstantData {
    /// Calls `read` with the bytes of `source`.
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;
}

/// A strided gather from a constant's bytes into a dense row-major device buffer, with zeros where
/// a dim is padded beyond what the source has. Weight layouts of all convolutions and of linear
/// layers are of this form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pack {
    /// Type of the serialized elements.
    pub source: DType,
    /// Type in device memory.
    pub element: Element,
    /// Destination sizes, outermost first; dense.
    pub dims: Vec<u32>,
    /// How far each destination dim reads the source; the rest is zero.
    pub valid: Vec<u32>,
    /// Source distance of neighbours in each destination dim, in elements.
    pub strides: Vec<i64>,
    /// First source element.
    pub offset: i64,
    /// What is computed from what is gathered.
    pub transform: Transform,
}

/// What a [`Pack`] computes on the way. In f64, rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Nothing.
    None,
    /// Each gathered element is the first tap of a 3x3 kernel, whose taps lie so many source
    /// elements apart, `[height, width]`. Dims are `[c_in, 36, c_out]`: dim 1 counts the
    /// [`WINOGRAD_POSITIONS`] products that `shaders/conv2d_winograd.comp` takes them for.
    Winograd([i64; 2]),
}

impl Pack {
    /// The bytes as they lie, `dims` row-major.
    pub fn contiguous(source: DType, element: Element, dims: &[u32]) -> Self {
        let mut strides = vec![1i64; dims.len()];
        for d in (1..dims.len()).rev() {
            strides[d - 1] = strides[d].saturating_mul(i64::from(dims[d]));
        }
        Self {
            source,
            element,
            dims: dims.to_vec(),
            valid: dims.to_vec(),
            strides,
            offset: 0,
            transform: Transform::None,
        }
    }

    /// Number of destination elements; `None` when it overflows.
    pub fn numel(&self) -> Option<u64> {
        self.dims
            .iter()
            .try_fold(1u64, |n, &d| n.checked_mul(u64::from(d)))
    }

    /// Checks that every source element lies in `source_bytes`, and the shape of the description.
    pub fn validate(&self, source_bytes: u64) -> Result<()> {
        if self.dims.len() != self.valid.len() || self.dims.len() != self.strides.len() {
            return Err(Error::internal(
                "pack: dims, valid and strides differ in rank",
            ));
        }
        if self.valid.iter().zip(&self.dims).any(|(v, d)| v > d) {
            return Err(Error::internal("pack: valid exceeds dims"));
        }
        self.numel()
            .ok_or_else(|| Error::blob("a constant's size overflows"))?;
        if self.valid.contains(&0) {
            return Ok(());
        }
        let (mut low, mut high) = (i128::from(self.offset), i128::from(self.offset));
        for (&v, &s) in self.valid.iter().zip(&self.strides) {
            let reach = i128::from(v - 1) * i128::from(s);
            low += reach.min(0);
            high += reach.max(0);
        }
        if let Transform::Winograd(taps) = self.transform {
            let whole = self.dims.len() == 3
                && (self.dims[1], self.valid[1]) == (WINOGRAD_POSITIONS, WINOGRAD_POSITIONS)
                && self.strides[1] == 0;
            if !whole || self.element != Element::F32 {
                return Err(Error::internal(
                    "pack: dim 1 of three is not Winograd's products in 32 bits",
                ));
            }
            for stride in taps {
                let reach = 2 * i128::from(stride);
                low += reach.min(0);
                high += reach.max(0);
            }
        }
        let have = i128::from(source_bytes / self.source.size_bytes());
        if low < 0 || high >= have {
            return Err(Error::blob(format!(
                "a constant of {have} {:?} elements is read up to element {high}",
                self.source
            )));
        }
        Ok(())
    }

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
        let mut rows = Rows::new(outer, &self.valid, first / width as u64);
        let mut column = (first % width as u64) as usize;
        let mut out = out;
        while out.len() >= N {
            let left = out.len() / N;
            // A row that is begun or does not end here goes alone.
            let (count, whole) = match (column, left / width) {
                (0, whole @ 1..) => (rows.together().min(whole), width),
                _ => (1, left.min(width - column)),
            };
            let (now, later) = out.split_at_mut(count * whole * N);
            let (inside, start) = (rows.inside(), rows.at(self.offset, row_strides));
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
                rows.advance(count);
            }
        }
    }
}

/// Counts rows of the destination: an index of every dim but the innermost.
struct Rows<'a> {
    index: Vec<u32>,
    extents: &'a [u32],
    valid: &'a [u32],
}

impl<'a> Rows<'a> {
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

/// Element `at` of `bytes`; 0 beyond the end, which `validate` rules out.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    at.checked_mul(N)
        .and_then(|start| bytes.get(start..start.checked_add(N)?))
        .and_then(|slice| slice.try_into().ok())
        .unwrap_or([0; N])
}

/// Element `at` as a float, converted as PyTorch converts.
pub fn read_float(dtype: DType, bytes: &[u8], at: usize) -> f32 {
    match dtype {
        DType::F32 => f32::from_le_bytes(field(bytes, at)),
        DType::F16 => f16::from_le_bytes(field(bytes, at)).to_f32(),
        DType::F64 => f64::from_le_bytes(field(bytes, at)) as f32,
        _ => read_int(dtype, bytes, at) as f32,
    }
}

/// Element `at` as an integer: 64-bit ones keep their low half, booleans are 0 or 1.
pub fn read_int(dtype: DType, bytes: &[u8], at: usize) -> i32 {
    match dtype {
        DType::Bool => i32::from(field::<1>(bytes, at)[0] != 0),
        DType::U8 => i32::from(field::<1>(bytes, at)[0]),
        DType::I8 => i32::from(i8::from_le_bytes(field(bytes, at))),
        DType::I32 => i32::from_le_bytes(field(bytes, at)),
        DType::I64 => i64::from_le_bytes(field(bytes, at)) as i32,
        DType::F16 | DType::F32 | DType::F64 => read_float(dtype, bytes, at) as i32,
    }
}

#[cfg(test)]
mod tests;
