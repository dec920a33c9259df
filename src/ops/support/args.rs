//! Typed access to one node's arguments. Every error names the argument's position and value.

use crate::base::error::{Error, Result};
use crate::core::graph::{Graph, Node, Step, TensorSpec, Value, ValueId};
use std::collections::HashMap;

/// Integers of one list: sizes, or one number per dim. Operators take time quadratic in it.
const MAX_INTS: usize = 1 << 12;

/// The arguments of one call.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    graph: &'a Graph,
    node: &'a Node,
    /// What symbolic integers are; `None` where that is not known yet.
    integers: Option<&'a HashMap<ValueId, i64>>,
}

impl<'a> Args<'a> {
    /// Arguments of `node`; `integers` holds what symbolic integers are now.
    pub fn new(graph: &'a Graph, node: &'a Node, integers: &'a HashMap<ValueId, i64>) -> Self {
        Self {
            graph,
            node,
            integers: Some(integers),
        }
    }

    /// Arguments of `node` whatever the input sizes are: a symbolic integer is an error.
    pub fn of_any_size(graph: &'a Graph, node: &'a Node) -> Self {
        Self {
            graph,
            node,
            integers: None,
        }
    }

    /// Operator name: for families that share a file.
    pub fn op(&self) -> &'a str {
        &self.node.op
    }

    /// Steps that passes moved behind the result.
    pub fn epilogue(&self) -> &'a [Step] {
        &self.node.epilogue
    }

    /// Number of arguments, outputs included.
    pub fn len(&self) -> usize {
        self.node.args.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.node.args.is_empty()
    }

    /// Checks the number of arguments, outputs included.
    pub fn expect_len(&self, len: usize) -> Result<()> {
        if self.len() == len {
            return Ok(());
        }
        Err(Error::blob(format!(
            "{} arguments, expected {len}",
            self.len()
        )))
    }

    /// The id of argument `i`.
    pub fn id(&self, i: usize) -> Result<ValueId> {
        self.node
            .args
            .get(i)
            .copied()
            .ok_or_else(|| Error::blob(format!("argument {i} of {} is missing", self.len())))
    }

    /// Argument `i` as it is serialized.
    pub fn value(&self, i: usize) -> Result<&'a Value> {
        self.graph.value(self.id(i)?)
    }

    /// Whether argument `i` is an absent optional.
    pub fn is_none(&self, i: usize) -> Result<bool> {
        Ok(matches!(self.value(i)?, Value::None))
    }

    fn wrong<T>(&self, i: usize, expected: &str) -> Result<T> {
        let (id, found) = (self.id(i)?, self.value(i)?.kind());
        Err(Error::blob(format!(
            "argument {i} ({id}) is {found}, expected {expected}"
        )))
    }

    /// A tensor argument.
    pub fn tensor(&self, i: usize) -> Result<ValueId> {
        match self.value(i)? {
            Value::Tensor(_) => self.id(i),
            _ => self.wrong(i, "tensor"),
        }
    }

    /// Type and bound of a tensor argument.
    pub fn spec(&self, i: usize) -> Result<&'a TensorSpec> {
        self.graph.tensor(self.tensor(i)?)
    }

    /// A tensor argument that may be absent.
    pub fn optional_tensor(&self, i: usize) -> Result<Option<ValueId>> {
        match self.value(i)? {
            Value::None => Ok(None),
            Value::Tensor(_) => self.id(i).map(Some),
            _ => self.wrong(i, "tensor or none"),
        }
    }

    fn integer(&self, id: ValueId) -> Result<Option<i64>> {
        Ok(match self.graph.value(id)? {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some(i64::from(*b)),
            // 1 and 1.0 share a value in exported graphs: an integer may arrive as a double.
            Value::Double(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(*x as i64),
            Value::SymInt(bound) => self
                .integers
                .map(|known| known.get(&id).copied().unwrap_or(i64::from(*bound))),
            _ => None,
        })
    }

    /// An integer argument, symbolic or not.
    pub fn int(&self, i: usize) -> Result<i64> {
        match self.integer(self.id(i)?)? {
            Some(n) => Ok(n),
            None => self.wrong(i, "int"),
        }
    }

    /// An integer argument that may be absent.
    pub fn optional_int(&self, i: usize) -> Result<Option<i64>> {
        if self.is_none(i)? {
            return Ok(None);
        }
        self.int(i).map(Some)
    }

    /// A number: int, double or bool.
    pub fn number(&self, i: usize) -> Result<f64> {
        match self.value(i)? {
            Value::Double(x) => Ok(*x),
            _ => match self.integer(self.id(i)?)? {
                Some(n) => Ok(n as f64),
                None => self.wrong(i, "number"),
            },
        }
    }

    /// A number that may be absent.
    pub fn optional_number(&self, i: usize) -> Result<Option<f64>> {
        if self.is_none(i)? {
            return Ok(None);
        }
        self.number(i).map(Some)
    }

    /// A boolean argument.
    pub fn bool(&self, i: usize) -> Result<bool> {
        match self.value(i)? {
            Value::Bool(b) => Ok(*b),
            Value::Int(n) => Ok(*n != 0),
            _ => self.wrong(i, "bool"),
        }
    }

    /// A string argument that may be absent.
    pub fn optional_string(&self, i: usize) -> Result<Option<&'a str>> {
        match self.value(i)? {
            Value::None => Ok(None),
            Value::String(s) => Ok(Some(s)),
            _ => self.wrong(i, "string"),
        }
    }

    /// A list of integers, symbolic or not. A single integer counts as a list of one.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>> {
        let list = self.any_ints(i)?;
        if list.len() > MAX_INTS {
            return Err(Error::unsupported(format!(
                "argument {i} has {} elements, the limit is {MAX_INTS}",
                list.len()
            )));
        }
        Ok(list)
    }

    fn any_ints(&self, i: usize) -> Result<Vec<i64>> {
        match self.value(i)? {
            Value::Ints(list) => Ok(list.clone()),
            Value::Bools(list) => Ok(list.iter().map(|&b| i64::from(b)).collect()),
            Value::List(ids) => {
                let list: Option<Vec<i64>> = ids
                    .iter()
                    .map(|&id| self.integer(id))
                    .collect::<Result<_>>()?;
                list.map_or_else(|| self.wrong(i, "list of ints"), Ok)
            }
            _ => match self.integer(self.id(i)?)? {
                Some(n) => Ok(vec![n]),
                None => self.wrong(i, "list of ints"),
            },
        }
    }

    /// A list of integers that may be absent.
    pub fn optional_ints(&self, i: usize) -> Result<Option<Vec<i64>>> {
        if self.is_none(i)? {
            return Ok(None);
        }
        self.ints(i).map(Some)
    }

    /// A list of doubles that may be absent.
    pub fn optional_doubles(&self, i: usize) -> Result<Option<Vec<f64>>> {
        match self.value(i)? {
            Value::None => Ok(None),
            Value::Doubles(list) => Ok(Some(list.clone())),
            Value::Ints(list) => Ok(Some(list.iter().map(|&n| n as f64).collect())),
            _ => self.wrong(i, "list of doubles or none"),
        }
    }

    /// A pair `[height, width]` of small non-negative numbers; one element serves both.
    pub fn pair(&self, i: usize) -> Result<[u32; 2]> {
        let list = self.ints(i)?;
        let [h, w] = match list.as_slice() {
            [both] => [*both, *both],
            [h, w] => [*h, *w],
            _ => {
                return Err(Error::blob(format!(
                    "argument {i} has {} elements, expected 1 or 2",
                    list.len()
                )))
            }
        };
        let number = |n: i64| {
            u32::try_from(n)
                .map_err(|_| Error::blob(format!("argument {i} holds {n}, expected 0 or more")))
        };
        Ok([number(h)?, number(w)?])
    }

    /// A list of tensors; `None` where an optional one is absent.
    pub fn tensors(&self, i: usize) -> Result<Vec<Option<ValueId>>> {
        let Value::List(ids) = self.value(i)? else {
            return self.wrong(i, "list of tensors");
        };
        ids.iter()
            .map(|&id| match self.graph.value(id)? {
                Value::None => Ok(None),
                Value::Tensor(_) => Ok(Some(id)),
                other => Err(Error::blob(format!(
                    "argument {i} holds {} ({id}), expected tensor",
                    other.kind()
                ))),
            })
            .collect()
    }

    /// The single output: what the call writes, or the first member of a list of outputs.
    pub fn output(&self) -> Result<ValueId> {
        let output = self.whole_output()?;
        match self.graph.value(output)? {
            Value::List(ids) => ids
                .first()
                .copied()
                .ok_or_else(|| Error::blob("the list of outputs is empty")),
            _ => Ok(output),
        }
    }

    /// All outputs.
    pub fn outputs(&self) -> Result<Vec<ValueId>> {
        let output = self.whole_output()?;
        match self.graph.value(output)? {
            Value::List(ids) => Ok(ids.clone()),
            _ => Ok(vec![output]),
        }
    }

    fn whole_output(&self) -> Result<ValueId> {
        let output = self.node.output();
        output.ok_or_else(|| Error::blob("no arguments"))
    }

    /// What the operand becomes that [`super::Op::writes`] names as its `i`-th.
    pub fn written(&self, i: usize) -> Result<ValueId> {
        let written = self.node.written.get(i).copied();
        written.ok_or_else(|| Error::internal(format!("written operand {i} is not declared")))
    }

    /// Type and bound of output `i`.
    pub fn output_spec(&self, i: usize) -> Result<&'a TensorSpec> {
        let id = self.outputs()?.get(i).copied();
        self.graph
            .tensor(id.ok_or_else(|| Error::blob(format!("output {i} is missing")))?)
    }
}

/// `dim` counted from the front; negative counts from the back.
pub fn wrap_dim(dim: i64, rank: usize) -> Result<usize> {
    let n = i64::try_from(rank.max(1)).unwrap_or(i64::MAX);
    let wrapped = if dim < 0 { dim.saturating_add(n) } else { dim };
    usize::try_from(wrapped)
        .ok()
        .filter(|&d| d < rank.max(1))
        .ok_or_else(|| Error::blob(format!("dim {dim} of a tensor of rank {rank}")))
}
