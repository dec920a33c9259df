//! A faithful, validated copy of a serialized graph. It knows no operators.

pub use crate::core::ids::{ConstantId, ValueId};

use crate::base::error::{Error, Result};
use crate::core::tensor::DType;
use std::fmt;

/// Sizes of one input, or the integer that it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InputShape {
    /// A tensor's dims.
    Dims(Vec<u32>),
    /// A symbolic integer's value.
    Integer(i64),
}

/// Type and bound of a tensor value.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Type that the graph computes in.
    pub dtype: DType,
    /// Type at the host boundary: differs from `dtype` when the exporter forced fp16.
    pub host_dtype: DType,
    /// Sizes, outermost first. The upper bound where a size is dynamic; empty for a scalar.
    pub dims: Vec<u32>,
    /// The data, when the tensor is a constant.
    pub constant: Option<ConstantId>,
}

impl TensorSpec {
    /// Number of elements; `None` when it overflows.
    pub fn numel(&self) -> Option<u64> {
        self.dims
            .iter()
            .try_fold(1u64, |n, &d| n.checked_mul(u64::from(d)))
    }
}

/// One value of the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An absent optional argument.
    None,
    /// An integer argument.
    Int(i64),
    /// A floating-point argument.
    Double(f64),
    /// A boolean argument.
    Bool(bool),
    /// A tensor: input, constant, intermediate or output.
    Tensor(TensorSpec),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of floating-point numbers.
    Doubles(Vec<f64>),
    /// A list of booleans.
    Bools(Vec<bool>),
    /// A list of values: tensors, integers or symbolic integers.
    List(Vec<ValueId>),
    /// A string argument.
    String(String),
    /// An integer that depends on input sizes; the number is its value at the upper bound. 0 says
    /// nothing: `compile::bound_shapes` finds what it can be.
    SymInt(i32),
}

impl Value {
    /// The name of this kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Bool(_) => "bool",
            Self::Tensor(_) => "tensor",
            Self::Ints(_) => "int list",
            Self::Doubles(_) => "double list",
            Self::Bools(_) => "bool list",
            Self::List(_) => "value list",
            Self::String(_) => "string",
            Self::SymInt(_) => "symbolic int",
        }
    }
}

/// A step that a pass moved behind another node's result. See `passes::epilogue`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// `min(max(x, low), high)`.
    Clamp {
        /// Lower bound, perhaps negative infinity.
        low: f32,
        /// Upper bound, perhaps infinity.
        high: f32,
    },
    /// `x * sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x * clamp(x + 3, 0, 6) / 6`.
    Hardswish,
    /// `clamp(x + 3, 0, 6) / 6`.
    Hardsigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x > 0 ? x : slope * x`.
    LeakyRelu {
        /// The slope below zero.
        slope: f32,
    },
    /// `x > 0 ? x : slope[c] * x`; the slope has one element per channel, or one.
    Prelu {
        /// The slopes: a tensor.
        slope: ValueId,
    },
    /// `x + other`, a tensor of the result's dims.
    Add {
        /// The other operand.
        other: ValueId,
    },
}

/// One operator call.
///
/// By the format's convention arguments follow the operator's schema and the output comes last; of
/// several outputs, a list of them does. [`Node::operands`] and [`Node::output`] say so, and nothing
/// else counts on it. What a call writes besides, into its operands, only its operator knows:
/// [`Node::written`] says it once `compile` has asked.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Node {
    /// Identifier that the exporter gave, as its debug maps know it.
    pub id: u32,
    /// Operator name, such as `aten.convolution.default`.
    pub op: String,
    /// Arguments, output last.
    pub args: Vec<ValueId>,
    /// Operands that the call writes too, as values after the call, in the order in which the
    /// operator declares them.
    pub written: Vec<ValueId>,
    /// Steps on the result, in order; only passes put them here.
    pub epilogue: Vec<Step>,
}

impl Node {
    /// The arguments without the output.
    pub fn operands(&self) -> &[ValueId] {
        self.args.split_last().map_or(&[], |(_, operands)| operands)
    }

    /// The same, to be changed.
    pub fn operands_mut(&mut self) -> &mut [ValueId] {
        self.args
            .split_last_mut()
            .map_or(&mut [], |(_, operands)| operands)
    }

    /// The output, or the list of all outputs; `None` where there is no argument at all.
    pub fn output(&self) -> Option<ValueId> {
        self.args.last().copied()
    }

    /// Makes `output` what the call writes.
    pub fn set_output(&mut self, output: ValueId) {
        match self.args.last_mut() {
            Some(last) => *last = output,
            None => self.args.push(output),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.id, self.op)
    }
}

/// Where the bytes of a constant are.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantSource {
    /// No bytes: a tensor without elements.
    Empty,
    /// In the host's named data.
    Named {
        /// Key in the named-data map.
        key: String,
        /// Length that the graph states; 0 when it does not.
        size_bytes: u64,
    },
    /// In the blob itself.
    Inline {
        /// First byte, from the start of the blob.
        offset_bytes: usize,
        /// Number of bytes.
        size_bytes: usize,
    },
}

/// A mutable buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Its data before the first run.
    pub constant: ConstantId,
    /// Type of that data.
    pub source: DType,
    /// The tensor that it is when a run starts. No node writes it.
    pub before: ValueId,
    /// The tensor that it is from the end of the run on.
    pub after: ValueId,
}

/// A parsed program. Every id in it is in range.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// All values; an id is an index.
    pub values: Vec<Value>,
    /// Operator calls in execution order.
    pub nodes: Vec<Node>,
    /// Values that the host supplies: tensors or symbolic integers.
    pub inputs: Vec<ValueId>,
    /// Values that the host receives.
    pub outputs: Vec<ValueId>,
    /// Where constants are; a [`ConstantId`] is an index.
    pub constants: Vec<ConstantSource>,
    /// Buffers that keep what a run leaves in them; see [`crate::compile::state`].
    pub states: Vec<State>,
}

impl Graph {
    /// The value `id`.
    pub fn value(&self, id: ValueId) -> Result<&Value> {
        usize::try_from(id.0)
            .ok()
            .and_then(|i| self.values.get(i))
            .ok_or_else(|| Error::blob(format!("value {id} does not exist")))
    }

    /// Every value that `node` reads: operands, members of lists, operands of steps.
    pub fn reads(&self, node: &Node) -> Vec<ValueId> {
        let mut ids = Vec::with_capacity(node.args.len());
        for &id in node.operands() {
            self.extend_with(&mut ids, id);
        }
        ids.extend(node.epilogue.iter().filter_map(|step| match *step {
            Step::Prelu { slope } => Some(slope),
            Step::Add { other } => Some(other),
            _ => None,
        }));
        ids
    }

    /// Every value that `node` writes: its outputs, and the operands that it changes.
    pub fn writes(&self, node: &Node) -> Vec<ValueId> {
        let mut ids = Vec::with_capacity(1 + node.written.len());
        if let Some(output) = node.output() {
            self.extend_with(&mut ids, output);
        }
        ids.extend(&node.written);
        ids
    }

    /// `ids` with `id`, or with its members where it is a list.
    fn extend_with(&self, ids: &mut Vec<ValueId>, id: ValueId) {
        match self.value(id) {
            Ok(Value::List(members)) => ids.extend(members),
            _ => ids.push(id),
        }
    }

    /// The tensor `id`.
    pub fn tensor(&self, id: ValueId) -> Result<&TensorSpec> {
        match self.value(id)? {
            Value::Tensor(spec) => Ok(spec),
            other => Err(Error::blob(format!(
                "value {id} is {}, expected tensor",
                other.kind()
            ))),
        }
    }
}
