//! What follows a convolution runs in its kernels: every activation, slopes, residual additions.
//! Once with the passes that fuse, once without.

use super::case::{Case, Want};
use super::kernels::Inline;
use super::{conv, plain, sizes, ALGORITHMS};
use crate::blob::GraphBuilder;
use crate::random::Random;
use crate::reference::Array;
use crate::run::{plain as typed, Loaded};
use etvk::compile::passes;
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType;

/// A step behind a convolution, as exported graphs write it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Relu,
    Hardtanh(f64, f64),
    Silu,
    Sigmoid,
    Hardswish,
    Tanh,
    LeakyRelu(f64),
    /// One slope per channel.
    Prelu,
    /// One slope for all.
    PreluOfOne,
    /// Addition of another input of the same dims.
    Add,
}

struct Chain {
    graph: GraphBuilder,
    inputs: Vec<Array>,
    want: Want,
    random: Random,
}

impl Chain {
    fn unary(&mut self, op: &str, x: ValueId, more: &[f64]) -> ValueId {
        let mut args = vec![x];
        args.extend(more.iter().map(|&n| self.graph.double(n)));
        let out = self.graph.tensor(DType::F32, &self.want.dims);
        args.push(out);
        self.graph.node(op, &args);
        out
    }

    fn map(&mut self, function: impl Fn(f64) -> f64) {
        self.want.values.iter_mut().for_each(|x| *x = function(*x));
    }

    /// `where(x > 0, x, x * slope)`.
    fn prelu(&mut self, x: ValueId, slopes: &[f64]) -> ValueId {
        let count = u32::try_from(slopes.len()).expect("few");
        let slope = Array::new(DType::F32, &[count, 1, 1], slopes);
        let slope = self.graph.constant(DType::F32, &slope.dims, &slope.bytes());
        let dims = self.want.dims.clone();
        let positive = self.graph.tensor(DType::Bool, &dims);
        let zero = self.graph.int(0);
        self.graph.node("aten.gt.Scalar", &[x, zero, positive]);
        let scaled = self.graph.tensor(DType::F32, &dims);
        self.graph.node("aten.mul.Tensor", &[x, slope, scaled]);
        let out = self.graph.tensor(DType::F32, &dims);
        self.graph
            .node("aten.where.self", &[positive, x, scaled, out]);
        let plane: usize = dims[2..].iter().map(|&d| d as usize).product();
        for (at, x) in self.want.values.iter_mut().enumerate() {
            if *x <= 0.0 {
                *x *= slopes[at / plane % slopes.len()];
            }
        }
        out
    }

    fn step(&mut self, x: ValueId, step: Step) -> ValueId {
        match step {
            Step::Relu => {
                self.map(|x| x.max(0.0));
                self.unary("aten.relu.default", x, &[])
            }
            Step::Hardtanh(low, high) => {
                self.map(|x| x.max(low).min(high));
                self.unary("aten.hardtanh.default", x, &[low, high])
            }
            Step::Silu => {
                self.map(|x| x / (1.0 + (-x).exp()));
                let gate = self.unary("aten.sigmoid.default", x, &[]);
                let out = self.graph.tensor(DType::F32, &self.want.dims);
                self.graph.node("aten.mul.Tensor", &[x, gate, out]);
                out
            }
            Step::Sigmoid => {
                self.map(|x| 1.0 / (1.0 + (-x).exp()));
                self.unary("aten.sigmoid.default", x, &[])
            }
            Step::Hardswish => {
                self.map(|x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
                self.unary("aten.hardswish.default", x, &[])
            }
            Step::Tanh => {
                self.map(f64::tanh);
                self.unary("aten.tanh.default", x, &[])
            }
            Step::LeakyRelu(slope) => {
                self.map(|x| if x > 0.0 { x } else { slope * x });
                self.unary("aten.leaky_relu.default", x, &[slope])
            }
            Step::Prelu => {
                let channels = self.want.dims[1] as usize;
                let slopes: Vec<f64> = (0..channels).map(|c| 0.1 + c as f64 / 64.0).collect();
                self.prelu(x, &slopes)
            }
            Step::PreluOfOne => self.prelu(x, &[0.25]),
            Step::Add => {
                let values = self.random.floats(self.want.values.len(), -2.0, 2.0);
                let other = Array::new(DType::F32, &self.want.dims, &values);
                for (at, &y) in other.values.iter().enumerate() {
                    self.want.values[at] += y;
                    self.want.magnitudes[at] += y.abs();
                }
                let id = self.graph.input(DType::F32, &self.want.dims);
                self.inputs.push(other);
                let out = self.graph.tensor(DType::F32, &self.want.dims);
                let one = self.graph.int(1);
                self.graph.node("aten.add.Tensor", &[id, x, one, out]);
                out
            }
        }
    }
}

/// Checks `steps` behind `case`, of which the passes leave `nodes` operators.
fn check(case: &Case, steps: &[Step], nodes: usize) {
    let operands = case.operands();
    let mut chain = Chain {
        graph: GraphBuilder::new(),
        inputs: vec![operands.x.clone()],
        want: case.reference(&operands),
        random: Random::new(case.seed + 1),
    };
    // No step's slope exceeds 1.1, so the convolution's error grows no more than that per step;
    // each step adds a few units of its own result, and a sum's magnitude is already counted.
    for magnitude in &mut chain.want.magnitudes {
        *magnitude += 1.0;
    }
    let x = chain.graph.input(DType::F32, &case.x);
    let mut constant = |array: &Array| {
        let bytes = array.bytes();
        chain.graph.constant(DType::F32, &array.dims, &bytes)
    };
    let weight = constant(&operands.weight);
    let bias = operands.bias.as_ref().map(constant);
    let mut last = case.node(&mut chain.graph, [x, weight], bias, typed(DType::F32));
    for &step in steps {
        last = chain.step(last, step);
    }
    chain.graph.output(last);
    let fused = passes::run(chain.graph.graph.clone(), &Inline(&chain.graph.data));
    assert_eq!(
        fused.expect("passes run").nodes.len(),
        nodes,
        "{steps:?} {case:?}"
    );
    for passes in ["1", "0"] {
        for algorithm in ALGORITHMS {
            let options = [("conv_algorithm", algorithm), ("graph_passes", passes)];
            let what = format!("{steps:?} {options:?}");
            let Some(loaded) = Loaded::with_options(&chain.graph, &options) else {
                return;
            };
            let got = loaded
                .and_then(|loaded| loaded.run(&chain.inputs))
                .unwrap_or_else(|e| panic!("{what}: {}\n{case:?}", e.message));
            case.compare(&what, &got[0], &chain.want);
        }
    }
}

#[test]
fn activations() {
    let case = sizes([1, 6, 7, 5], 10, [3, 3], conv([1, 1], [1, 1], [1, 1], 1));
    for step in [
        Step::Relu,
        Step::Hardtanh(-0.5, 0.75),
        Step::Silu,
        Step::Sigmoid,
        Step::Hardswish,
        Step::Tanh,
        Step::LeakyRelu(0.1),
        Step::Prelu,
        Step::PreluOfOne,
    ] {
        check(&case, &[step], 1);
    }
}

/// Every kernel with all that it can take: slopes, an addition, an activation.
#[test]
fn chains() {
    let padded = |groups| conv([1, 1], [1, 1], [1, 1], groups);
    for case in [
        sizes([2, 6, 7, 5], 10, [3, 3], padded(1)),
        sizes([1, 6, 7, 5], 9, [1, 1], plain(1)),
        sizes([1, 15, 6, 5], 21, [3, 3], padded(3)),
        sizes([1, 15, 6, 5], 21, [1, 1], plain(3)),
        sizes([1, 9, 6, 5], 9, [3, 3], padded(9)),
    ] {
        check(&case, &[Step::Prelu, Step::Add, Step::Relu], 1);
        check(&case, &[Step::Add], 1);
    }
}

/// What does not fit behind one convolution stays an operator of its own.
#[test]
fn longer_chains() {
    let case = sizes([1, 6, 7, 5], 10, [3, 3], conv([1, 1], [1, 1], [1, 1], 1));
    check(&case, &[Step::Relu, Step::Tanh], 2);
    check(&case, &[Step::Add, Step::Prelu], 2);
    check(&case, &[Step::Add, Step::Relu, Step::Add], 2);
    let mut clamped = case.clone();
    clamped.conv.clamp = Some([0.0, f64::MAX]);
    check(&clamped, &[Step::Prelu, Step::Relu], 3);
    check(&clamped, &[Step::Add, Step::Relu], 1);
}
