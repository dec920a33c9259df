//! Limits of what is read, and indices that fit the machine.

use crate::base::error::{Error, Result};

/// Dims of one tensor: what kernels are written for and the C ABI carries.
pub const MAX_RANK: usize = 8;

pub(super) fn limit(what: &str, count: usize, max: usize) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "{count} {what}, the limit is {max}"
    )))
}

pub(super) fn index(id: u32) -> Option<usize> {
    usize::try_from(id).ok()
}
