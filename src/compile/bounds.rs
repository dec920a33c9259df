//! Input sizes at the upper bound, symbolic integers among them. The exporter does not say what they are
//! there; but it says the bound of every tensor, and integers are what gives tensors their sizes.

use crate::base::error::{Error, Result};
use crate::core::graph::{Graph, InputShape, Node, Value, ValueId};
use crate::ops::symint::compute;
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
    let mut known = Known {
        graph,
        numbers: HashMap::new(),
    };
    let unknown = |&id: &ValueId| matches!(graph.value(id), Ok(Value::SymInt(..=0)));
    if !graph.inputs.iter().any(unknown) {
        return known.numbers;
    }
    for &id in graph.inputs.iter().filter(|&id| !unknown(id)) {
        if let Ok(&Value::SymInt(n)) = graph.value(id) {
            known.set(id, Some(n.into()));
        }
    }
    for _ in 0..MAX_PASSES {
        let before = known.numbers.len();
        for node in &graph.nodes {
            known.learn(node);
        }
        // Where nothing more follows, what is used only together may be split in any way.
        if known.numbers.len() == before && !graph.nodes.iter().any(|node| known.split(node)) {
            break;
        }
    }
    known.numbers
}

struct Known<'a> {
    graph: &'a Graph,
    /// What symbolic integers are at the upper bound.
    numbers: HashMap<ValueId, i64>,
}

impl Known<'_> {
    fn number(&self, id: ValueId) -> Option<i64> {
        match self.graph.value(id) {
            Ok(Value::Int(n)) => Some(*n),
            Ok(Value::SymInt(_)) => self.numbers.get(&id).copied(),
            _ => None,
        }
    }

    /// `id` is `n` at the upper bound, if it is a symbolic integer of which nothing is known.
    fn set(&mut self, id: ValueId, n: Option<i64>) {
        if let (Some(n @ 0..), Ok(Value::SymInt(_))) = (n, self.graph.value(id)) {
            self.numbers.entry(id).or_insert(n);
        }
    }

    fn dims(&self, id: ValueId) -> Option<&[u32]> {
        self.graph.tensor(id).ok().map(|spec| spec.dims.as_slice())
    }

    fn learn(&mut self, node: &Node) -> Option<()> {
        let arg = |i: usize| node.args.get(i).copied();
        let result = *node.args.last()?;
        match node.op.as_str() {
            "aten.view_copy.default" | "aten.view.default" | "aten.expand_copy.default" => {
                self.sizes(arg(1)?, result)
            }
            "aten.full.default" | "aten.zeros.default" | "aten.ones.default" => {
                self.sizes(arg(0)?, result)
            }
            "aten.arange.start_step" => {
                let (start, step) = (arg(0)?, arg(2)?);
                let count = i64::from(*self.dims(result)?.first()?);
                let or = |id, n| match self.graph.value(id) {
                    Ok(Value::None) => Some(n),
                    _ => self.number(id),
                };
                let end = count.checked_mul(or(step, 1)?)?.checked_add(or(start, 0)?);
                self.set(arg(1)?, end);
                Some(())
            }
            "aten.slice_copy.Tensor" => {
                let rank = self.dims(result)?.len();
                let dim = crate::ops::support::args::wrap_dim(self.number(arg(1)?)?, rank).ok()?;
                let size = i64::from(*self.dims(result)?.get(dim)?);
                let start = match self.graph.value(arg(2)?) {
                    Ok(Value::None) => 0,
                    _ => self.number(arg(2)?)?,
                };
                let end = size.checked_mul(self.number(arg(4)?)?)?.checked_add(start);
                self.set(arg(3)?, end.filter(|_| start >= 0));
                Some(())
            }
            "sym_size.int" => {
                let dims = self.dims(arg(0)?)?;
                let dim =
                    crate::ops::support::args::wrap_dim(self.number(arg(1)?)?, dims.len()).ok()?;
                let size = dims.get(dim).map(|&d| i64::from(d));
                self.set(result, size);
                Some(())
            }
            op @ ("add" | "sub" | "mul" | "floordiv") => {
                self.arithmetic(op, [arg(0)?, arg(1)?], result)
            }
            _ => None,
        }
    }

    /// `list` holds the sizes of `tensor`.
    fn sizes(&mut self, list: ValueId, tensor: ValueId) -> Option<()> {
        let Ok(Value::List(ids)) = self.graph.value(list) else {
            return None;
        };
        let dims = self.dims(tensor)?.to_vec();
        if ids.len() == dims.len() {
            for (&id, d) in ids.iter().zip(dims) {
                self.set(id, Some(d.into()));
            }
        }
        Some(())
    }

    fn arithmetic(&mut self, op: &str, [a, b]: [ValueId; 2], result: ValueId) -> Option<()> {
        match (self.number(a), self.number(b), self.number(result)) {
            (Some(x), Some(y), None) => self.set(result, compute(op, x, y).ok()),
            (None, Some(y), Some(r)) => {
                let x = match op {
                    "add" => r.checked_sub(y),
                    "sub" => r.checked_add(y),
                    "mul" => r.checked_div(y),
                    // The largest that gives this quotient.
                    _ => r.checked_mul(y)?.checked_add(y.checked_sub(1)?),
                };
                self.set(a, x);
            }
            (Some(x), None, Some(r)) => {
                let y = match op {
                    "add" => r.checked_sub(x),
                    "sub" => x.checked_sub(r),
                    "mul" => r.checked_div(x),
                    _ => None,
                };
                self.set(b, y);
            }
            _ => {}
        }
        Some(())
    }
}

impl Known<'_> {
    /// Makes up operands of `node`, of which only the result is known; whether it did.
    fn split(&mut self, node: &Node) -> bool {
        let neutral = match node.op.as_str() {
            "add" | "sub" => 0,
            "mul" => 1,
            _ => return false,
        };
        let &[a, b, result] = node.args.as_slice() else {
            return false;
        };
        match (self.number(a), self.number(b), self.number(result)) {
            (None, None, known @ Some(_)) if a != b => {
                self.set(a, known);
                self.set(b, Some(neutral));
                self.number(a).is_some()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::TensorSpec;
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
