//! A program together with the places of its buffers.

use super::plan::MemoryPlan;
use crate::core::program::Program;
use std::sync::Arc;

/// A program and the plan that was made for it: neither is of use with another one.
#[derive(Clone, Debug, Default)]
pub struct PlacedProgram {
    /// The dispatches.
    pub program: Arc<Program>,
    /// The places of its buffers.
    pub plan: MemoryPlan,
}

impl PlacedProgram {
    /// `program` and its `plan`.
    pub fn new(program: Program, plan: MemoryPlan) -> Arc<Self> {
        let program = Arc::new(program);
        Arc::new(Self { program, plan })
    }
}
