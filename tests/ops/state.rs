//! Mutable buffers: what a run leaves in them is there in the next one.

use crate::blob::GraphBuilder;
use crate::reference::Array;
use crate::run::{Loaded, ETVK_STATUS_UNSUPPORTED};
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType::F32;

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

/// What PyTorch's weight decay does: `y = x w'; w *= 1/2`. The product reads the constant itself.
#[test]
fn a_weight_is_read_as_the_last_run_left_it() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[1, 3]);
    let constant = graph.constant_f32(&[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 4.0]);
    let weight = graph.tensor(F32, &[2, 3]);
    graph.node("et_vk.prepack.default", &[constant, weight]);
    let (none, half) = (graph.none(), graph.constant_f32(&[1], &[0.5]));
    let out = graph.tensor(F32, &[1, 2]);
    graph.node("aten.linear.default", &[x, constant, none, out]);
    graph.node("aten.mul.Tensor", &[weight, half, weight]);
    graph.output(out);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let mut want = [14.0, 12.0];
    for run in 0..3 {
        let got = loaded
            .run(&[array(&[1, 3], &[1.0, 2.0, 3.0])])
            .unwrap_or_else(|e| panic!("{}", e.message));
        assert_eq!(got[0].values, want, "run {run}");
        want = want.map(|w| w / 2.0);
    }
}

/// `sum += mean(x); return x - sum`, exported without `alias_buffer_mutations`.
fn unaliased(others: &[[u32; 2]]) -> GraphBuilder {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[2, 5]);
    let sum = buffer(&mut graph, &[2, 1], &[10.0, -1.0]);
    let (dim, keep, none, one) = (
        graph.ints(&[-1]),
        graph.bool(true),
        graph.none(),
        graph.int(1),
    );
    let mut mean = graph.tensor(F32, &[2, 1]);
    graph.node("aten.mean.dim", &[x, dim, keep, none, mean]);
    for dims in others {
        let other = graph.constant_f32(dims, &[1.0; 10][..(dims[0] * dims[1]) as usize]);
        let scaled = graph.tensor(F32, &[2, 1]);
        graph.node("aten.mul.Tensor", &[mean, other, scaled]);
        mean = scaled;
    }
    let next = graph.tensor(F32, &[2, 1]);
    graph.node("aten.add.Tensor", &[sum, mean, one, next]);
    let out = graph.tensor(F32, &[2, 5]);
    graph.node("aten.sub.Tensor", &[x, next, one, out]);
    graph.output(next).output(out);
    graph
}

#[test]
fn outputs_that_the_host_does_not_receive_are_kept() {
    let Some(loaded) = Loaded::new(&unaliased(&[[1, 1]])) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let run = |n: u32, add: [f64; 2]| {
        let values: Vec<f64> = add.iter().flat_map(|&v| vec![v; n as usize]).collect();
        let got = loaded.run(&[array(&[2, n], &values)]);
        got.unwrap_or_else(|e| panic!("{}", e.message))
    };
    // Before anybody says so, the buffer is a constant like any other.
    for _ in 0..2 {
        assert_eq!(run(5, [1.0, 2.0])[0].values, [11.0, 1.0]);
    }
    loaded.keep_outputs(1).expect("the types tell");
    let mut sum = [10.0, -1.0];
    for (i, n) in [5u32, 2, 5, 1, 2].into_iter().enumerate() {
        let add = [i as f64, 0.5];
        let got = run(n, add);
        sum = [sum[0] + add[0], sum[1] + add[1]];
        assert_eq!(got.len(), 1);
        for (row, values) in got[0].values.chunks(n as usize).enumerate() {
            let off = values.iter().map(|v| (v - (add[row] - sum[row])).abs());
            assert!(off.fold(0.0, f64::max) < 1e-5, "run {i}");
        }
    }
    let refused = loaded.keep_outputs(2).expect_err("the second is no buffer");
    assert_eq!(refused.status, ETVK_STATUS_UNSUPPORTED);
}

#[test]
fn buffers_that_types_do_not_tell_are_refused() {
    let Some(loaded) = Loaded::new(&unaliased(&[[2, 1]])) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let refused = loaded
        .keep_outputs(1)
        .expect_err("two constants of one type");
    assert!(
        refused.message.contains("alias_buffer_mutations"),
        "{}",
        refused.message
    );
}
