//! Mutable buffers. In a serialized graph a buffer is a constant with its initial data, and its
//! mutation is a second write to the value that the constant was unpacked into. Here every value
//! is written once, and what a buffer holds before and after a run are two values.

use crate::error::{Error, Result};
use crate::graph::{ConstantId, Graph, Node, State, Value, ValueId};
use crate::tensor::DType;
use std::collections::{HashMap, HashSet};

const PREPACK: &str = "et_vk.prepack.default";

/// `graph` with its mutable buffers as [`Graph::states`].
pub fn separate(mut graph: Graph) -> Result<Graph> {
    let buffers = mutated(&graph);
    if buffers.is_empty() {
        return Ok(graph);
    }
    // What each buffer is called after the writes so far.
    let mut now: HashMap<ValueId, ValueId> = buffers.keys().map(|&id| (id, id)).collect();
    let nodes = std::mem::take(&mut graph.nodes);
    for mut node in nodes {
        if unpacks(&graph, &node).is_some_and(|(_, out)| buffers.contains_key(&out)) {
            continue;
        }
        let Some(out) = node.args.pop() else {
            continue;
        };
        for id in &mut node.args {
            *id = renamed(&mut graph, *id, &now)?;
        }
        if matches!(graph.value(out)?, Value::List(members) if members.iter().any(|m| now.contains_key(m)))
        {
            return Err(Error::unsupported("a mutable buffer among several results"));
        }
        node.args.push(match now.contains_key(&out) {
            true => {
                let mut spec = graph.tensor(out)?.clone();
                spec.constant = None;
                let written = add(&mut graph, Value::Tensor(spec))?;
                now.insert(out, written);
                written
            }
            false => out,
        });
        graph.nodes.push(node);
    }
    for id in &mut graph.outputs {
        *id = now.get(id).copied().unwrap_or(*id);
    }
    let mut states: Vec<State> = buffers
        .into_iter()
        .map(|(before, (constant, source))| State {
            constant,
            source,
            before,
            after: now[&before],
        })
        .collect();
    states.sort_by_key(|state| state.before);
    for state in &states {
        if let Some(Value::Tensor(spec)) = graph.values.get_mut(state.before.0 as usize) {
            spec.constant = None;
        }
    }
    graph.states = states;
    Ok(graph)
}

/// The constant that `node` unpacks, as a value, and where to.
fn unpacks(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    let &[from, out] = node.args.as_slice() else {
        return None;
    };
    let constant = graph.tensor(from).ok()?.constant.is_some();
    (node.op == PREPACK && constant).then_some((from, out))
}

/// Values that stand for a constant and are written by a node, with the constant's data and type.
fn mutated(graph: &Graph) -> HashMap<ValueId, (ConstantId, DType)> {
    let mut unpacked: HashMap<ValueId, ValueId> = HashMap::new();
    let mut found = HashMap::new();
    let mut seen = HashSet::new();
    for node in &graph.nodes {
        if let Some((from, out)) = unpacks(graph, node) {
            if seen.insert(out) {
                unpacked.insert(out, from);
                continue;
            }
        }
        for id in graph.writes(node) {
            seen.insert(id);
            let source = unpacked.get(&id).copied().unwrap_or(id);
            if let Ok(spec) = graph.tensor(source) {
                if let Some(constant) = spec.constant {
                    found.insert(id, (constant, spec.dtype));
                }
            }
        }
    }
    found
}

/// What `id` is called now; lists with a renamed member become new lists.
fn renamed(graph: &mut Graph, id: ValueId, now: &HashMap<ValueId, ValueId>) -> Result<ValueId> {
    let name = |id: &ValueId| now.get(id).copied().unwrap_or(*id);
    let members: Vec<ValueId> = match graph.value(id)? {
        Value::List(members) => members.iter().map(name).collect(),
        _ => return Ok(name(&id)),
    };
    if matches!(graph.value(id)?, Value::List(old) if *old == members) {
        return Ok(id);
    }
    add(graph, Value::List(members))
}

fn add(graph: &mut Graph, value: Value) -> Result<ValueId> {
    let id = u32::try_from(graph.values.len()).map_err(|_| Error::blob("too many values"))?;
    graph.values.push(value);
    Ok(ValueId(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::TensorSpec;

    fn tensor(constant: Option<u32>) -> Value {
        Value::Tensor(TensorSpec {
            dtype: DType::F32,
            host_dtype: DType::F32,
            dims: vec![2, 3],
            constant: constant.map(ConstantId),
        })
    }

    fn node(op: &str, args: &[u32]) -> Node {
        Node {
            op: op.into(),
            args: args.iter().map(|&n| ValueId(n)).collect(),
            ..Node::default()
        }
    }

    #[test]
    fn a_second_write_becomes_the_value_after_the_run() {
        let graph = Graph {
            values: vec![tensor(Some(0)), tensor(None), tensor(None), tensor(None)],
            nodes: vec![
                node(PREPACK, &[0, 1]),
                node("add", &[1, 2, 1]),
                node("mul", &[1, 1, 3]),
            ],
            inputs: vec![ValueId(2)],
            outputs: vec![ValueId(3)],
            ..Graph::default()
        };
        let graph = separate(graph).expect("valid");
        let (before, after) = (ValueId(1), ValueId(4));
        assert_eq!(
            graph.states,
            [State {
                constant: ConstantId(0),
                source: DType::F32,
                before,
                after
            }]
        );
        let args: Vec<_> = graph.nodes.iter().map(|n| n.args.clone()).collect();
        assert_eq!(
            args,
            [
                vec![before, ValueId(2), after],
                vec![after, after, ValueId(3)]
            ]
        );
    }

    #[test]
    fn constants_that_nobody_writes_stay() {
        let graph = Graph {
            values: vec![tensor(Some(0)), tensor(None)],
            nodes: vec![node(PREPACK, &[0, 1])],
            ..Graph::default()
        };
        assert_eq!(separate(graph.clone()).expect("valid"), graph);
    }
}
