//! Options.

/// Options of a delegate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Budget of the convolution workspace.
    pub workspace_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workspace_bytes: 16 << 20,
        }
    }
}
