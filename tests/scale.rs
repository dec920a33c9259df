//! Programs at the limits of the format: whatever loops over ports, nodes, values or constants is
//! near linear. Each program is made at a quarter of the limit and at the limit, and no step may take
//! much more than four times as long.

#[path = "common/blob.rs"]
mod blob;
#[path = "common/random.rs"]
mod random;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/run.rs"]
mod run;

use blob::GraphBuilder;
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType::F32;
use reference::Array;
use run::Loaded;
use std::time::{Duration, Instant};

/// What four times as many may take, in times; a quadratic loop takes sixteen.
const GROWTH: f64 = 9.0;

/// Shorter steps say nothing.
const LEAST: Duration = Duration::from_millis(100);

/// How long each step of a program's life takes.
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// `None` without a device.
    fn of(graph: &GraphBuilder, inputs: usize) -> Option<Self> {
        let mut steps = Vec::new();
        let mut since = Instant::now();
        let mut end = |name| {
            steps.push((name, since.elapsed()));
            since = Instant::now();
        };
        let loaded = Loaded::new(graph)?.unwrap_or_else(|e| panic!("{}", e.message));
        end("load");
        let ports = loaded.outputs().expect("described");
        end("describe");
        let values: Vec<Array> = (0..inputs)
            .map(|i| Array::new(F32, &[4], &[i as f64 + 0.5; 4]))
            .collect();
        let got = loaded.run(&values).expect("runs");
        assert_eq!(got.len(), ports.len());
        end("run");
        loaded.memory().expect("told");
        end("memory");
        drop(loaded);
        end("destroy");
        Some(Self(steps))
    }
}

/// `make(n)` gives a program of that size and the number of its inputs.
fn near_linear(what: &str, limit: usize, make: impl Fn(usize) -> (GraphBuilder, usize)) {
    let steps = |n| {
        let (graph, inputs) = make(n);
        Steps::of(&graph, inputs)
    };
    let (Some(few), Some(many)) = (steps(limit / 4), steps(limit)) else {
        return;
    };
    for ((step, few), (_, many)) in few.0.iter().zip(&many.0) {
        println!(
            "{what}, {step}: {few:?} for {}, {many:?} for {limit}",
            limit / 4
        );
        let most = few.max(&LEAST).mul_f64(GROWTH);
        assert!(*many < most, "{what}, {step}: {few:?}, then {many:?}");
    }
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn ports() {
    near_linear("ports", 1 << 16, |n| {
        let mut b = GraphBuilder::new();
        for _ in 0..n {
            let (x, y) = (b.input(F32, &[4]), b.tensor(F32, &[4]));
            b.node("aten.neg.default", &[x, y]).output(y);
        }
        (b, n)
    });
}

/// One tensor under many names.
#[test]
#[ignore = "minutes long, and timed: make scale"]
fn one_output_again_and_again() {
    near_linear("repeated outputs", 1 << 16, |n| {
        let mut b = GraphBuilder::new();
        let (x, y) = (b.input(F32, &[4]), b.tensor(F32, &[4]));
        b.node("aten.neg.default", &[x, y]);
        for _ in 0..n {
            b.output(y);
        }
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn nodes_in_a_row() {
    near_linear("nodes", 1 << 17, |n| {
        let mut b = GraphBuilder::new();
        let mut x = b.input(F32, &[4]);
        for _ in 0..n {
            let y = b.tensor(F32, &[4]);
            b.node("aten.sin.default", &[x, y]);
            x = y;
        }
        b.output(x);
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn values_that_nothing_reads() {
    near_linear("values", 1 << 19, |n| {
        let mut b = GraphBuilder::new();
        let (x, y) = (b.input(F32, &[4]), b.tensor(F32, &[4]));
        for i in 0..n {
            match i % 2 {
                0 => b.tensor(F32, &[4]),
                _ => b.int(i as i64),
            };
        }
        b.node("aten.neg.default", &[x, y]).output(y);
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn constants() {
    near_linear("constants", 40_000, |n| {
        let mut b = GraphBuilder::new();
        let (mut x, one) = (b.input(F32, &[4]), b.int(1));
        for i in 0..n {
            let c = b.constant_f32(&[4], &[i as f32, 1.0, 2.0, 3.0]);
            let y = b.tensor(F32, &[4]);
            b.node("aten.add.Tensor", &[x, c, one, y]);
            x = y;
        }
        b.output(x);
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn a_long_list() {
    near_linear("a list", 100_000, |n| {
        let mut b = GraphBuilder::new();
        let (x, zero) = (b.input(F32, &[4]), b.int(0));
        let pieces: Vec<ValueId> = (0..n)
            .map(|i| match i % 4 {
                0 => {
                    let y = b.tensor(F32, &[4]);
                    b.node("aten.neg.default", &[x, y]);
                    y
                }
                _ => x,
            })
            .collect();
        let list = b.list(&pieces);
        let y = b.tensor(F32, &[4 * n as u32]);
        b.node("aten.cat.default", &[list, zero, y]).output(y);
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn pieces_of_one_tensor() {
    near_linear("pieces", 1 << 12, |n| {
        let mut b = GraphBuilder::new();
        let (x, zero) = (b.input(F32, &[4]), b.int(0));
        let copies = b.list(&vec![x; n]);
        let wide = b.tensor(F32, &[4 * n as u32]);
        b.node("aten.cat.default", &[copies, zero, wide]);
        let sizes = b.ints(&vec![4; n]);
        let pieces: Vec<ValueId> = (0..n).map(|_| b.tensor(F32, &[4])).collect();
        let list = b.list(&pieces);
        b.node(
            "aten.split_with_sizes_copy.default",
            &[wide, sizes, zero, list],
        );
        pieces.iter().for_each(|&piece| {
            b.output(piece);
        });
        (b, 1)
    });
}

#[test]
#[ignore = "minutes long, and timed: make scale"]
fn mutable_buffers() {
    near_linear("mutable buffers", 30_000, |n| {
        let mut b = GraphBuilder::new();
        let (x, one) = (b.input(F32, &[4]), b.int(1));
        for i in 0..n {
            let w = b.constant_f32(&[4], &[i as f32; 4]);
            let state = b.tensor(F32, &[4]);
            b.node("et_vk.prepack.default", &[w, state]);
            b.node("aten.add.Tensor", &[state, x, one, state]);
        }
        let y = b.tensor(F32, &[4]);
        b.node("aten.neg.default", &[x, y]).output(y);
        (b, 1)
    });
}
