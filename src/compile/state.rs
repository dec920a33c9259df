//! Mutable buffers. In a serialized graph a buffer is a constant with its initial data, and its
//! mutation is a second write to the value that the constant was unpacked into. Here every value
//! is written once, and what a buffer holds before and after a run are two values.
//!
//! The exporter gives both the same id, so that a read after the write may mean either; the blobs
//! of the two programs are the same bytes. What can be told is told, and where the old contents
//! are certainly or plausibly meant among several reads, the program is refused.

mod kept;

pub use kept::{divided, keep, offer};

use crate::base::error::{Error, Result};
use crate::core::graph::{ConstantId, Graph, Node, State, Value, ValueId};
use crate::core::tensor::DType;
use crate::ops::support::Args;
use crate::ops::table;
use std::collections::{HashMap, HashSet};

/// A constant that is written.
struct Buffer {
    constant: ConstantId,
    /// Type of its data.
    source: DType,
    /// The value that is the constant; another one than is written where a node unpacks it.
    raw: ValueId,
    /// What a read after the write means.
    late: Contents,
}

/// Which contents of a buffer a read means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    Old,
    New,
}

/// Values that have several names: what a buffer holds before the run, and after each write so far.
struct Names {
    buffers: HashMap<ValueId, Buffer>,
    /// What a read of the buffer reads now.
    now: HashMap<ValueId, ValueId>,
    /// What was written last.
    after: HashMap<ValueId, ValueId>,
}

/// `graph` with its mutable buffers as [`Graph::states`].
pub fn separate(mut graph: Graph) -> Result<Graph> {
    check_returned(&graph)?;
    let mut names = Names::new(mutated(&graph)?);
    for mut node in std::mem::take(&mut graph.nodes) {
        let unpacked = unpacks(&graph, &node).map(|(_, out)| out);
        if unpacked.is_none_or(|out| !names.buffers.contains_key(&out)) {
            names.rename(&mut graph, &mut node)?;
            graph.nodes.push(node);
        }
    }
    let Names { buffers, after, .. } = names;
    for id in &mut graph.outputs {
        *id = after.get(id).copied().unwrap_or(*id);
    }
    let mut states: Vec<State> = buffers
        .into_iter()
        .map(|(before, buffer)| State {
            constant: buffer.constant,
            source: buffer.source,
            before,
            after: after.get(&before).copied().unwrap_or(before),
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

impl Names {
    fn new(buffers: HashMap<ValueId, Buffer>) -> Self {
        // The constant itself, where a node that unpacks constants on its own reads it, is always the
        // old contents.
        let both = buffers
            .iter()
            .flat_map(|(&id, buffer)| [(buffer.raw, id), (id, id)]);
        Self {
            now: both.collect(),
            after: HashMap::new(),
            buffers,
        }
    }

    /// Gives what `node` reads the names that it has now, and what it writes new ones.
    fn rename(&mut self, graph: &mut Graph, node: &mut Node) -> Result<()> {
        for id in node.operands_mut() {
            *id = renamed(graph, *id, &self.now)?;
        }
        let Some(out) = node.output() else {
            return Ok(());
        };
        if matches!(graph.value(out)?, Value::List(members) if members.iter().any(|m| self.buffers.contains_key(m)))
        {
            return Err(Error::unsupported("a mutable buffer among several results"));
        }
        if self.buffers.contains_key(&out) {
            node.set_output(self.write(graph, out)?);
        }
        for id in &mut node.written {
            if !self.buffers.contains_key(id) {
                return Err(Error::unsupported(format!(
                    "node {} ({}) writes its operand {id}, which is no mutable buffer",
                    node.id, node.op
                )));
            }
            *id = self.write(graph, *id)?;
        }
        Ok(())
    }

    /// The name of what a node writes to the buffer `id`.
    fn write(&mut self, graph: &mut Graph, id: ValueId) -> Result<ValueId> {
        let mut spec = graph.tensor(id)?.clone();
        spec.constant = None;
        let written = add(graph, Value::Tensor(spec))?;
        self.after.insert(id, written);
        if self
            .buffers
            .get(&id)
            .is_some_and(|b| b.late == Contents::New)
        {
            self.now.insert(id, written);
        }
        Ok(written)
    }
}

/// Refuses what a program that returns a buffer's old contents is serialized as: the exporter
/// leaves that output out, and with it the only use of the constant.
fn check_returned(graph: &Graph) -> Result<()> {
    let mut used: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    for node in &graph.nodes {
        used.extend(graph.reads(node));
        used.extend(graph.writes(node));
    }
    let tensor = |id: u32| graph.tensor(ValueId(id)).ok();
    let count = u32::try_from(graph.values.len()).unwrap_or(u32::MAX);
    let outputs = graph.outputs.iter().filter_map(|out| tensor(out.0));
    let returned: HashSet<(DType, &[u32])> = outputs.map(|o| (o.dtype, &o.dims[..])).collect();
    for (id, spec) in (0..count).filter_map(|id| Some((id, tensor(id)?))) {
        if spec.constant.is_some()
            && !used.contains(&ValueId(id))
            && returned.contains(&(spec.dtype, &spec.dims[..]))
        {
            return Err(Error::unsupported(format!(
                "nothing reads the constant %{id}: the model returns what a mutable buffer held \
                 before the run, and the exporter drops that output"
            )));
        }
    }
    Ok(())
}

/// The constant that `node` unpacks, as a value, and where to.
fn unpacks(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    let from = (table::find(&node.op)?.unpacks)(&Args::of_any_size(graph, node))?;
    let constant = graph.tensor(from).ok()?.constant.is_some();
    constant.then_some((from, node.output()?))
}

/// Values that stand for a constant and are written by a node.
fn mutated(graph: &Graph) -> Result<HashMap<ValueId, Buffer>> {
    let mut unpacked: HashMap<ValueId, ValueId> = HashMap::new();
    let mut found = HashMap::new();
    let mut seen = HashSet::new();
    let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for id in graph.reads(node) {
            readers.entry(id).or_default().push(index);
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Some((from, out)) = unpacks(graph, node) {
            if seen.insert(out) {
                unpacked.insert(out, from);
                continue;
            }
        }
        for id in graph.writes(node) {
            seen.insert(id);
            let raw = unpacked.get(&id).copied().unwrap_or(id);
            let Ok(spec) = graph.tensor(raw) else {
                continue;
            };
            if let (Some(constant), false) = (spec.constant, found.contains_key(&id)) {
                let readers = readers.get(&id).map_or(&[][..], Vec::as_slice);
                // Nobody means the old contents of what a call declares to change.
                let declared = node.written.contains(&id).then_some(Contents::New);
                let late = declared.or_else(|| late_reads(readers, index, id != raw));
                let late = late.ok_or_else(|| {
                    Error::unsupported(format!(
                        "{node} writes the mutable buffer {id}, and it cannot be told whether \
                         later nodes read the old or the new contents: export without \
                         alias_buffer_mutations, where no two constants have the buffer's type"
                    ))
                })?;
                let told = declared.is_none() && late == Contents::New;
                if told && readers.last().is_some_and(|&last| last > index) {
                    log::warn!("the mutable buffer {id} is read after {node}: as what it wrote");
                }
                let buffer = Buffer {
                    constant,
                    source: spec.dtype,
                    raw,
                    late,
                };
                found.insert(id, buffer);
            }
        }
    }
    Ok(found)
}

/// What reads of a buffer mean that come after node `write`, the first to write it; `None` when it
/// cannot be told. `readers` are the nodes that read it, in order, as often as they do.
///
/// The exporter unpacks a constant only for a node that reads it, so where none does up to the
/// write, one of the later reads is of the old contents. A node that reads the buffer twice most
/// likely takes both: the change from the one to the other, say.
fn late_reads(readers: &[usize], write: usize, unpacked: bool) -> Option<Contents> {
    let early = readers.partition_point(|&at| at <= write);
    let late = &readers[early..];
    let twice = late.windows(2).any(|pair| pair[0] == pair[1]);
    match (early, late.len()) {
        (_, 0) => Some(Contents::New),
        (0, 1) if unpacked => Some(Contents::Old),
        (1.., _) if !twice => Some(Contents::New),
        _ => None,
    }
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
    use crate::core::graph::TensorSpec;

    const PREPACK: &str = "et_vk.prepack.default";

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
                node("mul", &[1, 2, 3]),
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
                vec![after, ValueId(2), ValueId(3)]
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

    #[test]
    fn a_late_read_without_an_early_one_is_of_the_old_contents() {
        let mut graph = Graph {
            values: vec![tensor(Some(0)), tensor(None), tensor(None), tensor(None)],
            nodes: vec![
                node(PREPACK, &[0, 1]),
                node("tanh", &[2, 1]),
                node("neg", &[1, 3]),
            ],
            inputs: vec![ValueId(2)],
            outputs: vec![ValueId(3)],
            ..Graph::default()
        };
        let separated = separate(graph.clone()).expect("valid");
        assert_eq!(separated.nodes[0].args, [ValueId(2), ValueId(4)]);
        assert_eq!(separated.nodes[1].args, [ValueId(1), ValueId(3)]);
        assert_eq!(separated.states[0].after, ValueId(4));

        graph.nodes[2] = node("sub", &[1, 1, 3]);
        let message = separate(graph.clone()).expect_err("ambiguous").message;
        assert!(message.contains("cannot be told"), "{message}");
        graph.nodes.insert(1, node("exp", &[1, 3]));
        assert!(separate(graph).is_err());
    }

    #[test]
    fn the_constant_itself_is_always_the_old_contents() {
        let graph = Graph {
            values: vec![tensor(Some(0)), tensor(None), tensor(None)],
            nodes: vec![
                node(PREPACK, &[0, 1]),
                node("neg", &[1, 1]),
                node("linear", &[0, 2]),
            ],
            outputs: vec![ValueId(2)],
            ..Graph::default()
        };
        let graph = separate(graph).expect("valid");
        assert_eq!(graph.nodes[1].args, [ValueId(1), ValueId(2)]);
    }

    #[test]
    fn returned_old_contents_are_refused() {
        let graph = Graph {
            values: vec![tensor(Some(0)), tensor(None), tensor(None)],
            nodes: vec![node("tanh", &[1, 2])],
            inputs: vec![ValueId(1)],
            outputs: vec![ValueId(2)],
            ..Graph::default()
        };
        assert!(separate(graph).is_err());
    }
}
