//! Constants: how serialized bytes become what kernels read. Packing is pure and runs on the CPU,
//! straight from the host's mapped bytes into staging memory.

use crate::error::{Error, Result};
use crate::graph::ConstantSource;
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
        let size = usize::try_from(self.element.size_bytes()).unwrap_or(4);
        let rank = self.dims.len();
        let mut index = vec![0u32; rank];
        let mut rest = first;
        for d in (0..rank).rev() {
            let extent = u64::from(self.dims[d]).max(1);
            index[d] = u32::try_from(rest % extent).unwrap_or(0);
            rest /= extent;
        }
        for slot in out.chunks_exact_mut(size) {
            let inside = index.iter().zip(&self.valid).all(|(i, v)| i < v);
            let at: i64 = index
                .iter()
                .zip(&self.strides)
                .map(|(&i, &s)| i64::from(i) * s)
                .sum();
            let at = usize::try_from(self.offset + at).unwrap_or(usize::MAX);
            match self.element {
                Element::I32 => {
                    let x = if inside {
                        read_int(self.source, source, at)
                    } else {
                        0
                    };
                    slot.copy_from_slice(&x.to_le_bytes());
                }
                Element::F32 => {
                    let x = if inside {
                        read_float(self.source, source, at)
                    } else {
                        0.0
                    };
                    slot.copy_from_slice(&x.to_le_bytes());
                }
                Element::F16 => {
                    let x = if inside {
                        read_float(self.source, source, at)
                    } else {
                        0.0
                    };
                    slot.copy_from_slice(&f16::from_f32(x).to_le_bytes());
                }
            }
            for d in (0..rank).rev() {
                index[d] += 1;
                if index[d] < self.dims[d] {
                    break;
                }
                index[d] = 0;
            }
        }
    }
}

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
