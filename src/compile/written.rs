//! Operands that a call writes in place, such as a cache that it adds a row to: operators say which.

use crate::base::error::{Error, Result};
use crate::core::graph::{Graph, Node, ValueId};
use crate::ops::support::Args;
use crate::ops::table;

/// `graph` with the operands that operators declare as written, as [`Node::written`].
pub(super) fn declared(graph: Graph) -> Result<Graph> {
    declared_by(graph, |args| match table::find(args.op()) {
        Some(entry) => (entry.writes)(args),
        None => Ok(Vec::new()),
    })
}

fn declared_by(
    mut graph: Graph,
    writes: impl Fn(&Args<'_>) -> Result<Vec<ValueId>>,
) -> Result<Graph> {
    let of = |node: &Node| {
        let written = writes(&Args::of_any_size(&graph, node))?;
        match written.iter().find(|id| !node.operands().contains(id)) {
            Some(other) => Err(Error::internal(format!(
                "{other} is no operand of the call"
            ))),
            None => Ok(written),
        }
    };
    let written = graph
        .nodes
        .iter()
        .map(|node| of(node).map_err(|e| e.context(node)))
        .collect::<Result<Vec<_>>>()?;
    for (node, written) in graph.nodes.iter_mut().zip(written) {
        node.written = written;
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::super::state::separate;
    use super::*;
    use crate::core::graph::{ConstantId, TensorSpec, Value};
    use crate::core::tensor::DType;

    /// `add_row(row, cache) -> result` with the cache as a constant or an input, then a reader of the
    /// cache.
    fn cached(constant: bool) -> Graph {
        let tensor = |constant: Option<u32>| {
            Value::Tensor(TensorSpec {
                dtype: DType::F32,
                host_dtype: DType::F32,
                dims: vec![4, 2],
                constant: constant.map(ConstantId),
            })
        };
        let node = |op: &str, args: &[u32]| Node {
            op: op.into(),
            args: args.iter().map(|&n| ValueId(n)).collect(),
            ..Node::default()
        };
        Graph {
            values: vec![
                tensor(constant.then_some(0)),
                tensor(None),
                tensor(None),
                tensor(None),
            ],
            nodes: vec![node("add_row", &[1, 0, 2]), node("read", &[0, 3])],
            inputs: vec![ValueId(1)],
            outputs: vec![ValueId(2), ValueId(3)],
            ..Graph::default()
        }
    }

    /// The second argument of `add_row`.
    fn cache(args: &Args<'_>) -> Result<Vec<ValueId>> {
        match args.op() {
            "add_row" => Ok(vec![args.tensor(1)?]),
            _ => Ok(Vec::new()),
        }
    }

    #[test]
    fn a_written_operand_is_a_mutable_buffer_that_later_nodes_read_as_written() {
        let graph = declared_by(cached(true), cache).expect("an operand");
        assert_eq!(graph.nodes[0].written, [ValueId(0)]);
        assert_eq!(graph.writes(&graph.nodes[0]), [ValueId(2), ValueId(0)]);
        let graph = separate(graph).expect("a constant");
        let (before, after) = (ValueId(0), ValueId(4));
        let states: Vec<_> = graph.states.iter().map(|s| (s.before, s.after)).collect();
        assert_eq!(states, [(before, after)]);
        assert_eq!(graph.nodes[0].args, [ValueId(1), before, ValueId(2)]);
        assert_eq!(graph.nodes[0].written, [after]);
        assert_eq!(
            Args::of_any_size(&graph, &graph.nodes[0]).written(0),
            Ok(after)
        );
        assert_eq!(graph.nodes[1].args, [after, ValueId(3)]);
    }

    #[test]
    fn what_is_written_must_be_a_constant_and_an_operand() {
        let graph = declared_by(cached(false), cache).expect("an operand");
        let message = separate(graph).expect_err("an input").message;
        assert!(message.contains("no mutable buffer"), "{message}");
        let stranger = |_: &Args<'_>| Ok(vec![ValueId(3)]);
        assert!(declared_by(cached(true), stranger).is_err());
    }

    #[test]
    fn what_declares_nothing_writes_outputs_alone() {
        let mut graph = cached(true);
        graph.nodes[0].op = "aten.add.Tensor".into();
        let graph = declared(graph).expect("nothing is declared");
        assert!(graph.nodes.iter().all(|node| node.written.is_empty()));
    }
}
