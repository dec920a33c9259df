//! Rewrites of the parsed graph that make it shorter: each a small pure function. A pass never
//! changes results beyond rounding, and all of them can be switched off to compare.

mod chain;
mod epilogue;
mod patterns;
mod uses;

#[cfg(test)]
mod tests;

use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::Graph;

/// Runs every pass: patterns that the exporter decomposed become one node again, then activations
/// and residual additions move into the node before them.
pub fn run(graph: Graph, constants: &dyn ConstantData) -> Result<Graph> {
    let graph = patterns::prelu(graph, constants)?;
    let graph = patterns::silu(graph);
    let graph = chain::hardsigmoid(graph, constants)?;
    epilogue::fuse(graph, constants)
}
