//! Symbolic integers at the upper bound of input sizes, as operators tell them from what they make.

use crate::core::graph::{Graph, Value, ValueId};
use std::collections::HashMap;

/// What is known so far.
pub struct Known<'a> {
    graph: &'a Graph,
    numbers: HashMap<ValueId, i64>,
}

impl<'a> Known<'a> {
    /// Nothing, of the integers of `graph`.
    pub fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            numbers: HashMap::new(),
        }
    }

    /// How many integers are known.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// All of them.
    pub fn into_numbers(self) -> HashMap<ValueId, i64> {
        self.numbers
    }

    /// The integer that `id` is, if it is known.
    pub fn number(&self, id: ValueId) -> Option<i64> {
        match self.graph.value(id) {
            Ok(Value::Int(n)) => Some(*n),
            Ok(Value::SymInt(_)) => self.numbers.get(&id).copied(),
            _ => None,
        }
    }

    /// The same of an optional argument, which is `absent` where it is not given.
    pub fn number_or(&self, id: ValueId, absent: i64) -> Option<i64> {
        match self.graph.value(id) {
            Ok(Value::None) => Some(absent),
            _ => self.number(id),
        }
    }

    /// Dims of the tensor `id` at the upper bound.
    pub fn dims(&self, id: ValueId) -> Option<&'a [u32]> {
        self.graph.tensor(id).ok().map(|spec| spec.dims.as_slice())
    }

    /// `id` is `n` at the upper bound, if it is a symbolic integer of which nothing is known.
    pub fn set(&mut self, id: ValueId, n: Option<i64>) {
        if let (Some(n @ 0..), Ok(Value::SymInt(_))) = (n, self.graph.value(id)) {
            self.numbers.entry(id).or_insert(n);
        }
    }

    /// The list `sizes` holds the sizes of `tensor`.
    pub fn set_sizes(&mut self, sizes: ValueId, tensor: ValueId) -> Option<()> {
        let Ok(Value::List(ids)) = self.graph.value(sizes) else {
            return None;
        };
        let dims = self.dims(tensor)?;
        if ids.len() == dims.len() {
            for (&id, &d) in ids.iter().zip(dims) {
                self.set(id, Some(d.into()));
            }
        }
        Some(())
    }
}
