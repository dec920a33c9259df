//! Constants: how serialized bytes become what kernels read. Packing is pure and runs on the CPU,
//! straight from the host's mapped bytes into staging memory.

use crate::error::{Error, Result};
use crate::graph::ConstantSource;
use crate::parallel;
use crate::tensor::{DType, Element};
use half::f16;

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
    pub fn write_parallel(&self, source: &[u8], first: u64, out: &mut [u8]) {
        let size = usize::try_from(self.element.size_bytes()).unwrap_or(4);
        let threads = parallel::parts(out.len(), PART_BYTES);
        let part_bytes = out.len().div_ceil(threads).next_multiple_of(size);
        let starts = (first..).step_by((part_bytes / size).max(1));
        let parts = starts.zip(out.chunks_mut(part_bytes.max(1)));
        parallel::each(threads, parts, |(first, part)| {
            self.write(source, first, part)
        });
    }

    /// Writes `get(source element)` for the destination elements `first..`, row after row: the
    /// innermost dim is a loop without decisions.
    fn gather<const N: usize>(&self, first: u64, out: &mut [u8], get: impl Fn(usize) -> [u8; N]) {
        let (Some((&width, outer)), Some(&valid), Some(&stride)) = (
            self.dims.split_last(),
            self.valid.last(),
            self.strides.last(),
        ) else {
            // A scalar.
            for slot in out.chunks_exact_mut(N) {
                slot.copy_from_slice(&get(usize::try_from(self.offset).unwrap_or(usize::MAX)));
            }
            return;
        };
        let (width, valid) = (width.max(1), valid.min(width));
        let mut index = vec![0u32; outer.len()];
        let row_of = first / u64::from(width);
        let mut rest = row_of;
        for (i, &extent) in index.iter_mut().zip(outer).rev() {
            let extent = u64::from(extent).max(1);
            *i = u32::try_from(rest % extent).unwrap_or(0);
            rest /= extent;
        }
        let mut column = u32::try_from(first % u64::from(width)).unwrap_or(0);
        let mut out = out.chunks_exact_mut(N);
        while out.len() > 0 {
            let inside = index.iter().zip(&self.valid).all(|(i, v)| i < v);
            let row: i64 = index
                .iter()
                .zip(&self.strides)
                .map(|(&i, &s)| i64::from(i).wrapping_mul(s))
                .fold(self.offset, i64::wrapping_add);
            let read = if inside { valid } else { 0 };
            let mut at = row.wrapping_add(i64::from(column).wrapping_mul(stride));
            for slot in out.by_ref().take((read.max(column) - column) as usize) {
                slot.copy_from_slice(&get(usize::try_from(at).unwrap_or(usize::MAX)));
                at = at.wrapping_add(stride);
            }
            let padded = width - read.max(column);
            out.by_ref()
                .take(padded as usize)
                .for_each(|slot| slot.fill(0));
            column = 0;
            for (i, &extent) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < extent {
                    break;
                }
                *i = 0;
            }
        }
    }
}

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
mod tests {
    use super::*;

    fn floats(n: usize) -> Vec<u8> {
        (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    fn run(pack: &Pack, source: &[u8]) -> Vec<f32> {
        pack.validate(source.len() as u64).expect("valid");
        let mut out = vec![0xAA; (pack.numel().expect("fits") * 4) as usize];
        pack.write(source, 0, &mut out);
        out.chunks_exact(4)
            .map(|c| f32::from_le_bytes(c.try_into().expect("4")))
            .collect()
    }

    #[test]
    fn transposes_and_pads_with_zeros() {
        // [c_out = 2, c_in = 3] -> [c_in padded to 4][c_out padded to 4]
        let pack = Pack {
            source: DType::F32,
            element: Element::F32,
            dims: vec![4, 4],
            valid: vec![3, 2],
            strides: vec![1, 3],
            offset: 0,
        };
        let want = [
            0., 3., 0., 0., 1., 4., 0., 0., 2., 5., 0., 0., 0., 0., 0., 0.,
        ];
        assert_eq!(run(&pack, &floats(6)), want);
    }

    #[test]
    fn chunks_equal_the_whole() {
        let pack = Pack {
            source: DType::F32,
            element: Element::F32,
            dims: vec![3, 5, 4],
            valid: vec![3, 4, 3],
            strides: vec![-12, 3, 1],
            offset: 24,
        };
        let source = floats(36);
        let whole = run(&pack, &source);
        for chunk in 1..60 {
            let mut got = Vec::new();
            for first in (0..60).step_by(chunk) {
                let mut out = vec![0u8; chunk.min(60 - first) * 4];
                pack.write(&source, first as u64, &mut out);
                got.extend(
                    out.chunks_exact(4)
                        .map(|c| f32::from_le_bytes(c.try_into().expect("4"))),
                );
            }
            assert_eq!(got, whole, "chunk {chunk}");
        }
    }

    #[test]
    fn every_type_and_layout_equals_an_element_at_a_time() {
        // Values that survive every type in question; 5 x 6 x 7 of them.
        let values = 5 * 6 * 7;
        let bytes = |dtype: DType, i: usize| -> Vec<u8> {
            let n = (i % 113) as u8;
            match dtype {
                DType::F32 => f32::from(n).to_le_bytes().into(),
                DType::F16 => f16::from_f32(f32::from(n)).to_le_bytes().into(),
                DType::F64 => f64::from(n).to_le_bytes().into(),
                DType::I32 => i32::from(n).to_le_bytes().into(),
                DType::I64 => i64::from(n).to_le_bytes().into(),
                _ => vec![n],
            }
        };
        // Sizes and valid sizes; strides and offset.
        type Sizes = [u32; 3];
        let layouts: [([Sizes; 2], [i64; 3], i64); 5] = [
            ([[5, 6, 7], [5, 6, 7]], [42, 7, 1], 0),
            ([[7, 6, 8], [7, 6, 5]], [1, 7, 42], 0),
            ([[6, 3, 9], [5, 2, 7]], [42, 14, -1], 6),
            ([[2, 2, 2], [0, 2, 2]], [1, 1, 1], 0),
            ([[4, 1, 3], [4, 1, 1]], [7, 0, i64::MAX], 3),
        ];
        let sources = [
            DType::F32,
            DType::F16,
            DType::F64,
            DType::I32,
            DType::I64,
            DType::U8,
        ];
        for source in sources {
            let stored: Vec<u8> = (0..values).flat_map(|i| bytes(source, i)).collect();
            for element in [Element::F32, Element::F16, Element::I32] {
                for ([dims, valid], strides, offset) in layouts {
                    let (dims, valid) = (dims.to_vec(), valid.to_vec());
                    let strides = strides.to_vec();
                    let pack = Pack {
                        source,
                        element,
                        dims,
                        valid,
                        strides,
                        offset,
                    };
                    pack.validate(stored.len() as u64).expect("inside");
                    let size = element.size_bytes() as usize;
                    let mut got = vec![0xAA; pack.numel().expect("fits") as usize * size];
                    pack.write(&stored, 0, &mut got);
                    let mut slots = got.chunks_exact(size);
                    for (i, j, k) in (0..pack.dims[0]).flat_map(|i| {
                        let [_, h, w] = [pack.dims[0], pack.dims[1], pack.dims[2]];
                        (0..h).flat_map(move |j| (0..w).map(move |k| (i, j, k)))
                    }) {
                        let inside = [i, j, k].iter().zip(&pack.valid).all(|(i, v)| i < v);
                        let at = || {
                            let steps = [i, j, k].map(i64::from);
                            let sum: i64 =
                                steps.iter().zip(&pack.strides).map(|(i, s)| i * s).sum();
                            (offset + sum) as usize % 113
                        };
                        let want = if inside { at() as f32 } else { 0.0 };
                        let slot = slots.next().expect("as many");
                        let value = match element {
                            Element::F32 => f32::from_le_bytes(slot.try_into().expect("4")),
                            Element::F16 => {
                                f16::from_le_bytes(slot.try_into().expect("2")).to_f32()
                            }
                            Element::I32 => i32::from_le_bytes(slot.try_into().expect("4")) as f32,
                        };
                        assert_eq!(value, want, "{source:?} to {pack:?} at {:?}", [i, j, k]);
                    }
                }
            }
        }
    }

    #[test]
    fn threads_write_what_one_writes() {
        // Ragged, and long enough for several threads.
        let pack = Pack {
            source: DType::F32,
            element: Element::F16,
            dims: vec![3, 331, 513],
            valid: vec![3, 331, 509],
            strides: vec![1, 3, 3 * 331],
            offset: 0,
        };
        let source = floats(3 * 331 * 509);
        let bytes = pack.numel().expect("fits") as usize * 2;
        for (first, length) in [(0, bytes), (1000, bytes - 2000), (7, 4), (7, 0)] {
            let (mut one, mut many) = (vec![1; length], vec![2; length]);
            pack.write(&source, first, &mut one);
            pack.write_parallel(&source, first, &mut many);
            assert!(one == many, "{length} bytes from element {first}");
        }
    }

    #[test]
    fn refuses_to_read_outside() {
        let mut pack = Pack::contiguous(DType::F32, Element::F32, &[2, 3]);
        assert!(pack.validate(24).is_ok());
        assert!(pack.validate(23).is_err());
        pack.offset = -1;
        assert!(pack.validate(24).is_err());
        pack.offset = i64::MAX;
        assert!(pack.validate(24).is_err());
    }

    #[test]
    fn converts_as_pytorch() {
        let source: Vec<u8> = [1i64, -1, 1 << 33, 7]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert_eq!(read_int(DType::I64, &source, 2), 0);
        assert_eq!(read_float(DType::I64, &source, 1), -1.0);
        assert_eq!(read_int(DType::Bool, &[2], 0), 1);
        assert_eq!(read_int(DType::F32, &2.9f32.to_le_bytes(), 0), 2);
    }
}
