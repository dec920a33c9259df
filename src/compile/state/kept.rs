//! Mutable buffers of programs exported without `alias_buffer_mutations`: what a run leaves in
//! them is listed before the other outputs, yet the runtime does not pass them. Only the first
//! run tells how many there are, and nothing tells which constants they start from but their
//! types. A constant that may be one of them is kept like a buffer from the start.

use super::unpacks;
use crate::base::error::{Error, Result};
use crate::core::graph::{ConstantId, ConstantSource, Graph, State, Value, ValueId};
use crate::core::tensor::DType;
use std::collections::{HashMap, HashSet};

/// `graph` with a state, unchanged by runs, for each leading output that can be a mutable buffer:
/// exactly one constant is of its type. States are in the order of outputs. `None` when there are
/// none, or the graph says itself what its buffers are.
pub fn offer(graph: &Graph) -> Option<Graph> {
    if !graph.states.is_empty() {
        return None;
    }
    let mut read: Vec<ValueId> = Vec::new();
    let mut unpacked: HashSet<ValueId> = HashSet::new();
    let mut written: HashSet<ValueId> = HashSet::new();
    for node in &graph.nodes {
        unpacked.extend(unpacks(graph, node).map(|(from, _)| from));
        written.extend(graph.writes(node));
        read.extend(graph.reads(node));
    }
    read.sort_unstable();
    read.dedup();
    // The first constant of each type, and whether it is the only one.
    let mut constants: HashMap<(DType, &[u32]), (ValueId, bool)> = HashMap::new();
    for id in read {
        if let Ok(spec) = graph.tensor(id) {
            if spec.constant.is_some() {
                let kind = (spec.dtype, &spec.dims[..]);
                let alone = &mut constants.entry(kind).or_insert((id, true));
                alone.1 = alone.0 == id;
            }
        }
    }
    let mut states: Vec<State> = Vec::new();
    let mut found: HashSet<ValueId> = HashSet::new();
    for out in &graph.outputs {
        let Ok(kind) = graph.tensor(*out) else { break };
        let Some(&(before, true)) = constants.get(&(kind.dtype, &kind.dims[..])) else {
            break;
        };
        let taken = !found.insert(before);
        if taken || !unpacked.contains(&before) || !written.contains(out) {
            break;
        }
        let Some(constant) = graph.tensor(before).ok().and_then(|spec| spec.constant) else {
            break;
        };
        states.push(State {
            constant,
            source: kind.dtype,
            before,
            after: before,
        });
    }
    if states.is_empty() {
        return None;
    }
    let mut graph = graph.clone();
    for state in &states {
        if let Some(Value::Tensor(spec)) = graph.values.get_mut(state.before.0 as usize) {
            spec.constant = None;
        }
    }
    graph.states = states;
    Some(graph)
}

/// `graph`, which [`offer`] made, with its first `count` outputs as what the buffers become.
pub fn keep(graph: &Graph, count: usize) -> Result<Graph> {
    let mut graph = graph.clone();
    let unchanged = |state: &&State| state.after == state.before;
    let offered = graph.states.iter().take_while(unchanged).count();
    if count > offered || count > graph.outputs.len() {
        return Err(Error::unsupported(format!(
            "{count} of the outputs are mutable buffers, and which constants they start from can \
             be told of {offered}: export with alias_buffer_mutations"
        )));
    }
    for (state, out) in graph.states.iter_mut().zip(graph.outputs.drain(..count)) {
        state.after = out;
    }
    Ok(graph)
}

/// Data in the host's named data, and the type that a delegate gives it.
type Data<'a> = (&'a str, DType, &'a [u32]);

/// Data that `graph` starts mutable buffers from, and data that it reads and never changes.
fn written_and_read(graph: &Graph) -> (HashSet<Data<'_>>, HashSet<Data<'_>>) {
    let data = |constant: ConstantId, id: ValueId| {
        let spec = graph.tensor(id).ok()?;
        match graph.constants.get(usize::try_from(constant.0).ok()?)? {
            ConstantSource::Named { key, .. } => Some((key.as_str(), spec.dtype, &spec.dims[..])),
            _ => None,
        }
    };
    let (kept, offered): (Vec<_>, Vec<_>) = graph.states.iter().partition(|s| s.after != s.before);
    let of = |state: &&State| data(state.constant, state.before);
    let written = kept.iter().filter_map(of).collect();
    let mut read: HashSet<_> = offered.iter().filter_map(of).collect();
    for id in graph.nodes.iter().flat_map(|node| graph.reads(node)) {
        let constant = graph.tensor(id).ok().and_then(|spec| spec.constant);
        read.extend(constant.and_then(|constant| data(constant, id)));
    }
    (written, read)
}

/// The key of data that one of two graphs of a program starts a mutable buffer from and the other
/// reads and never changes. The exporter gives each partition that uses a buffer a copy of it, and
/// only one of them writes its own.
pub fn divided<'a>(a: &'a Graph, b: &'a Graph) -> Option<&'a str> {
    let [(a_written, a_read), (b_written, b_read)] = [written_and_read(a), written_and_read(b)];
    let at_odds = |written: &HashSet<Data<'a>>, read: &HashSet<Data<'a>>, also: &HashSet<_>| {
        let found = written
            .intersection(read)
            .find(|data| !also.contains(*data));
        found.map(|&(key, ..)| key)
    };
    at_odds(&a_written, &b_read, &b_written).or_else(|| at_odds(&b_written, &a_read, &a_written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::graph::{Node, TensorSpec};

    /// `x + buffer`, where the buffer starts from `key`; the sum is the only output.
    fn sum(key: &str, dims: &[u32]) -> Graph {
        let tensor = |constant: Option<u32>| {
            Value::Tensor(TensorSpec {
                dtype: DType::F32,
                host_dtype: DType::F32,
                dims: dims.to_vec(),
                constant: constant.map(ConstantId),
            })
        };
        let node = |op: &str, args: &[u32]| Node {
            op: op.into(),
            args: args.iter().map(|&n| ValueId(n)).collect(),
            ..Node::default()
        };
        Graph {
            values: vec![tensor(Some(0)), tensor(None), tensor(None), tensor(None)],
            nodes: vec![
                node("et_vk.prepack.default", &[0, 1]),
                node("aten.add.Tensor", &[1, 2, 3]),
            ],
            inputs: vec![ValueId(2)],
            outputs: vec![ValueId(3)],
            constants: vec![ConstantSource::Named {
                key: key.into(),
                size_bytes: 0,
            }],
            ..Graph::default()
        }
    }

    #[test]
    fn an_offered_buffer_is_what_the_output_leaves() {
        let offered = offer(&sum("k", &[2])).expect("one constant of the type");
        assert_eq!(offered.states[0].before, ValueId(0));
        assert_eq!(offered.states[0].after, ValueId(0));
        assert_eq!(offered.outputs, [ValueId(3)]);
        let kept = keep(&offered, 1).expect("offered");
        assert_eq!(kept.states[0].after, ValueId(3));
        assert!(kept.outputs.is_empty());
        assert!(keep(&offered, 2).is_err());
        assert!(keep(&kept, 1).is_err());
    }

    #[test]
    fn two_constants_of_one_type_are_not_offered() {
        let mut graph = sum("k", &[2]);
        assert!(offer(&graph).is_some());
        graph.values.push(graph.values[0].clone());
        graph.nodes[1].args.insert(2, ValueId(4));
        assert_eq!(offer(&graph), None);
    }

    #[test]
    fn a_buffer_that_another_delegate_only_reads_is_divided() {
        let [reads, other] = ["k", "other"].map(|key| sum(key, &[2]));
        let writes = keep(&offer(&reads).expect("offered"), 1).expect("offered");
        assert_eq!(divided(&writes, &reads), Some("k"));
        assert_eq!(divided(&reads, &writes), Some("k"));
        assert_eq!(
            divided(&writes, &offer(&reads).expect("offered")),
            Some("k")
        );
        assert_eq!(divided(&writes, &writes), None);
        assert_eq!(divided(&writes, &other), None);
        assert_eq!(divided(&writes, &sum("k", &[2, 1])), None);
    }
}
