//! `hardsigmoid` as the exporter decomposes it: add 3, clamp, clamp, divide by 6.

use super::uses::{scalar, without, Uses};
use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::{Graph, Value, ValueId};

/// `clamp(clamp(x + 3, min 0), max 6) / 6`, or times 1/6, becomes `aten.hardsigmoid(x)`.
pub(super) fn hardsigmoid(mut graph: Graph, constants: &dyn ConstantData) -> Result<Graph> {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        let Some((x, removed)) = chain_at(&graph, &uses, constants, at)? else {
            continue;
        };
        removed.iter().for_each(|&i| dead[i] = true);
        let node = &mut graph.nodes[at];
        let Some(&out) = node.args.last() else {
            continue;
        };
        node.op = "aten.hardsigmoid.default".into();
        node.args = vec![x, out];
    }
    Ok(without(graph, &dead))
}

fn chain_at(
    graph: &Graph,
    uses: &Uses,
    constants: &dyn ConstantData,
    at: usize,
) -> Result<Option<(ValueId, Vec<usize>)>> {
    let number = |id| scalar(graph, uses, constants, id);
    let node = &graph.nodes[at];
    let mut value = match (node.op.as_str(), node.args.as_slice()) {
        ("aten.div.Tensor", &[a, b, _]) if number(b)? == Some(6.0) => a,
        ("aten.mul.Tensor", &[a, b, _])
            if number(b)?.is_some_and(|x| (x - 1.0 / 6.0).abs() < 1e-7) =>
        {
            a
        }
        _ => return Ok(None),
    };
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let (mut removed, mut reader) = (Vec::new(), at);
    for _ in 0..3 {
        let Some(writer) = uses.writer(value).filter(|&w| w < reader) else {
            return Ok(None);
        };
        if uses.only_reader(value) != Some(reader) {
            return Ok(None);
        }
        removed.push(writer);
        let node = &graph.nodes[writer];
        match (node.op.as_str(), node.args.as_slice()) {
            ("aten.clamp.default" | "aten.hardtanh.default", &[x, min, max, _]) => {
                // Bounds nest: the outer one was seen first.
                if !matches!(graph.value(min)?, Value::None) {
                    low = low.max(number(min)?.unwrap_or(f64::NAN));
                }
                if !matches!(graph.value(max)?, Value::None) {
                    high = high.min(number(max)?.unwrap_or(f64::NAN));
                }
                (value, reader) = (x, writer);
            }
            ("aten.add.Tensor", &[x, three, alpha, _]) => {
                let fits = number(three)? == Some(3.0)
                    && number(alpha)? == Some(1.0)
                    && (low, high) == (0.0, 6.0)
                    && graph.tensor(x)?.dtype.is_float();
                return Ok(fits.then_some((x, removed)));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}
