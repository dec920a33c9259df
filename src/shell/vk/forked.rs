//! Processes that were forked from one that uses Vulkan. Drivers do not survive that: their threads
//! are gone and their locks may be held for ever, so that calls would hang.

use crate::base::error::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU32, Ordering};

/// The process that loaded Vulkan; 0 when none has.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Fails in a child of the process that loaded Vulkan.
pub fn check() -> Result<()> {
    verdict(OWNER.load(Ordering::Acquire))
}

/// The same, for what is about to load Vulkan: from now on its children fail.
pub(super) fn claim() -> Result<()> {
    let process = std::process::id();
    let claimed = OWNER.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire);
    claimed.map_or_else(verdict, |_| Ok(()))
}

fn verdict(owner: u32) -> Result<()> {
    if owner == 0 || owner == std::process::id() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NoDevice,
        format!(
            "this process was forked from process {owner}, which uses Vulkan: nothing of the library \
             works here; fork before the first program is loaded, or run another program (exec)"
        ),
    ))
}
