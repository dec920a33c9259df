//! Two decompositions of the exporter, put together again.

use super::uses::{scalar, without, Uses};
use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::{Graph, ValueId};

/// `where(gt(x, 0), x, x * slope)` becomes `etvk.prelu(x, slope)`.
pub(super) fn prelu(mut graph: Graph, constants: &dyn ConstantData) -> Result<Graph> {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        let Some((slope, removed)) = prelu_at(&graph, &uses, constants, at)? else {
            continue;
        };
        removed.iter().for_each(|&i| dead[i] = true);
        let node = &mut graph.nodes[at];
        node.op = "etvk.prelu.default".into();
        node.args = vec![node.args[1], slope, node.args[3]];
    }
    Ok(without(graph, &dead))
}

fn prelu_at(
    graph: &Graph,
    uses: &Uses,
    constants: &dyn ConstantData,
    at: usize,
) -> Result<Option<(ValueId, [usize; 2])>> {
    let node = &graph.nodes[at];
    let ("aten.where.self", &[cond, x, scaled, out]) = (node.op.as_str(), node.args.as_slice())
    else {
        return Ok(None);
    };
    let (Some(gt_at), Some(mul_at)) = (uses.writer(cond), uses.writer(scaled)) else {
        return Ok(None);
    };
    if gt_at >= at
        || mul_at >= at
        || [cond, scaled]
            .iter()
            .any(|&v| uses.only_reader(v) != Some(at))
    {
        return Ok(None);
    }
    let (gt, mul) = (&graph.nodes[gt_at], &graph.nodes[mul_at]);
    let ("aten.gt.Scalar", &[compared, zero, _]) = (gt.op.as_str(), gt.args.as_slice()) else {
        return Ok(None);
    };
    let ("aten.mul.Tensor", &[a, b, _]) = (mul.op.as_str(), mul.args.as_slice()) else {
        return Ok(None);
    };
    let slope = match (a == x, b == x) {
        (true, false) => b,
        (false, true) => a,
        _ => return Ok(None),
    };
    // The result must be as large as x: a slope that broadcasts x is something else.
    let same = graph.tensor(x)?.dims == graph.tensor(out)?.dims
        && graph.tensor(x)?.dtype.is_float()
        && graph.tensor(slope)?.dtype == graph.tensor(x)?.dtype;
    let is_zero = scalar(graph, uses, constants, zero)? == Some(0.0);
    Ok((compared == x && is_zero && same).then_some((slope, [gt_at, mul_at])))
}

/// `x * sigmoid(x)` becomes `aten.silu(x)`.
pub(super) fn silu(mut graph: Graph) -> Graph {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let ("aten.mul.Tensor", &[a, b, out]) = (node.op.as_str(), node.args.as_slice()) else {
            continue;
        };
        let gate = |gate: ValueId, x: ValueId| {
            let writer = uses.writer(gate).filter(|&w| w < at)?;
            let node = &graph.nodes[writer];
            let fits = node.op == "aten.sigmoid.default"
                && node.args.first() == Some(&x)
                && uses.only_reader(gate) == Some(at);
            fits.then_some(writer)
        };
        let Some((x, sigmoid)) = gate(b, a)
            .map(|w| (a, w))
            .or_else(|| gate(a, b).map(|w| (b, w)))
        else {
            continue;
        };
        dead[sigmoid] = true;
        let node = &mut graph.nodes[at];
        node.op = "aten.silu.default".into();
        node.args = vec![x, out];
    }
    without(graph, &dead)
}
