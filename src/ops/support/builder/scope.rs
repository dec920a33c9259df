//! What a piece of a call sees of the values of the whole call.

use crate::core::ids::ValueId;
use crate::core::tensor::Tensor;
use std::collections::HashMap;

/// A slice of a value along one of its dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The value.
    pub id: ValueId,
    /// The dim.
    pub dim: usize,
    /// First element.
    pub start: u32,
    /// Number of elements.
    pub len: u32,
}

/// What holds while a piece of a call is lowered.
#[derive(Default)]
pub(super) struct Scope {
    /// Constants of which the piece reads a slice. Other values are windows already.
    pub(super) constants: Vec<Cut>,
    /// Where the results of the piece belong.
    pub(super) targets: HashMap<ValueId, Tensor>,
}

/// A result of a call that is done in pieces.
#[derive(Clone, Debug)]
pub struct PieceTarget {
    /// The value.
    pub id: ValueId,
    /// The slice of the whole result that the piece makes.
    pub window: Tensor,
}
