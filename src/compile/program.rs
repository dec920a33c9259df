//! Graph, input sizes and constraints to a [`Program`]: the loop over nodes.

use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constraints::Constraints;
use crate::core::device::ImageSizes;
use crate::core::graph::{Graph, InputShape, Node};
use crate::core::program::Program;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::table::{self, OpEntry};
use std::collections::HashMap;

/// Compiles `graph` for inputs of `shapes`.
pub fn compile(
    graph: &Graph,
    shapes: &[InputShape],
    constraints: &Constraints,
    images: &dyn ImageSizes,
) -> Result<Program> {
    let entries = entries(graph, table::find)?;
    let mut program = ProgramBuilder::new(graph, shapes, constraints, images)?;
    for (index, (node, entry)) in graph.nodes.iter().zip(entries).enumerate() {
        program.begin(index);
        (entry.lower)(node, &mut program).map_err(|e| e.context(node))?;
    }
    program.finish()
}

/// What `find` has for each node; the error names every operator that it does not have.
pub(super) fn entries(
    graph: &Graph,
    find: fn(&str) -> Option<&'static OpEntry>,
) -> Result<Vec<&'static OpEntry>> {
    let found: Option<Vec<_>> = graph.nodes.iter().map(|node| find(&node.op)).collect();
    found.ok_or_else(|| {
        let unknown = graph.nodes.iter().filter(|node| find(&node.op).is_none());
        Error::new(ErrorKind::UnknownOperator, listed(unknown))
    })
}

/// The operators of `nodes`, in the order of their first nodes, with how many call each.
fn listed<'a>(nodes: impl Iterator<Item = &'a Node>) -> String {
    let mut operators: Vec<(&Node, u32)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let place = *places.entry(&node.op).or_insert(operators.len());
        match operators.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => operators.push((node, 1)),
        }
    }
    let each = operators.iter().map(|(first, count)| match count {
        1 => format!("{} (node {})", first.op, first.id),
        _ => format!("{} ({count} nodes, node {} first)", first.op, first.id),
    });
    let each: Vec<String> = each.collect();
    let plural = if each.len() == 1 { "" } else { "s" };
    format!(
        "{} unknown operator{plural}: {}",
        each.len(),
        each.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(ops: &[&str]) -> Graph {
        let node = |(id, op): (u32, &&str)| Node {
            id: id * 10,
            op: (*op).to_owned(),
            ..Node::default()
        };
        Graph {
            nodes: (0..).zip(ops).map(node).collect(),
            ..Graph::default()
        }
    }

    #[test]
    fn every_unknown_operator_is_named_with_its_nodes() {
        let refused = |ops: &[&str], find| {
            let error = entries(&graph(ops), find).err().expect("unknown");
            assert_eq!(error.kind, ErrorKind::UnknownOperator);
            error.message
        };
        let ops = ["my.b", "aten.relu.default", "my.a", "my.b", "my.b"];
        assert_eq!(
            refused(&ops, table::find),
            "2 unknown operators: my.b (3 nodes, node 0 first), my.a (node 20)"
        );
        assert_eq!(
            refused(&["my.a"], table::find),
            "1 unknown operator: my.a (node 0)"
        );
        assert!(entries(&graph(&["aten.relu.default"]), table::find).is_ok());
    }

    #[test]
    fn names_that_only_passes_give_are_unknown_in_exported_graphs() {
        let internal = table::OPS.iter().flat_map(|entry| entry.internal);
        let internal: Vec<&str> = internal.copied().collect();
        assert!(!internal.is_empty());
        assert!(entries(&graph(&internal), table::find).is_ok());
        assert!(entries(&graph(&internal), table::find_exported).is_err());
    }
}
