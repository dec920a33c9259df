//! Mutable buffers of programs exported without `alias_buffer_mutations`: what a run leaves in
//! them is listed before the other outputs, yet the runtime does not pass them. Only the first
//! run tells how many there are, and nothing tells which constants they start from but their
//! types. A constant that may be one of them is kept like a buffer from the start.

use super::unpacks;
use crate::error::{Error, Result};
use crate::graph::{Graph, State, Value, ValueId};
use std::collections::HashSet;

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
    let constants: Vec<ValueId> = read
        .into_iter()
        .filter(|&id| graph.tensor(id).is_ok_and(|spec| spec.constant.is_some()))
        .collect();
    let mut states: Vec<State> = Vec::new();
    for out in &graph.outputs {
        let Ok(kind) = graph.tensor(*out) else { break };
        let mut alike = constants.iter().filter(|&&id| {
            graph
                .tensor(id)
                .is_ok_and(|c| c.dims == kind.dims && c.dtype == kind.dtype)
        });
        let (Some(&before), None) = (alike.next(), alike.next()) else {
            break;
        };
        let taken = states.iter().any(|state| state.before == before);
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
