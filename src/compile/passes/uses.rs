//! Who writes and who reads each value, and what scalar constants are.

use crate::base::error::Result;
use crate::core::constant::{read_float, ConstantData};
use crate::core::graph::{Graph, Value, ValueId};
use std::collections::{HashMap, HashSet};

/// Writers and reader counts of all values of a graph.
pub(super) struct Uses {
    writer: HashMap<ValueId, usize>,
    readers: HashMap<ValueId, Vec<usize>>,
    outputs: HashSet<ValueId>,
}

impl Uses {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut uses = Self {
            writer: HashMap::new(),
            readers: HashMap::new(),
            outputs: graph.outputs.iter().copied().collect(),
        };
        // What a buffer keeps outlives the run, as an output does.
        uses.outputs.extend(graph.states.iter().map(|s| s.after));
        for (index, node) in graph.nodes.iter().enumerate() {
            for id in graph.writes(node) {
                uses.writer.insert(id, index);
            }
            for id in graph.reads(node) {
                uses.readers.entry(id).or_default().push(index);
            }
        }
        uses
    }

    /// The node that writes `id`.
    pub(super) fn writer(&self, id: ValueId) -> Option<usize> {
        self.writer.get(&id).copied()
    }

    /// The only reader of `id`, when there is exactly one reading place and the host is none.
    pub(super) fn only_reader(&self, id: ValueId) -> Option<usize> {
        match self.readers.get(&id)?.as_slice() {
            [reader] if !self.outputs.contains(&id) => Some(*reader),
            _ => None,
        }
    }
}

/// The number that `id` always is: a literal, or a constant of one element, also behind prepack,
/// clone or a conversion.
pub(super) fn scalar(
    graph: &Graph,
    uses: &Uses,
    constants: &dyn ConstantData,
    id: ValueId,
) -> Result<Option<f64>> {
    let mut id = id;
    // Each step goes to an earlier node, so the walk ends; the bound holds for malformed graphs.
    for _ in 0..8 {
        match graph.value(id)? {
            Value::Int(n) => return Ok(Some(*n as f64)),
            Value::Double(x) => return Ok(Some(*x)),
            Value::Bool(b) => return Ok(Some(f64::from(u8::from(*b)))),
            Value::Tensor(spec) => {
                if spec.numel() != Some(1) {
                    return Ok(None);
                }
                if let Some(constant) = spec.constant {
                    let Some(source) = graph.constants.get(constant.0 as usize) else {
                        return Ok(None);
                    };
                    let mut number = None;
                    constants.with_bytes(source, &mut |bytes| {
                        if bytes.len() as u64 >= spec.dtype.size_bytes() {
                            number = Some(f64::from(read_float(spec.dtype, bytes, 0)));
                        }
                        Ok(())
                    })?;
                    return Ok(number);
                }
                let Some(node) = uses.writer(id).and_then(|w| graph.nodes.get(w)) else {
                    return Ok(None);
                };
                match (node.op.as_str(), node.args.first()) {
                    (
                        "et_vk.prepack.default"
                        | "aten.clone.default"
                        | "aten.view_copy.default"
                        | "aten._to_copy.default"
                        | "dim_order_ops._to_dim_order_copy.default",
                        Some(&from),
                    ) => id = from,
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The graph without the nodes that `dead` marks.
pub(super) fn without(mut graph: Graph, dead: &[bool]) -> Graph {
    let mut marks = dead.iter();
    graph
        .nodes
        .retain(|_| !marks.next().copied().unwrap_or(false));
    graph
}
