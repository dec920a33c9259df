//! Numbers as kernels take them.

use crate::base::error::{Error, Result};

/// A count or a position: kernels index with 31 bits.
pub fn unsigned(n: u64) -> Result<u32> {
    u32::try_from(n)
        .ok()
        .filter(|&n| n <= i32::MAX as u32)
        .ok_or_else(|| Error::unsupported(format!("{n} elements exceed 31 bits")))
}

/// A stride, an offset or a size.
pub fn signed(n: i64) -> Result<i32> {
    i32::try_from(n).map_err(|_| Error::unsupported(format!("a stride, offset or size of {n}")))
}
