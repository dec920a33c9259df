//! A graph as passes see it: who writes and who reads each value, calls as their operators read them,
//! and what scalar constants are.

use crate::base::error::Result;
use crate::core::constant::{read_float, ConstantData};
use crate::core::graph::{Graph, Node, TensorSpec, Value, ValueId};
use crate::ops::binary::Operand;
use crate::ops::support::{Args, Op};
use crate::ops::table;
use std::collections::{HashMap, HashSet};

/// Writers and readers of all values of a graph.
pub(super) struct Uses {
    writer: HashMap<ValueId, usize>,
    readers: HashMap<ValueId, Vec<usize>>,
    outputs: HashSet<ValueId>,
}

impl Uses {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut uses = Self {
            writer: HashMap::new(),
            readers: HashMap::new(),
            outputs: graph.outputs.iter().copied().collect(),
        };
        // What a buffer keeps outlives the run, as an output does.
        uses.outputs.extend(graph.states.iter().map(|s| s.after));
        for (index, node) in graph.nodes.iter().enumerate() {
            for id in graph.writes(node) {
                uses.writer.insert(id, index);
            }
            for id in graph.reads(node) {
                uses.readers.entry(id).or_default().push(index);
            }
        }
        uses
    }

    /// The only reader of `id`, when there is exactly one reading place and the host is none.
    pub(super) fn only_reader(&self, id: ValueId) -> Option<usize> {
        match self.readers.get(&id)?.as_slice() {
            [reader] if !self.outputs.contains(&id) => Some(*reader),
            _ => None,
        }
    }
}

/// What a pattern looks at.
pub(super) struct Seen<'a> {
    pub(super) graph: &'a Graph,
    uses: &'a Uses,
    constants: &'a dyn ConstantData,
}

impl Seen<'_> {
    /// Node `at` as a call of `T`.
    pub(super) fn call<T: Op>(&self, at: usize) -> Option<T> {
        let node = self.graph.nodes.get(at)?;
        T::of(&Args::of_any_size(self.graph, node))
    }

    /// The call of `T` that writes `id` for node `reader` alone, with its place.
    pub(super) fn call_for<T: Op>(&self, id: ValueId, reader: usize) -> Option<(usize, T)> {
        let writer = *self.uses.writer.get(&id)?;
        if writer >= reader || self.uses.only_reader(id) != Some(reader) {
            return None;
        }
        Some((writer, self.call(writer)?))
    }

    /// Whether `x` is of floats, and `y` of the same type and dims.
    pub(super) fn alike(&self, x: ValueId, y: ValueId) -> Result<bool> {
        let (x, y) = (self.graph.tensor(x)?, self.graph.tensor(y)?);
        Ok(x.dtype.is_float() && x.dtype == y.dtype && x.dims == y.dims)
    }

    /// The number that `operand` always is, if it is one.
    pub(super) fn number(&self, operand: Operand) -> Result<Option<f64>> {
        match operand {
            Operand::Number(number) => Ok(Some(number.double())),
            Operand::Tensor(id) => self.element(id),
        }
    }

    /// The only element of the tensor `id`, where it is a constant, also behind calls that pass its
    /// elements on.
    fn element(&self, id: ValueId) -> Result<Option<f64>> {
        let mut id = id;
        // Each step goes to an earlier node, so the walk ends; the bound holds for malformed graphs.
        for _ in 0..8 {
            let Value::Tensor(spec) = self.graph.value(id)? else {
                return Ok(None);
            };
            if spec.numel() != Some(1) {
                return Ok(None);
            }
            if spec.constant.is_some() {
                return self.constant(spec);
            }
            let node = self.uses.writer.get(&id).map(|&at| &self.graph.nodes[at]);
            let Some(from) = node.and_then(|node| self.passed_on(node)) else {
                return Ok(None);
            };
            // Integers drop what follows the point.
            let source = self.graph.tensor(from)?.dtype;
            if source != spec.dtype && !(source.is_float() && spec.dtype.is_float()) {
                return Ok(None);
            }
            id = from;
        }
        Ok(None)
    }

    fn passed_on(&self, node: &Node) -> Option<ValueId> {
        (table::find(&node.op)?.passes_on)(&Args::of_any_size(self.graph, node))
    }

    /// The first element of a constant.
    fn constant(&self, spec: &TensorSpec) -> Result<Option<f64>> {
        let source = spec.constant.and_then(|id| {
            let at = usize::try_from(id.0).ok()?;
            self.graph.constants.get(at)
        });
        let Some(source) = source else {
            return Ok(None);
        };
        let mut number = None;
        self.constants.with_bytes(source, &mut |bytes| {
            if bytes.len() as u64 >= spec.dtype.size_bytes() {
                number = Some(f64::from(read_float(spec.dtype, bytes, 0)));
            }
            Ok(())
        })?;
        Ok(number)
    }
}

/// A call in place of several.
pub(super) struct Rewrite {
    /// What the last of them becomes.
    pub(super) call: Node,
    /// The others, which nothing else reads.
    pub(super) dead: Vec<usize>,
}

/// `graph` with every place at which `pattern` finds one rewritten.
pub(super) fn rewrite(
    mut graph: Graph,
    constants: &dyn ConstantData,
    pattern: fn(&Seen<'_>, usize) -> Result<Option<Rewrite>>,
) -> Result<Graph> {
    let uses = Uses::of(&graph);
    let mut dead = vec![false; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        let seen = Seen {
            graph: &graph,
            uses: &uses,
            constants,
        };
        let Some(rewrite) = pattern(&seen, at)? else {
            continue;
        };
        for index in rewrite.dead {
            dead[index] = true;
        }
        let node = &mut graph.nodes[at];
        node.op = rewrite.call.op;
        node.args = rewrite.call.args;
    }
    Ok(without(graph, &dead))
}

/// The graph without the nodes that `dead` marks.
pub(super) fn without(mut graph: Graph, dead: &[bool]) -> Graph {
    let mut marks = dead.iter();
    graph
        .nodes
        .retain(|_| !marks.next().copied().unwrap_or(false));
    graph
}
