//! Mutable buffers that only the host's calls tell of; see [`crate::compile::state`].

use super::loaded::{watched, Delegate};
use crate::base::error::{Error, Result};
use crate::compile::state;

impl Delegate {
    /// Makes the first `count` outputs mutable buffers: a run leaves them for the next one, and the
    /// host does not receive them. What they hold before the first run is in the program, but not
    /// where: an error unless their types tell. On failure nothing changes.
    pub fn keep_outputs(&self, count: usize) -> Result<()> {
        let mut state = self.lock()?;
        let mut changed = || {
            self.gpu.alive()?;
            let shapes = state
                .compiled
                .first()
                .map(|compiled| compiled.shapes.clone());
            let shapes = shapes.ok_or_else(|| Error::internal("nothing is compiled"))?;
            state.add_planned(self.loaded.at(&shapes, count, self.gpu.images())?)?;
            state.compiled.truncate(1);
            state.kept_outputs = count;
            Ok(())
        };
        watched(&self.gpu, changed())
    }

    /// Refuses two delegates of one program of which one writes a mutable buffer that the other
    /// has a copy of its own of. Both must have run, or know what they keep.
    pub fn check_beside(&self, other: &Self) -> Result<()> {
        let mine = self.loaded.graph_with(self.lock()?.kept_outputs)?;
        let theirs = other.loaded.graph_with(other.lock()?.kept_outputs)?;
        match state::divided(&mine, &theirs) {
            None => Ok(()),
            Some(key) => Err(Error::unsupported(format!(
                "two delegates use the mutable buffer that starts from {key}, each its own copy, \
                 and one alone writes it: export so that one delegate has all of its uses"
            ))),
        }
    }
}
