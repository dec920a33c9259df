//! Passes on hand-made graphs: what is rewritten, and what must be left alone.

use super::run;
use crate::base::error::Result;
use crate::core::constant::ConstantData;
use crate::core::graph::{
    ConstantId, ConstantSource, Graph, Node, Step, TensorSpec, Value, ValueId,
};
use crate::core::tensor::DType;

struct Bytes(Vec<u8>);

impl ConstantData for Bytes {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match source {
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => read(&self.0[*offset_bytes..offset_bytes + size_bytes]),
            _ => read(&[]),
        }
    }
}

#[derive(Default)]
struct Sketch {
    graph: Graph,
    bytes: Vec<u8>,
}

impl Sketch {
    fn value(&mut self, value: Value) -> ValueId {
        self.graph.values.push(value);
        ValueId(self.graph.values.len() as u32 - 1)
    }

    fn tensor(&mut self, dims: &[u32]) -> ValueId {
        let dims = dims.to_vec();
        let (dtype, host_dtype) = (DType::F32, DType::F32);
        self.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype,
            dims,
            constant: None,
        }))
    }

    fn scalar(&mut self, x: f32) -> ValueId {
        let offset_bytes = self.bytes.len();
        self.bytes.extend(x.to_le_bytes());
        self.graph.constants.push(ConstantSource::Inline {
            offset_bytes,
            size_bytes: 4,
        });
        let constant = Some(ConstantId(self.graph.constants.len() as u32 - 1));
        let raw = self.value(Value::Tensor(TensorSpec {
            dtype: DType::F32,
            host_dtype: DType::F32,
            dims: vec![],
            constant,
        }));
        let out = self.tensor(&[]);
        self.node("et_vk.prepack.default", &[raw, out]);
        out
    }

    fn node(&mut self, op: &str, args: &[ValueId]) {
        let id = self.graph.nodes.len() as u32;
        let args = args.to_vec();
        self.graph.nodes.push(Node {
            id,
            op: op.into(),
            args,
            ..Node::default()
        });
    }

    fn run(self) -> Graph {
        run(self.graph, &Bytes(self.bytes)).expect("passes")
    }

    /// `x -> op(x, extra...) -> result`, all of `dims`.
    fn step(&mut self, op: &str, x: ValueId, extra: &[ValueId], dims: &[u32]) -> ValueId {
        let out = self.tensor(dims);
        let args: Vec<ValueId> = [x].iter().chain(extra).chain([&out]).copied().collect();
        self.node(op, &args);
        out
    }
}

const DIMS: &[u32] = &[1, 8, 5, 7];

/// A 1x1 convolution of as many outputs as inputs.
fn conv(s: &mut Sketch, x: ValueId) -> ValueId {
    let weight = s.tensor(&[8, 8, 1, 1]);
    let (bias, ones, zeros) = (
        s.value(Value::None),
        s.value(Value::Ints(vec![1, 1])),
        s.value(Value::Ints(vec![0, 0])),
    );
    let (transposed, groups) = (s.value(Value::Bool(false)), s.value(Value::Int(1)));
    let more = [weight, bias, ones, zeros, ones, transposed, zeros, groups];
    s.step("aten.convolution.default", x, &more, DIMS)
}

/// gt, mul and where as the exporter writes a PReLU.
fn prelu(s: &mut Sketch, x: ValueId, slope: ValueId, threshold: i64) -> ValueId {
    let zero = s.value(Value::Int(threshold));
    let positive = s.step("aten.gt.Scalar", x, &[zero], DIMS);
    let scaled = s.step("aten.mul.Tensor", x, &[slope], DIMS);
    let out = s.tensor(DIMS);
    s.node("aten.where.self", &[positive, x, scaled, out]);
    out
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph
        .nodes
        .iter()
        .map(|n| n.op.as_str())
        .filter(|op| !op.contains("prepack"))
        .collect()
}

#[test]
fn prelu_fuses_into_the_convolution() {
    let mut s = Sketch::default();
    let (x, slope) = (s.tensor(DIMS), s.tensor(&[8, 1, 1]));
    let y = conv(&mut s, x);
    let z = prelu(&mut s, y, slope, 0);
    s.graph.outputs = vec![z];
    let graph = s.run();
    assert_eq!(ops(&graph), ["aten.convolution.default"]);
    assert_eq!(graph.nodes[0].epilogue, [Step::Prelu { slope }]);
    assert_eq!(graph.nodes[0].args.last(), Some(&z));
}

#[test]
fn what_only_looks_like_prelu_stays() {
    for (threshold, slope_dims) in [(1, vec![8, 1, 1]), (0, vec![7])] {
        let mut s = Sketch::default();
        let (x, slope) = (s.tensor(DIMS), s.tensor(&slope_dims));
        let y = conv(&mut s, x);
        let z = prelu(&mut s, y, slope, threshold);
        s.graph.outputs = vec![z];
        let graph = s.run();
        let steps: usize = graph.nodes.iter().map(|n| n.epilogue.len()).sum();
        assert_eq!(steps, 0, "threshold {threshold}, slope {slope_dims:?}");
    }
}

#[test]
fn residual_and_relu_fuse_behind_the_later_convolution() {
    let mut s = Sketch::default();
    let (x, one) = (s.tensor(DIMS), s.value(Value::Int(1)));
    let a = conv(&mut s, x);
    let b = conv(&mut s, a);
    let sum = s.step("aten.add.Tensor", b, &[a, one], DIMS);
    let out = s.step("aten.relu.default", sum, &[], DIMS);
    s.graph.outputs = vec![out];
    let graph = s.run();
    assert_eq!(graph.nodes.len(), 2);
    assert_eq!(
        graph.nodes[1].epilogue,
        [
            Step::Add { other: a },
            Step::Clamp {
                low: 0.0,
                high: f32::INFINITY
            }
        ]
    );
}

#[test]
fn a_result_that_others_read_is_not_fused() {
    let mut s = Sketch::default();
    let x = s.tensor(DIMS);
    let y = conv(&mut s, x);
    let z = s.step("aten.relu.default", y, &[], DIMS);
    s.graph.outputs = vec![y, z];
    let graph = s.run();
    assert_eq!(
        ops(&graph),
        ["aten.convolution.default", "aten.relu.default"]
    );
}

#[test]
fn an_addition_that_scales_is_not_fused() {
    let mut s = Sketch::default();
    let (x, two) = (s.tensor(DIMS), s.value(Value::Int(2)));
    let y = conv(&mut s, x);
    let z = s.step("aten.add.Tensor", y, &[x, two], DIMS);
    s.graph.outputs = vec![z];
    assert!(s.run().nodes.iter().all(|n| n.epilogue.is_empty()));
}

#[test]
fn sigmoid_gates_become_silu_and_hardsigmoid_is_found() {
    let mut s = Sketch::default();
    let x = s.tensor(DIMS);
    let gate = s.step("aten.sigmoid.default", x, &[], DIMS);
    let y = s.step("aten.mul.Tensor", x, &[gate], DIMS);
    let (three, six) = (s.scalar(3.0), s.scalar(6.0));
    let (none, one) = (s.value(Value::None), s.value(Value::Int(1)));
    let (low, high) = (s.value(Value::Int(0)), s.value(Value::Int(6)));
    let a = s.step("aten.add.Tensor", y, &[three, one], DIMS);
    let b = s.step("aten.clamp.default", a, &[low, none], DIMS);
    let c = s.step("aten.clamp.default", b, &[none, high], DIMS);
    let d = s.step("aten.div.Tensor", c, &[six], DIMS);
    s.graph.outputs = vec![d];
    let graph = s.run();
    assert_eq!(
        ops(&graph),
        ["aten.silu.default", "aten.hardsigmoid.default"]
    );
}

/// `clamp(x + 3, 0, 6) / six`.
fn hardsigmoid(s: &mut Sketch, x: ValueId, six: ValueId) -> ValueId {
    let (three, one) = (s.scalar(3.0), s.value(Value::Int(1)));
    let (low, high) = (s.value(Value::Int(0)), s.value(Value::Int(6)));
    let sum = s.step("aten.add.Tensor", x, &[three, one], DIMS);
    let clamped = s.step("aten.hardtanh.default", sum, &[low, high], DIMS);
    s.step("aten.div.Tensor", clamped, &[six], DIMS)
}

#[test]
fn one_clamp_or_a_division_by_a_converted_six_is_a_hardsigmoid_too() {
    // As integers 6.4 is 6: what the constant holds is not what divides.
    for (six, dtype, found) in [
        (6.0, DType::F32, true),
        (6.0, DType::F16, true),
        (6.4, DType::I32, false),
    ] {
        let mut s = Sketch::default();
        let (x, raw) = (s.tensor(DIMS), s.scalar(six));
        let converted = s.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype: dtype,
            dims: vec![],
            constant: None,
        }));
        s.node("aten._to_copy.default", &[raw, converted]);
        let out = hardsigmoid(&mut s, x, converted);
        s.graph.outputs = vec![out];
        let graph = s.run();
        let last = graph.nodes.last().expect("nodes");
        assert_eq!(
            last.op == "aten.hardsigmoid.default",
            found,
            "{six} as {dtype:?}"
        );
        assert_eq!(last.output(), Some(out));
    }
}

#[test]
fn what_only_looks_like_hardsigmoid_stays() {
    for (six, dims, read) in [
        (5.0, DIMS, false),
        (6.0, DIMS, true),
        (6.0, &[1, 8, 5, 1], false),
    ] {
        let mut s = Sketch::default();
        let (x, six) = (s.tensor(dims), s.scalar(six));
        let out = hardsigmoid(&mut s, x, six);
        s.graph.outputs = vec![out];
        if read {
            // The host sees the sum.
            let sum = s.graph.nodes.iter().find(|n| n.op == "aten.add.Tensor");
            let sum = sum.and_then(Node::output).expect("an output");
            s.graph.outputs.push(sum);
        }
        let graph = s.run();
        assert!(ops(&graph).contains(&"aten.div.Tensor"), "{dims:?} {read}");
    }
}
