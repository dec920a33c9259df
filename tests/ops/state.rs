//! Mutable buffers: what a run leaves in them is there in the next one.

use crate::blob::GraphBuilder;
use crate::reference::Array;
use crate::run::Loaded;
use etvk::graph::ValueId;
use etvk::tensor::DType::F32;

fn buffer(graph: &mut GraphBuilder, dims: &[u32], start: &[f32]) -> ValueId {
    let constant = graph.constant_f32(dims, start);
    let buffer = graph.tensor(F32, dims);
    graph.node("et_vk.prepack.default", &[constant, buffer]);
    buffer
}

fn array(dims: &[u32], values: &[f64]) -> Array {
    Array {
        dtype: F32,
        dims: dims.to_vec(),
        values: values.to_vec(),
    }
}

#[test]
fn a_sum_goes_on_over_runs_and_sizes() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[2, 5]);
    let sum = buffer(&mut graph, &[2, 1], &[10.0, -1.0]);
    let mean = graph.tensor(F32, &[2, 1]);
    let (dim, keep, none, one) = (
        graph.ints(&[-1]),
        graph.bool(true),
        graph.none(),
        graph.int(1),
    );
    graph.node("aten.mean.dim", &[x, dim, keep, none, mean]);
    graph.node("aten.add.Tensor", &[sum, mean, one, sum]);
    let out = graph.tensor(F32, &[2, 1]);
    graph.node("aten.neg.default", &[sum, out]);
    graph.output(out).output(sum);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let mut want = [10.0, -1.0];
    for (run, n) in [5u32, 1, 3, 5, 1, 2].into_iter().enumerate() {
        let add = [run as f64 + 1.0, 0.5];
        let values: Vec<f64> = add.iter().flat_map(|&v| vec![v; n as usize]).collect();
        let got = loaded
            .run(&[array(&[2, n], &values)])
            .unwrap_or_else(|e| panic!("{}", e.message));
        want = [want[0] + add[0], want[1] + add[1]];
        for (i, want) in want.iter().enumerate() {
            assert!((got[0].values[i] + want).abs() < 1e-5, "run {run}");
            assert!((got[1].values[i] - want).abs() < 1e-5, "run {run}");
        }
    }
}

#[test]
fn a_buffer_takes_what_another_held() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[3]);
    let a = buffer(&mut graph, &[3], &[1.0, 2.0, 3.0]);
    let b = buffer(&mut graph, &[3], &[-1.0, 0.0, 5.0]);
    let (none, one) = (graph.none(), graph.int(1));
    let next = graph.tensor(F32, &[3]);
    graph.node("aten.add.Tensor", &[a, x, one, next]);
    graph.node("aten.clone.default", &[b, none, a]);
    graph.node("aten.clone.default", &[next, none, b]);
    graph.output(a).output(b);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let (mut held, x) = ([[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]], [0.5, -4.0, 2.0]);
    for run in 0..4 {
        let got = loaded
            .run(&[array(&[3], &x)])
            .unwrap_or_else(|e| panic!("{}", e.message));
        held = [held[1], std::array::from_fn(|i| held[0][i] + x[i])];
        assert_eq!(got[0].values, held[0], "run {run}");
        assert_eq!(got[1].values, held[1], "run {run}");
    }
}
