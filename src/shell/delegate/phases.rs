//! How long the parts of a load took, for the report.

use std::time::Instant;

/// Named parts in the order in which they ended, in milliseconds.
pub(super) struct Phases {
    since: Instant,
    ended: Vec<(&'static str, f64)>,
}

impl Phases {
    pub(super) fn start() -> Self {
        Self {
            since: Instant::now(),
            ended: Vec::new(),
        }
    }

    /// What began when the one before it ended is over.
    pub(super) fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        let ms = now.duration_since(self.since).as_secs_f64() * 1e3;
        self.since = now;
        self.ended.push((name, ms));
    }

    /// A part that ran beside others.
    pub(super) fn beside(&mut self, name: &'static str, ms: f64) {
        self.ended.push((name, ms));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.ended.iter().copied()
    }
}
