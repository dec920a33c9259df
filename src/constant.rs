//! Constants: how serialized bytes become what kernels read. Packing is pure and runs on the CPU,
//! straight from the host's mapped bytes into staging memory.

use crate::error::{Error, Result};
use crate::graph::ConstantSource;
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
    /// elements apart, `[height, width]`. Dim 0 counts the [`WINOGRAD_POSITIONS`] products that
    /// `shaders/lib/winograd.glsl` takes them for.
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
            let whole = self.dims.first() == Some(&WINOGRAD_POSITIONS)
                && self.valid.first() == Some(&WINOGRAD_POSITIONS)
                && self.strides.first() == Some(&0);
            if !whole || self.element != Element::F32 {
                return Err(Error::internal(
                    "pack: dim 0 is not Winograd's products in 32 bits",
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
            return self.write_winograd(taps, source, first, out);
        }
        let size = usize::try_from(self.element.size_bytes()).unwrap_or(4);
        let mut index = self.index_of(first);
        for slot in out.chunks_exact_mut(size) {
            let inside = self.inside(&index);
            let at = usize::try_from(self.source_of(&index)).unwrap_or(usize::MAX);
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
            self.advance(&mut index);
        }
    }

    fn write_winograd(&self, taps: [i64; 2], source: &[u8], first: u64, out: &mut [u8]) {
        let reach: [i64; 9] = std::array::from_fn(|tap| {
            let (row, column) = (tap / 3, tap % 3);
            row as i64 * taps[0] + column as i64 * taps[1]
        });
        // A kernel at a time, since its products lie far apart: those that `out` has of it.
        let coefficients: [_; 36] = std::array::from_fn(winograd::coefficients);
        let plane = self.numel().unwrap_or(0) / u64::from(WINOGRAD_POSITIONS);
        let end = first + out.len() as u64 / 4;
        let mut index = self.index_of(0);
        for at in 0..plane {
            let before = |end: u64| end.saturating_sub(at).div_ceil(plane);
            let products = before(first)..before(end);
            if !products.is_empty() {
                let mut kernel = [0.0; 9];
                if self.inside(&index) {
                    let first = self.source_of(&index);
                    kernel = reach.map(|step| {
                        let at = usize::try_from(first + step).unwrap_or(usize::MAX);
                        f64::from(read_float(self.source, source, at))
                    });
                }
                for product in products {
                    let start = usize::try_from(4 * (product * plane + at - first));
                    let slot = start
                        .ok()
                        .and_then(|start| out.get_mut(start..)?.first_chunk_mut());
                    let c = usize::try_from(product)
                        .ok()
                        .and_then(|p| coefficients.get(p));
                    if let (Some(slot), Some(c)) = (slot, c) {
                        let sum: f64 = c.iter().zip(kernel).map(|(c, tap)| c * tap).sum();
                        *slot = (sum as f32).to_le_bytes();
                    }
                }
            }
            self.advance(&mut index);
        }
    }

    /// Where destination element `at` is in each dim.
    fn index_of(&self, at: u64) -> Vec<u32> {
        let mut rest = at;
        let mut index = vec![0u32; self.dims.len()];
        for (i, &extent) in index.iter_mut().zip(&self.dims).rev() {
            let extent = u64::from(extent).max(1);
            *i = u32::try_from(rest % extent).unwrap_or(0);
            rest /= extent;
        }
        index
    }

    fn inside(&self, index: &[u32]) -> bool {
        index.iter().zip(&self.valid).all(|(i, v)| i < v)
    }

    fn source_of(&self, index: &[u32]) -> i64 {
        let steps = index.iter().zip(&self.strides);
        self.offset + steps.map(|(&i, &s)| i64::from(i) * s).sum::<i64>()
    }

    /// To the next destination element.
    fn advance(&self, index: &mut [u32]) {
        for (i, &extent) in index.iter_mut().zip(&self.dims).rev() {
            *i += 1;
            if *i < extent {
                return;
            }
            *i = 0;
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
mod tests;
