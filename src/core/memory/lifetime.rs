//! Temporaries by the dispatches between which they live.

use crate::base::error::{Error, ErrorKind};

/// A temporary's size and the dispatches between which it must exist, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Size.
    pub size_bytes: u64,
    /// First dispatch that touches it.
    pub first: usize,
    /// Last dispatch that touches it.
    pub last: usize,
}

impl Usage {
    pub(super) fn lives_beside(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A temporary of the program at its largest input sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    /// The node of the first dispatch that touches it.
    pub(super) node: Option<usize>,
    pub(super) size_bytes: u64,
    pub(super) offset_bytes: u64,
}

pub(super) fn overflow() -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        "the program's memory overflows 64 bits",
    )
}
