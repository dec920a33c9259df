//! Input sizes at the upper bound, symbolic integers among them. The exporter does not say what they are
//! there; but it says the bound of every tensor, and integers are what gives tensors their sizes: each
//! operator says what follows from its call.

use crate::base::error::{Error, Result};
use crate::core::graph::{Graph, InputShape, Value, ValueId};
use crate::ops::support::{Args, Known};
use crate::ops::table;
use std::collections::HashMap;

/// Passes over the nodes at most: chains of arithmetic against the order of nodes are short.
const MAX_PASSES: usize = 8;

/// The input sizes at the upper bound: what a program is exported for.
pub fn bound_shapes(graph: &Graph) -> Result<Vec<InputShape>> {
    let integers = integers_at_bound(graph);
    let shape = |&id| match graph.value(id)? {
        Value::Tensor(spec) => Ok(InputShape::Dims(spec.dims.clone())),
        Value::SymInt(n) => {
            let n = integers.get(&id).copied().unwrap_or(i64::from(*n));
            Ok(InputShape::Integer(n))
        }
        other => Err(Error::blob(format!("input {id} is {}", other.kind()))),
    };
    graph.inputs.iter().map(shape).collect()
}

/// Values of the symbolic integers of `graph` that give tensors the sizes of their bounds, as far as
/// such values follow from the nodes. Empty when every input's bound is known.
fn integers_at_bound(graph: &Graph) -> HashMap<ValueId, i64> {
    let mut known = Known::new(graph);
    let unknown = |&id: &ValueId| matches!(graph.value(id), Ok(Value::SymInt(..=0)));
    if !graph.inputs.iter().any(unknown) {
        return known.into_numbers();
    }
    for &id in graph.inputs.iter().filter(|&id| !unknown(id)) {
        if let Ok(&Value::SymInt(n)) = graph.value(id) {
            known.set(id, Some(n.into()));
        }
    }
    let calls = graph.nodes.iter().filter_map(|node| {
        let entry = table::find(&node.op)?;
        Some((entry, Args::of_any_size(graph, node)))
    });
    let calls: Vec<_> = calls.collect();
    for _ in 0..MAX_PASSES {
        let before = known.count();
        for (entry, args) in &calls {
            (entry.bounds)(args, &mut known);
        }
        if known.count() > before {
            continue;
        }
        // Where nothing more follows, what is used only together may be split in any way.
        let mut calls = calls.iter();
        if !calls.any(|(entry, args)| (entry.make_up)(args, &mut known).is_some()) {
            break;
        }
    }
    known.into_numbers()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::{Node, TensorSpec};
    use crate::core::tensor::DType;

    fn push(graph: &mut Graph, value: Value) -> ValueId {
        graph.values.push(value);
        ValueId(graph.values.len() as u32 - 1)
    }

    fn tensor(graph: &mut Graph, dims: &[u32]) -> ValueId {
        let spec = TensorSpec {
            dtype: DType::F32,
            host_dtype: DType::F32,
            dims: dims.to_vec(),
            constant: None,
        };
        push(graph, Value::Tensor(spec))
    }

    fn node(graph: &mut Graph, op: &str, args: &[ValueId]) {
        graph.nodes.push(Node {
            op: op.to_owned(),
            args: args.to_vec(),
            ..Node::default()
        });
    }

    #[test]
    fn sizes_of_tensors_tell_what_integers_are() {
        let mut g = Graph::default();
        let [h, w, n, free] = [0; 4].map(|_| push(&mut g, Value::SymInt(0)));
        let given = push(&mut g, Value::SymInt(5));
        g.inputs = vec![h, w, n, free, given];
        // h and w as sizes of a view.
        let x = tensor(&mut g, &[8, 96]);
        let list = push(&mut g, Value::List(vec![h, w]));
        let y = tensor(&mut g, &[12, 64]);
        node(&mut g, "aten.view_copy.default", &[x, list, y]);
        // 3..(n // 4 - 1), of 7 elements: n // 4 is 11, and n 47 at most.
        let [four, one, three] = [4, 1, 3].map(|k| push(&mut g, Value::Int(k)));
        let [quarter, end] = [0; 2].map(|_| push(&mut g, Value::SymInt(0)));
        node(&mut g, "floordiv", &[n, four, quarter]);
        node(&mut g, "sub", &[quarter, one, end]);
        let range = tensor(&mut g, &[7]);
        node(&mut g, "aten.arange.start_step", &[three, end, one, range]);
        // Two that only their product says anything of.
        let [a, b, both] = [0; 3].map(|_| push(&mut g, Value::SymInt(0)));
        g.inputs.extend([a, b]);
        node(&mut g, "mul", &[a, b, both]);
        let list = push(&mut g, Value::List(vec![both]));
        let flat = tensor(&mut g, &[768]);
        node(&mut g, "aten.view_copy.default", &[y, list, flat]);
        let known = integers_at_bound(&g);
        let bound = |id: ValueId| known.get(&id).copied();
        assert_eq!(bound(h), Some(12));
        assert_eq!(bound(w), Some(64));
        assert_eq!(bound(n), Some(47));
        assert_eq!([bound(a), bound(b)], [Some(768), Some(1)]);
        assert_eq!(bound(free), None);
        assert_eq!(bound(given), Some(5));
    }
}
