//! What a session is subject to, and where its constants come from.

use super::super::record::Timing;
use super::super::workspace::Sharing;
use crate::base::error::Result;
use crate::core::options::DEFAULT_TIMEOUT_MS;
use crate::core::program::Upload;
use std::time::Duration;

/// Lends the bytes of an upload's constant to its second argument.
pub type ReadConstant<'a> = &'a dyn Fn(&Upload, &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

/// What a session is subject to.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// With whom the workspace is shared.
    pub sharing: Sharing,
    /// Most device memory that all delegates of the process may have with this one.
    pub memory_limit_bytes: Option<u64>,
    /// How long the device may take for one submission.
    pub timeout: Duration,
    /// Whether dispatches are timed.
    pub timing: Timing,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            sharing: Sharing::Alone,
            memory_limit_bytes: None,
            timeout: Duration::from_millis(DEFAULT_TIMEOUT_MS),
            timing: Timing::Off,
        }
    }
}
