//! Rewrites of the parsed graph that make it shorter: each a small pure function. Operators say what
//! calls are; no pass knows a name or the place of an argument. A pass never
//! changes results beyond rounding, and all of them can be switched off to compare.

mod epilogue;
mod hardsigmoid;
mod patterns;
mod seen;

#[cfg(test)]
mod tests;

use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::Graph;
use seen::rewrite;

/// Runs every pass: patterns that the exporter decomposed become one node again, then activations
/// and residual additions move into the node before them.
pub fn run(graph: Graph, constants: &dyn ConstantData) -> Result<Graph> {
    let graph = rewrite(graph, constants, patterns::prelu)?;
    let graph = rewrite(graph, constants, patterns::silu)?;
    let graph = rewrite(graph, constants, hardsigmoid::hardsigmoid)?;
    epilogue::fuse(graph)
}
