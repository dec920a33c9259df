//! Graph, input sizes and constraints to a [`Program`]: the loop over nodes.

use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constraints::Constraints;
use crate::core::device::ImageSizes;
use crate::core::graph::{Graph, InputShape};
use crate::core::program::Program;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::table;

/// Compiles `graph` for inputs of `shapes`.
pub fn compile(
    graph: &Graph,
    shapes: &[InputShape],
    constraints: &Constraints,
    images: &dyn ImageSizes,
) -> Result<Program> {
    let mut entries = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        entries.push(table::find(&node.op).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownOperator,
                format!("{node}: no such operator is known"),
            )
        })?);
    }
    let mut program = ProgramBuilder::new(graph, shapes, constraints, images)?;
    for (index, (node, entry)) in graph.nodes.iter().zip(entries).enumerate() {
        program.begin(index);
        (entry.lower)(node, &mut program).map_err(|e| e.context(node))?;
    }
    program.finish()
}
