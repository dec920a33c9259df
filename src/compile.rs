//! Graph + input sizes + device limits -> [`Program`]: the loop over nodes.

mod bounds;

use crate::builder::ProgramBuilder;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Value};
use crate::ops;
use crate::options::Options;
use crate::program::Program;
use crate::tensor::DeviceLimits;

/// Sizes of one input, or the integer that it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InputShape {
    /// A tensor's dims.
    Dims(Vec<u32>),
    /// A symbolic integer's value.
    Integer(i64),
}

/// The input sizes at the upper bound: what a program is exported for.
pub fn bound_shapes(graph: &Graph) -> Result<Vec<InputShape>> {
    let integers = bounds::integers_at_bound(graph);
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

/// Compiles `graph` for inputs of `shapes`.
pub fn compile(
    graph: &Graph,
    shapes: &[InputShape],
    limits: &DeviceLimits,
    options: &Options,
) -> Result<Program> {
    let mut entries = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        entries.push(ops::find(&node.op).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownOperator,
                format!("{node}: no such operator is known"),
            )
        })?);
    }
    let mut program = ProgramBuilder::new(graph, shapes, limits, options)?;
    for (index, (node, entry)) in graph.nodes.iter().zip(entries).enumerate() {
        program.begin(index);
        (entry.lower)(node, &mut program).map_err(|e| e.context(node))?;
    }
    program.finish()
}
