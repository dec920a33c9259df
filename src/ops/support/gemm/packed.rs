//! Right operands and weights as kernels read them. The form depends on the weight alone, never on
//! image sizes, so that one upload serves all input sizes of a program.

use crate::base::error::{Error, Result};
use crate::core::constant::{Pack, Transform};
use crate::core::graph::ValueId;
use crate::core::tensor::{DType, Layout, Tensor, CHANNEL_PACK};
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::elementwise::Scalar;
use crate::ops::support::fill::emit_fill;

/// A strided view of a weight, and the padded dense form that kernels read.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Sizes in memory, outermost first, padded.
    dims: Vec<u32>,
    /// How far the weight reaches in each; zeros beyond.
    valid: Vec<u32>,
    /// For each, the dim of the weight that it walks, and in steps of how many.
    walks: Vec<(usize, u32)>,
}

/// One dim of a [`Form`].
#[derive(Clone, Copy, Debug)]
pub struct FormDim {
    /// Size in memory.
    pub padded: u32,
    /// How far the weight reaches; zeros beyond.
    pub valid: u32,
    /// The dim of the weight that it walks, and in steps of how many.
    pub walks: (usize, u32),
}

impl FormDim {
    /// All of dim `d` of a weight, which has `size` there.
    pub fn whole(d: usize, size: u32) -> Self {
        Self {
            padded: size,
            valid: size,
            walks: (d, 1),
        }
    }

    /// The same, padded to a multiple of 4.
    pub fn padded(d: usize, size: u32) -> Result<Self> {
        let padded = size
            .checked_next_multiple_of(CHANNEL_PACK)
            .ok_or_else(|| Error::unsupported(format!("{size} channels")))?;
        Ok(Self {
            padded,
            ..Self::whole(d, size)
        })
    }
}

impl Form {
    /// The form with these dims, outermost first.
    pub fn new(dims: &[FormDim]) -> Self {
        Self {
            dims: dims.iter().map(|d| d.padded).collect(),
            valid: dims.iter().map(|d| d.valid).collect(),
            walks: dims.iter().map(|d| d.walks).collect(),
        }
    }

    /// `[z][k][n padded to 4]` of matrices whose dims `k` and `n` are those given, of a tensor of
    /// `dims`; `z` is dim 0 when there are three.
    pub fn matrix(dims: &[u32], k: usize, n: usize) -> Result<Self> {
        let mut form = vec![FormDim::whole(k, dims[k]), FormDim::padded(n, dims[n])?];
        if dims.len() == 3 {
            form.insert(0, FormDim::whole(0, dims[0]));
        }
        Ok(Self::new(&form))
    }

    fn strides(&self, source: &[i64]) -> Result<Vec<i64>> {
        self.walks
            .iter()
            .map(|&(d, steps)| {
                source
                    .get(d)
                    .and_then(|s| s.checked_mul(i64::from(steps)))
                    .ok_or_else(|| Error::internal("weight strides"))
            })
            .collect()
    }

    /// Whether rows in memory hold zeros that a kernel multiplies with: K's padding. Zeros behind
    /// the last column only reach results that nobody reads.
    fn needs_zeros(&self) -> bool {
        let columns = self.dims.len().saturating_sub(1);
        self.dims[..columns] != self.valid[..columns]
    }
}

/// The weight `id`, seen as of `dims`, in `form`: packed on the CPU when it is a constant,
/// copied on the GPU when it is not.
pub fn prepare(
    program: &mut ProgramBuilder<'_>,
    id: ValueId,
    dims: &[u32],
    form: &Form,
    dtype: DType,
) -> Result<Tensor> {
    let element = program.limits().element(dtype);
    if program.constant(id)?.is_some() {
        let (source, offset) = program.constant_strides(id, dims)?;
        let pack = Pack {
            source: program.graph().tensor(id)?.dtype,
            element,
            dims: form.dims.clone(),
            valid: form.valid.clone(),
            strides: form.strides(&source)?,
            offset,
            transform: Transform::None,
        };
        return program.upload(id, pack);
    }
    let mut window = program.tensor(id)?;
    if window.strides.len() + 1 == dims.len() {
        // A 1-D kernel is one of height 1.
        window.strides.insert(dims.len().saturating_sub(2), 0);
    }
    let strides = form.strides(&window.strides)?;
    let source = Tensor {
        dims: form.valid.clone(),
        strides,
        ..window
    };
    let packed = program.temporary(dtype, &form.dims, Layout::Contiguous)?;
    if form.needs_zeros() {
        emit_fill(program, &packed, Scalar::Double(0.0))?;
    }
    let target = Tensor {
        dims: form.valid.clone(),
        ..packed.clone()
    };
    program.copy(&source, &target)?;
    Ok(packed)
}
