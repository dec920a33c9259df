//! What every dispatch of the last run took on the GPU, and for which node.

use super::loaded::Delegate;
use crate::base::error::Result;
use crate::core::program::Program;

/// One dispatch of the last run.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedDispatch {
    /// Identifier and operator of its node; `None` for copies that no node asked for.
    pub node: Option<(u32, String)>,
    /// The kernel.
    pub kernel: &'static str,
    /// Number of workgroups in x, y, z.
    pub workgroups: [u32; 3],
    /// It only copies between the host's layout and the device's.
    pub edge: bool,
    /// From the begin of the run on the GPU to the end of the dispatch before it, in nanoseconds.
    pub start_ns: f64,
    /// From the begin of the run to its end.
    pub end_ns: f64,
}

impl TimedDispatch {
    /// What it took.
    pub fn ns(&self) -> f64 {
        self.end_ns - self.start_ns
    }
}

/// The dispatches of `program` with what each took.
pub(super) fn timed(
    delegate: &Delegate,
    program: &Program,
    times_ns: &[f64],
) -> Vec<TimedDispatch> {
    let mut now = 0.0;
    let pairs = program.dispatches.iter().zip(times_ns);
    pairs
        .map(|(dispatch, ns)| {
            let start_ns = now;
            now += ns;
            let node = dispatch
                .node
                .and_then(|n| delegate.loaded.graph.nodes.get(n));
            TimedDispatch {
                node: node.map(|node| (node.id, node.op.clone())),
                kernel: dispatch.shader.info().name,
                workgroups: dispatch.workgroups,
                edge: program.at_edge(dispatch),
                start_ns,
                end_ns: now,
            }
        })
        .collect()
}

impl Delegate {
    /// The dispatches of the last run with what each took on the GPU; empty unless the option
    /// `profile` is on and the current input sizes have run.
    pub fn profile(&self) -> Result<Vec<TimedDispatch>> {
        let current = self.current()?;
        Ok(timed(self, &current.program, &current.times_ns))
    }
}
