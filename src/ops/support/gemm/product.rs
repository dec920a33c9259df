//! A matrix product as data: its operands and what is done to its sums.

use super::epilogue::PreparedEpilogue;
use crate::core::gemm::GemmKernel;
use crate::core::program::BufferId;
use crate::core::tensor::{Element, Tensor};
use std::ops::Range;

/// A matrix, or a batch of them, in a buffer. Numbers are elements. Left operands may be an image
/// instead: see `shaders/lib/columns.glsl`; numbers are then rows of the image.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The memory.
    pub buffer: BufferId,
    /// First element.
    pub offset: u64,
    /// Distance of rows; columns are neighbours.
    pub row: u64,
    /// Distance of the matrices of a batch.
    pub z: u64,
    /// Bytes of the buffer that the multiplication touches.
    pub range_bytes: Range<u64>,
}

impl Matrix {
    pub(super) fn starts_at_multiples_of_4(&self) -> bool {
        [self.offset, self.row, self.z].iter().all(|n| n % 4 == 0)
    }
}

/// What is added to the product: 32-bit floats with any strides over `[z, m, n]`.
#[derive(Clone, Debug)]
pub struct Bias {
    /// The memory; its dims and strides do not matter.
    pub tensor: Tensor,
    /// Distance of neighbours along the batch, rows and columns, in elements.
    pub strides: [i64; 3],
    /// What it is multiplied with.
    pub beta: f32,
}

impl Bias {
    /// One number per column, and per matrix of a batch one row of them.
    pub fn per_column(tensor: Tensor, n: u32) -> Self {
        Self {
            tensor,
            strides: [i64::from(n), 0, 1],
            beta: 1.0,
        }
    }
}

/// `C[z] = epilogue(alpha * A[z] * B[z] + bias)`, A being `[m, k]` and B `[k, n]`.
#[derive(Clone, Debug)]
pub struct Gemm<'a> {
    /// Rows of A and C.
    pub m: u64,
    /// Columns of B and C.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u64,
    /// Number of matrices.
    pub batch: u32,
    /// What multiplies, chosen for the whole product where this is a part of one.
    pub kernel: GemmKernel,
    /// Left operand. What lies between `k` and the next multiple of 4 of a row may be read.
    pub a: Matrix,
    /// Right operand; rows are padded to a multiple of 4 columns.
    pub b: Matrix,
    /// Result.
    pub c: Matrix,
    /// Whether columns `n..` of C, up to the next multiple of 4, may be overwritten.
    pub padded_columns: bool,
    /// Type of A, B and C in memory.
    pub element: Element,
    /// What the product is multiplied with.
    pub alpha: f32,
    /// What is added.
    pub bias: Option<&'a Bias>,
    /// Steps on the sum.
    pub epilogue: &'a PreparedEpilogue,
}
