//! Activations and residual additions move into the node whose result they work on, as far as its
//! kernels do them.

use super::seen::{without, Uses};
use crate::base::error::Result;
use crate::core::graph::{Graph, Node, Step, Value, ValueId};
use crate::ops::support::Args;
use crate::ops::table;

/// Moves what follows a node into it, where the node's operator accepts that.
pub(super) fn fuse(mut graph: Graph) -> Result<Graph> {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        // The fused node runs where the last node that it absorbs stood: the other operand of an
        // addition exists by then.
        let mut home = at;
        while let Some(next) = step_after(&graph, &uses, home)? {
            if dead[home] || !accepts(&graph, &graph.nodes[home], next.step) {
                break;
            }
            let mut node = std::mem::take(&mut graph.nodes[home]);
            node.epilogue.push(next.step);
            node.set_output(next.output);
            dead[home] = true;
            graph.nodes[next.at] = node;
            home = next.at;
        }
    }
    Ok(without(graph, &dead))
}

fn accepts(graph: &Graph, node: &Node, step: Step) -> bool {
    table::find(&node.op)
        .is_some_and(|entry| (entry.accepts)(&Args::of_any_size(graph, node), step))
}

/// A node that only does a step on another's result.
struct Next {
    at: usize,
    step: Step,
    output: ValueId,
}

/// The only reader of what node `at` writes, where it is a step on that.
fn step_after(graph: &Graph, uses: &Uses, at: usize) -> Result<Option<Next>> {
    let Some(value) = graph.nodes[at].output() else {
        return Ok(None);
    };
    if !matches!(graph.value(value)?, Value::Tensor(_)) {
        return Ok(None);
    }
    let Some(next) = uses.only_reader(value).filter(|&next| next > at) else {
        return Ok(None);
    };
    let node = &graph.nodes[next];
    let Some(output) = node.output() else {
        return Ok(None);
    };
    if !node.epilogue.is_empty() || !matches!(graph.value(output)?, Value::Tensor(_)) {
        return Ok(None);
    }
    let (from, to) = (graph.tensor(value)?, graph.tensor(output)?);
    if from.dims != to.dims || from.dtype != to.dtype || !from.dtype.is_float() {
        return Ok(None);
    }
    let step = table::find(&node.op)
        .and_then(|entry| (entry.step)(&Args::of_any_size(graph, node), value, graph));
    Ok(step.map(|step| Next {
        at: next,
        step,
        output,
    }))
}
