//! Builds delegate blobs for tests, laid out as the stock exporter writes them.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "no test binary uses all of it"
)]

#[path = "blob/write.rs"]
mod write;

pub use write::{assemble, flatbuffer, wire, GRAPH_OFFSET};

use etvk::core::graph::{ConstantId, ConstantSource, Graph, Node, TensorSpec, Value, ValueId};
use etvk::core::tensor::DType;

/// Parameters of [`GraphBuilder::conv2d`]; the default is stride 1 without padding.
#[derive(Clone, Debug)]
pub struct Conv {
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub output_padding: [u32; 2],
    pub groups: u32,
    pub transposed: bool,
    /// Makes it the fused operator, with this least and greatest output.
    pub clamp: Option<[f64; 2]>,
}

impl Default for Conv {
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            output_padding: [0, 0],
            groups: 1,
            transposed: false,
            clamp: None,
        }
    }
}

impl Conv {
    /// Output sizes for input dims `[n, c_in, h, w]` and weight dims as the operator has them.
    pub fn output_dims(&self, x: &[u32], w: &[u32]) -> Vec<u32> {
        let size = |i: usize| {
            let reach = self.dilation[i] * (w[2 + i] - 1) + 1;
            if self.transposed {
                (x[2 + i] - 1) * self.stride[i] + reach + self.output_padding[i]
                    - 2 * self.padding[i]
            } else {
                (x[2 + i] + 2 * self.padding[i] - reach) / self.stride[i] + 1
            }
        };
        let c_out = if self.transposed {
            w[1] * self.groups
        } else {
            w[0]
        };
        vec![x[0], c_out, size(0), size(1)]
    }
}

/// Collects a graph value by value. `graph` may be edited freely before [`GraphBuilder::build`],
/// into malformed ones too; offsets of its inline constants count from the start of `data`.
#[derive(Clone, Default)]
pub struct GraphBuilder {
    pub graph: Graph,
    pub data: Vec<u8>,
}

impl GraphBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn value(&mut self, value: Value) -> ValueId {
        self.graph.values.push(value);
        ValueId(u32::try_from(self.graph.values.len() - 1).expect("few values"))
    }

    pub fn tensor(&mut self, dtype: DType, dims: &[u32]) -> ValueId {
        let dims = dims.to_vec();
        self.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype: dtype,
            dims,
            constant: None,
        }))
    }

    /// A tensor whose host type differs, as forced fp16 makes them.
    pub fn staged(&mut self, dtype: DType, host_dtype: DType, dims: &[u32]) -> ValueId {
        let dims = dims.to_vec();
        self.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype,
            dims,
            constant: None,
        }))
    }

    pub fn input(&mut self, dtype: DType, dims: &[u32]) -> ValueId {
        let id = self.tensor(dtype, dims);
        self.graph.inputs.push(id);
        id
    }

    pub fn output(&mut self, id: ValueId) -> &mut Self {
        self.graph.outputs.push(id);
        self
    }

    /// A constant with its bytes in the blob.
    pub fn constant(&mut self, dtype: DType, dims: &[u32], bytes: &[u8]) -> ValueId {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let (offset_bytes, size_bytes) = (self.data.len(), bytes.len());
        self.data.extend_from_slice(bytes);
        self.constant_from(
            dtype,
            dims,
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            },
        )
    }

    /// An fp32 constant with its bytes in the blob.
    pub fn constant_f32(&mut self, dims: &[u32], numbers: &[f32]) -> ValueId {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(DType::F32, dims, &bytes)
    }

    /// A constant of `size_bytes` in the host's named data.
    pub fn named(&mut self, dtype: DType, dims: &[u32], key: &str, size_bytes: u64) -> ValueId {
        self.constant_from(
            dtype,
            dims,
            ConstantSource::Named {
                key: key.to_owned(),
                size_bytes,
            },
        )
    }

    pub fn constant_from(&mut self, dtype: DType, dims: &[u32], source: ConstantSource) -> ValueId {
        self.graph.constants.push(source);
        let last = u32::try_from(self.graph.constants.len() - 1).expect("few constants");
        let (dims, constant) = (dims.to_vec(), Some(ConstantId(last)));
        self.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype: dtype,
            dims,
            constant,
        }))
    }

    pub fn none(&mut self) -> ValueId {
        self.value(Value::None)
    }

    pub fn int(&mut self, number: i64) -> ValueId {
        self.value(Value::Int(number))
    }

    pub fn double(&mut self, number: f64) -> ValueId {
        self.value(Value::Double(number))
    }

    pub fn bool(&mut self, flag: bool) -> ValueId {
        self.value(Value::Bool(flag))
    }

    pub fn ints(&mut self, items: &[i64]) -> ValueId {
        self.value(Value::Ints(items.to_vec()))
    }

    pub fn doubles(&mut self, items: &[f64]) -> ValueId {
        self.value(Value::Doubles(items.to_vec()))
    }

    pub fn bools(&mut self, items: &[bool]) -> ValueId {
        self.value(Value::Bools(items.to_vec()))
    }

    pub fn list(&mut self, items: &[ValueId]) -> ValueId {
        self.value(Value::List(items.to_vec()))
    }

    pub fn string(&mut self, text: &str) -> ValueId {
        self.value(Value::String(text.to_owned()))
    }

    pub fn sym_int(&mut self, bound: i32) -> ValueId {
        self.value(Value::SymInt(bound))
    }

    /// A call with the output last in `args`.
    pub fn node(&mut self, op: &str, args: &[ValueId]) -> &mut Self {
        let id = u32::try_from(self.graph.nodes.len()).expect("few nodes");
        self.graph.nodes.push(Node {
            id,
            op: op.to_owned(),
            args: args.to_vec(),
            ..Node::default()
        });
        self
    }

    /// A 2-D convolution as the exporter writes it; gives its output, of the input's types.
    pub fn conv2d(
        &mut self,
        x: ValueId,
        w: ValueId,
        bias: Option<ValueId>,
        conv: &Conv,
    ) -> ValueId {
        let input = self.graph.tensor(x).expect("x is a tensor").clone();
        let weight = &self.graph.tensor(w).expect("w is a tensor").dims;
        let dims = conv.output_dims(&input.dims, weight);
        let bias = bias.unwrap_or_else(|| self.none());
        let mut args = vec![x, w, bias];
        for pair in [conv.stride, conv.padding, conv.dilation] {
            args.push(self.ints(&pair.map(i64::from)));
        }
        args.push(self.bool(conv.transposed));
        args.push(self.ints(&conv.output_padding.map(i64::from)));
        args.push(self.int(conv.groups.into()));
        args.extend(conv.clamp.iter().flatten().map(|&bound| self.double(bound)));
        let out = self.staged(input.dtype, input.host_dtype, &dims);
        args.push(out);
        let op = match conv.clamp {
            Some(_) => "et_vk.conv_with_clamp.default",
            None => "aten.convolution.default",
        };
        self.node(op, &args);
        out
    }

    /// The blob.
    pub fn build(&self) -> Vec<u8> {
        assemble(&flatbuffer(&self.graph), &self.data)
    }
}
