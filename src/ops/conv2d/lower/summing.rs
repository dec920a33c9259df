//! How a dispatch sums K.

use crate::base::error::Result;
use crate::core::conv::Sums;
use crate::core::program::BufferId;
use crate::ops::support::builder::ProgramBuilder;

/// How a dispatch sums K, and where its sums go.
#[derive(Clone, Copy)]
pub(super) enum Summing {
    /// At once, finished.
    Whole,
    /// All parts of K, one after the other, finished.
    Serial { parts: u32 },
    /// All parts of K side by side, into the workspace.
    Parts { parts: u32, buffer: BufferId },
}

impl Summing {
    /// `sums` with the workspace that they take.
    pub(super) fn new(
        program: &mut ProgramBuilder<'_>,
        sums: Sums,
        workspace_bytes: u64,
    ) -> Result<Self> {
        Ok(match sums {
            Sums::Whole => Self::Whole,
            Sums::Serial { parts } => Self::Serial { parts },
            Sums::Parts { parts, .. } => Self::Parts {
                parts,
                buffer: program.workspace(workspace_bytes)?,
            },
        })
    }

    pub(super) fn parts(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Serial { parts } | Self::Parts { parts, .. } => parts,
        }
    }

    /// Parts along z.
    pub(super) fn side_by_side(self) -> u32 {
        match self {
            Self::Whole | Self::Serial { .. } => 1,
            Self::Parts { parts, .. } => parts,
        }
    }
}
