//! Operands and results that are windows: permuted, sliced with a step, flipped, repeated.

use super::blob::GraphBuilder;
use super::random::Random;
use super::reference::{assert_close, broadcast_dims, elementwise, indices, Array, EXACT};
use super::run::run;
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType::{self, Bool, F16, F32, I32};

/// A step of a chain of shape operators, with what it does to an array.
#[derive(Clone, Copy, Debug)]
enum Step {
    Permute(&'static [usize]),
    /// Dim, start, step.
    Slice(usize, u32, u32),
    Flip(usize),
    Expand(usize, u32),
}

impl Step {
    fn apply(self, x: &Array) -> Array {
        let mut dims = x.dims.clone();
        match self {
            Self::Permute(order) => dims = order.iter().map(|&d| x.dims[d]).collect(),
            Self::Slice(d, start, step) => dims[d] = (dims[d] - start).div_ceil(step),
            Self::Flip(_) => {}
            Self::Expand(d, size) => dims[d] = size,
        }
        let from = |index: &Vec<u32>| {
            let mut at = index.clone();
            match self {
                Self::Permute(order) => {
                    order.iter().zip(index).for_each(|(&d, &i)| at[d] = i);
                }
                Self::Slice(d, start, step) => at[d] = start + index[d] * step,
                Self::Flip(d) => at[d] = dims[d] - 1 - index[d],
                Self::Expand(d, _) => at[d] = 0,
            }
            let flat = at.iter().zip(&x.dims).fold(0, |n, (&i, &d)| n * d + i);
            x.values[flat as usize]
        };
        let values: Vec<f64> = indices(&dims).iter().map(from).collect();
        Array::new(x.dtype, &dims, &values)
    }

    fn add(self, graph: &mut GraphBuilder, x: ValueId, dtype: DType, dims: &[u32]) -> ValueId {
        let out = graph.tensor(dtype, dims);
        let (op, args) = match self {
            Self::Permute(order) => {
                let order: Vec<i64> = order.iter().map(|&d| d as i64).collect();
                ("aten.permute_copy.default", vec![graph.ints(&order)])
            }
            Self::Slice(d, start, step) => {
                let numbers = [d as i64, start.into(), i64::MAX, step.into()];
                (
                    "aten.slice_copy.Tensor",
                    numbers.map(|n| graph.int(n)).to_vec(),
                )
            }
            Self::Flip(d) => ("aten.flip.default", vec![graph.ints(&[d as i64])]),
            Self::Expand(..) => {
                let sizes: Vec<i64> = dims.iter().map(|&d| d.into()).collect();
                let args = vec![graph.ints(&sizes), graph.bool(false)];
                ("aten.expand_copy.default", args)
            }
        };
        let mut all = vec![x];
        all.extend(args);
        all.push(out);
        graph.node(op, &all);
        out
    }
}

/// A graph being built together with the values that it should compute.
struct Both {
    graph: GraphBuilder,
    inputs: Vec<Array>,
}

impl Both {
    fn input(&mut self, array: Array, steps: &[Step]) -> (ValueId, Array) {
        let id = self.graph.input(array.dtype, &array.dims);
        self.inputs.push(array.clone());
        self.through(id, array, steps)
    }

    fn through(&mut self, mut id: ValueId, mut x: Array, steps: &[Step]) -> (ValueId, Array) {
        for step in steps {
            x = step.apply(&x);
            id = step.add(&mut self.graph, id, x.dtype, &x.dims);
        }
        (id, x)
    }

    fn call(&mut self, op: &str, args: &[ValueId], dtype: DType, dims: &[u32]) -> ValueId {
        let out = self.graph.tensor(dtype, dims);
        let mut all = args.to_vec();
        all.push(out);
        self.graph.node(op, &all);
        out
    }
}

const CHAINS: &[(&[u32], &[Step])] = &[
    (&[2, 5, 7, 3], &[Step::Permute(&[0, 3, 1, 2])]),
    (
        &[2, 3, 11, 7],
        &[Step::Slice(2, 1, 2), Step::Slice(1, 1, 1)],
    ),
    (
        &[2, 5, 7, 3],
        &[
            Step::Permute(&[3, 2, 0, 1]),
            Step::Flip(1),
            Step::Slice(3, 0, 2),
        ],
    ),
    (
        &[2, 1, 5, 1],
        &[Step::Expand(1, 3), Step::Expand(3, 7), Step::Flip(2)],
    ),
    (&[1, 1, 1, 1], &[Step::Expand(2, 4)]),
    (&[3, 1, 4, 13], &[Step::Slice(3, 12, 1), Step::Expand(1, 3)]),
];

#[test]
fn unary_binary_and_where_read_any_window() {
    for (seed, (dims, steps)) in CHAINS.iter().enumerate() {
        for dtype in [F32, F16, I32] {
            let mut random = Random::new(seed as u64);
            let mut both = Both {
                graph: GraphBuilder::new(),
                inputs: Vec::new(),
            };
            let x = Array::random(dtype, dims, &mut random);
            let (x_id, x) = both.input(x, steps);
            let n = x.dims.len();
            let (y_id, y) = both.input(
                Array::random(dtype, &x.dims[n - 1..], &mut random),
                &[Step::Flip(0)],
            );
            let dims = broadcast_dims(&[&x, &y]);

            let magnitude_id = both.call("aten.abs.default", &[x_id], dtype, &x.dims);
            let magnitude = elementwise(dtype, &[&x], &|x| x[0].abs());
            // A window into a result, which therefore is not written for the host alone.
            let (back_id, back) =
                both.through(magnitude_id, magnitude.clone(), &[Step::Flip(n - 1)]);
            let least_id = both.call("aten.minimum.default", &[back_id, y_id], dtype, &dims);
            let least = elementwise(dtype, &[&back, &y], &|x| x[0].min(x[1]));
            let above_id = both.call("aten.gt.Tensor", &[y_id, x_id], Bool, &dims);
            let above = elementwise(Bool, &[&y, &x], &|x| f64::from(u8::from(x[0] > x[1])));
            let picked_id = both.call("aten.where.self", &[above_id, x_id, back_id], dtype, &dims);
            let picked = elementwise(dtype, &[&above, &x, &back], &|x| {
                if x[0] != 0.0 {
                    x[1]
                } else {
                    x[2]
                }
            });
            for id in [magnitude_id, least_id, above_id, picked_id] {
                both.graph.output(id);
            }
            let Some(got) = run(&both.graph, &both.inputs) else {
                return;
            };
            let got = got.unwrap_or_else(|e| panic!("{steps:?} {dtype:?}: {}", e.message));
            for (i, want) in [magnitude, least, above, picked].iter().enumerate() {
                let what = format!("output {i} of {steps:?} {dtype:?} seed {seed}");
                assert_close(&what, &got[i], want, EXACT);
            }
        }
    }
}

#[test]
fn six_dims_with_a_window() {
    let mut random = Random::new(9);
    let mut both = Both {
        graph: GraphBuilder::new(),
        inputs: Vec::new(),
    };
    let steps = [
        Step::Permute(&[5, 1, 3, 0, 4, 2]),
        Step::Slice(5, 1, 2),
        Step::Flip(0),
    ];
    let (x_id, x) = both.input(Array::random(F32, &[2, 3, 5, 2, 3, 2], &mut random), &steps);
    let (y_id, y) = both.input(Array::random(F32, &x.dims, &mut random), &[]);
    let (c_id, c) = both.input(Array::random(Bool, &[x.dims[3], 1, 1], &mut random), &[]);
    let sum_id = both.call("aten.mul.Tensor", &[x_id, y_id], F32, &x.dims);
    let picked_id = both.call("aten.where.self", &[c_id, x_id, sum_id], F32, &x.dims);
    both.graph.output(picked_id);
    let Some(got) = run(&both.graph, &both.inputs) else {
        return;
    };
    let product = elementwise(F32, &[&x, &y], &|x| x[0] * x[1]);
    let want = elementwise(F32, &[&c, &x, &product], &|x| {
        if x[0] != 0.0 {
            x[1]
        } else {
            x[2]
        }
    });
    assert_close("six dims", &got.expect("runs")[0], &want, EXACT);
}

#[test]
fn smaller_sizes_than_the_bound() {
    use super::run::Loaded;
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[4, 9]);
    let y = graph.input(F32, &[9]);
    let one = graph.int(1);
    let sum = graph.tensor(F32, &[4, 9]);
    graph.node("aten.add.Tensor", &[x, y, one, sum]);
    let out = graph.tensor(F32, &[4, 9]);
    graph.node("aten.neg.default", &[sum, out]);
    graph.output(out);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.expect("loads");
    let mut random = Random::new(1);
    for (h, w) in [(4, 9), (1, 7), (3, 1), (4, 9), (2, 5)] {
        let x = Array::random(F32, &[h, w], &mut random);
        let y = Array::random(F32, &[w], &mut random);
        let got = loaded.run(&[x.clone(), y.clone()]).expect("runs");
        let want = elementwise(F32, &[&x, &y], &|x| -(x[0] + x[1]));
        assert_close(&format!("{h} x {w}"), &got[0], &want, EXACT);
    }
}
