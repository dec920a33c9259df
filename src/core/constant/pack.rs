//! The form in which a kernel reads a constant, as data.

use crate::base::error::{Error, Result};
use crate::core::kernels::conv2d_winograd::POSITIONS;
use crate::core::tensor::{DType, Element};

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
    /// [`POSITIONS`] products that `shaders/conv2d_winograd.comp` takes them for.
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
                && (self.dims[1], self.valid[1]) == (POSITIONS, POSITIONS)
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
}
