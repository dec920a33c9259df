//! Activations and residual additions move into the node whose result they work on, as far as its
//! kernels can: `result -> [activation] -> [+ tensor] -> [activation]`.

use super::uses::{scalar, without, Uses};
use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::{Fused, Graph, Node, Value, ValueId};
use crate::ops::support::Epilogue;
use crate::ops::table;

/// Moves what follows a node into it, where the node's operator takes an epilogue.
pub(super) fn fuse(mut graph: Graph, constants: &dyn ConstantData) -> Result<Graph> {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        if dead[at] || table::find(&graph.nodes[at].op).is_none_or(|e| e.epilogue == Epilogue::None)
        {
            continue;
        }
        // The fused node runs where the last node that it absorbs stood: the other operand of an
        // addition exists by then.
        let mut home = at;
        while let Some((next, step, out)) = step_after(&graph, &uses, constants, home)? {
            let mut node = std::mem::take(&mut graph.nodes[home]);
            if !accepts(&node, step) {
                graph.nodes[home] = node;
                break;
            }
            node.fused.push(step);
            let last = node.args.len() - 1;
            node.args[last] = out;
            dead[home] = true;
            graph.nodes[next] = node;
            home = next;
        }
    }
    Ok(without(graph, &dead))
}

/// Whether kernels take `step` after what the node already has.
fn accepts(node: &Node, step: Fused) -> bool {
    let adds = |steps: &[Fused]| {
        steps
            .iter()
            .filter(|s| matches!(s, Fused::Add { .. }))
            .count()
    };
    let Some(entry) = table::find(&node.op) else {
        return false;
    };
    match (step, node.fused.last()) {
        (Fused::Add { .. }, _) => entry.epilogue == Epilogue::Full && adds(&node.fused) == 0,
        // One activation before the addition, one after; only the first may have slopes, because
        // kernels bind one slope buffer.
        (Fused::Prelu { .. }, last) => {
            last.is_none() && entry.epilogue == Epilogue::Full && !clamps(node)
        }
        (_, None) => !clamps(node),
        (_, Some(Fused::Add { .. })) => true,
        (_, Some(_)) => false,
    }
}

/// Whether the operator itself clamps its result: that is its first activation.
fn clamps(node: &Node) -> bool {
    node.op == "et_vk.conv_with_clamp.default"
}

/// The step that the only reader of `graph.nodes[at]`'s result does, with its index and result.
fn step_after(
    graph: &Graph,
    uses: &Uses,
    constants: &dyn ConstantData,
    at: usize,
) -> Result<Option<(usize, Fused, ValueId)>> {
    let Some(&value) = graph.nodes[at].args.last() else {
        return Ok(None);
    };
    if matches!(graph.value(value)?, Value::List(_)) {
        return Ok(None);
    }
    let Some(next) = uses.only_reader(value).filter(|&n| n > at) else {
        return Ok(None);
    };
    let node = &graph.nodes[next];
    let Some(&out) = node.args.last() else {
        return Ok(None);
    };
    if !node.fused.is_empty() || !matches!(graph.value(out)?, Value::Tensor(_)) {
        return Ok(None);
    }
    let (from, to) = (graph.tensor(value)?, graph.tensor(out)?);
    if from.dims != to.dims || from.dtype != to.dtype || !from.dtype.is_float() {
        return Ok(None);
    }
    let bound = |id: ValueId, none: f64| -> Result<Option<f32>> {
        if matches!(graph.value(id)?, Value::None) {
            return Ok(Some(none as f32));
        }
        // f64::MAX, as the exporter writes "no bound", saturates to infinity.
        Ok(scalar(graph, uses, constants, id)?
            .filter(|x| !x.is_nan())
            .map(|x| x as f32))
    };
    let step = match (node.op.as_str(), node.args.as_slice()) {
        ("aten.relu.default", &[_, _]) => Fused::Clamp {
            low: 0.0,
            high: f32::INFINITY,
        },
        ("aten.hardtanh.default" | "aten.clamp.default", &[_, min, max, _]) => {
            let bounds = (bound(min, f64::NEG_INFINITY)?, bound(max, f64::INFINITY)?);
            let (Some(low), Some(high)) = bounds else {
                return Ok(None);
            };
            Fused::Clamp { low, high }
        }
        ("aten.silu.default", &[_, _]) => Fused::Silu,
        ("aten.sigmoid.default", &[_, _]) => Fused::Sigmoid,
        ("aten.tanh.default", &[_, _]) => Fused::Tanh,
        ("aten.hardswish.default", &[_, _]) => Fused::Hardswish,
        ("aten.hardsigmoid.default", &[_, _]) => Fused::Hardsigmoid,
        ("aten.leaky_relu.default", &[_, slope, _]) => match bound(slope, 0.01)? {
            Some(slope) => Fused::LeakyRelu { slope },
            None => return Ok(None),
        },
        ("etvk.prelu.default", &[x, slope, _]) if x == value && slope != value => {
            let channels = graph.tensor(value)?.dims.get(1).copied().unwrap_or(0);
            let dims = &graph.tensor(slope)?.dims;
            // One slope per channel: [c, 1, 1], [1, c, 1, 1], or a single one.
            let rank = graph.tensor(value)?.dims.len();
            let single = dims.iter().all(|&d| d == 1);
            let at_channel = dims.len() + 1 >= rank
                && dims
                    .iter()
                    .rev()
                    .enumerate()
                    .all(|(i, &d)| d == if i + 2 == rank { channels } else { 1 });
            if !(rank >= 3 && (single || at_channel)) {
                return Ok(None);
            }
            Fused::Prelu { slope }
        }
        ("aten.add.Tensor", &[a, b, alpha, _]) if a != b => {
            if scalar(graph, uses, constants, alpha)? != Some(1.0) {
                return Ok(None);
            }
            let other = if a == value { b } else { a };
            let spec = graph.tensor(other)?;
            if spec.dims != to.dims || spec.dtype != to.dtype {
                return Ok(None);
            }
            Fused::Add { other }
        }
        _ => return Ok(None),
    };
    Ok(Some((next, step, out)))
}
