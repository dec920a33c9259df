//! Mutable buffers that only the host's calls tell of; see [`crate::state`].

use super::{watched, Delegate};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::state;
use std::borrow::Cow;

impl Delegate {
    /// The graph that is run when the first `kept_outputs` outputs are mutable buffers.
    pub(super) fn graph_with(&self, kept_outputs: usize) -> Result<Cow<'_, Graph>> {
        match kept_outputs {
            0 => Ok(Cow::Borrowed(&self.graph)),
            count => state::keep(&self.graph, count).map(Cow::Owned),
        }
    }

    /// Makes the first `count` outputs mutable buffers: a run leaves them for the next one, and the
    /// host does not receive them. What they hold before the first run is in the program, but not
    /// where: an error unless their types tell. On failure nothing changes.
    pub fn keep_outputs(&self, count: usize) -> Result<()> {
        let mut state = self.lock()?;
        let mut changed = || {
            self.device.alive()?;
            let graph = self.graph_with(count)?;
            let shapes = state.kept.first().map(|compiled| compiled.shapes.clone());
            let shapes = shapes.ok_or_else(|| Error::internal("nothing is compiled"))?;
            let (program, plan) = self.compiled(&graph, &shapes)?;
            state.add(shapes, program, plan)?;
            state.kept.truncate(1);
            state.kept_outputs = count;
            Ok(())
        };
        watched(&self.device, changed())
    }

    /// Refuses two delegates of one program of which one writes a mutable buffer that the other
    /// has a copy of its own of. Both must have run, or know what they keep.
    pub fn check_beside(&self, other: &Self) -> Result<()> {
        let mine = self.graph_with(self.lock()?.kept_outputs)?;
        let theirs = other.graph_with(other.lock()?.kept_outputs)?;
        match state::divided(&mine, &theirs) {
            None => Ok(()),
            Some(key) => Err(Error::unsupported(format!(
                "two delegates use the mutable buffer that starts from {key}, each its own copy, \
                 and one alone writes it: export so that one delegate has all of its uses"
            ))),
        }
    }
}
