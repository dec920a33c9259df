//! Shape operators under sizes that change from run to run: serialized dims are a bound.

use super::blob::GraphBuilder;
use super::fed::{element, made, random};
use super::reference::{assert_close, relative, Array, EXACT};
use super::run::{plain, Loaded};
use etvk::core::tensor::DType::{F32, I64};

/// Runs `graph` at each of `inputs` and compares with `want`.
fn check(graph: &GraphBuilder, runs: &[(Vec<Array>, Array)]) {
    let Some(loaded) = Loaded::new(graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    for (inputs, want) in runs {
        let dims: Vec<_> = inputs.iter().map(|x| &x.dims).collect();
        let got = loaded
            .run(inputs)
            .unwrap_or_else(|e| panic!("{dims:?}: {}", e.message));
        assert_close(&format!("{dims:?}"), &got[0], want, relative(1e-6));
    }
}

#[test]
fn slices_expands_and_views_follow_the_input() {
    // x [n, 4, h <= 9, 6] -> its lower rows -> [n, 24, rows] by permute and view with -1.
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[2, 4, 9, 6]);
    let [d, start, end, step] = [2, 1, i64::MAX, 1].map(|n| graph.int(n));
    let cut = graph.tensor(F32, &[2, 4, 8, 6]);
    graph.node("aten.slice_copy.Tensor", &[x, d, start, end, step, cut]);
    let order = graph.ints(&[0, 1, 3, 2]);
    let turned = graph.tensor(F32, &[2, 4, 6, 8]);
    graph.node("aten.permute_copy.default", &[cut, order, turned]);
    let sizes = graph.ints(&[2, 24, -1]);
    let flat = graph.tensor(F32, &[2, 24, 8]);
    graph.node("aten.view_copy.default", &[turned, sizes, flat]);
    let sizes = graph.ints(&[3, -1, -1, -1]);
    let implicit = graph.bool(false);
    let wide = graph.tensor(F32, &[3, 2, 24, 8]);
    graph.node("aten.expand_copy.default", &[flat, sizes, implicit, wide]);
    graph.output(wide);
    let run = |h: u32| {
        let x = random(plain(F32), &[2, 4, h, 6], h.into());
        let want = made(F32, &[3, 2, 24, h - 1], |i| {
            element(&x, &[i[1], i[2] / 6, i[3] + 1, i[2] % 6])
        });
        (vec![x], want)
    };
    check(&graph, &[9, 5, 2, 8].map(run));
}

#[test]
fn views_take_symbolic_integers() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[3, 20]);
    let n = graph.sym_int(10);
    graph.graph.inputs.push(n);
    let (three, two) = (graph.int(3), graph.int(2));
    let sizes = graph.list(&[three, n, two]);
    let y = graph.tensor(F32, &[3, 10, 2]);
    graph.node("aten.view_copy.default", &[x, sizes, y]);
    graph.output(y);
    let run = |n: u32| {
        let x = random(plain(F32), &[3, 2 * n], n.into());
        let want = made(F32, &[3, n, 2], |i| element(&x, &[i[0], i[1] * 2 + i[2]]));
        (vec![x, Array::scalar(I64, n.into())], want)
    };
    check(&graph, &[10, 3, 7].map(run));
}

#[test]
fn pools_pads_resamples_and_means_follow_the_input() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[1, 3, 12, 14]);
    let widths = graph.ints(&[1, 0, 0, 2]);
    let value = graph.double(0.5);
    let padded = graph.tensor(F32, &[1, 3, 14, 15]);
    graph.node("aten.constant_pad_nd.default", &[x, widths, value, padded]);
    let (kernel, none) = (graph.ints(&[2, 2]), graph.none());
    let (empty, zeros, ones) = (graph.ints(&[]), graph.ints(&[0, 0]), graph.ints(&[1, 1]));
    let ceil = graph.bool(true);
    let pooled = graph.tensor(F32, &[1, 3, 7, 8]);
    graph.node(
        "aten.max_pool2d.default",
        &[padded, kernel, empty, zeros, ones, ceil, pooled],
    );
    let scale = graph.doubles(&[1.5, 1.5]);
    let large = graph.tensor(F32, &[1, 3, 10, 12]);
    graph.node("aten.upsample_nearest2d.vec", &[pooled, none, scale, large]);
    let dims = graph.ints(&[-1]);
    let mean = graph.tensor(F32, &[1, 3, 10, 1]);
    graph.node("aten.mean.dim", &[large, dims, ceil, none, mean]);
    graph.output(mean);
    let run = |[h, w]: [u32; 2]| {
        let x = random(plain(F32), &[1, 3, h, w], (h * w).into());
        let padded = made(F32, &[1, 3, h + 2, w + 1], |i| match i[2] < h && i[3] > 0 {
            true => element(&x, &[0, i[1], i[2], i[3] - 1]),
            false => 0.5,
        });
        let (ph, pw) = ((h + 2).div_ceil(2), (w + 1).div_ceil(2));
        let pooled = made(F32, &[1, 3, ph, pw], |i| {
            let near = |k: usize| [i[k] * 2, (i[k] * 2 + 1).min(padded.dims[k] - 1)];
            let all = near(2).map(|y| near(3).map(|x| element(&padded, &[0, i[1], y, x])));
            all.as_flattened().iter().fold(f64::MIN, |a, &b| a.max(b))
        });
        let (lh, lw) = (ph * 3 / 2, pw * 3 / 2);
        let want = made(F32, &[1, 3, lh, 1], |i| {
            let from = |k: u32| (k as f32 * (1.0 / 1.5) as f32) as u32;
            let row = (0..lw).map(|x| element(&pooled, &[0, i[1], from(i[2]), from(x)]));
            row.sum::<f64>() / f64::from(lw)
        });
        (vec![x], want)
    };
    check(&graph, &[[12, 14], [5, 7], [1, 2], [11, 3]].map(run));
}

#[test]
fn concatenation_of_changing_sizes() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[1, 4, 5, 9]);
    let y = graph.input(F32, &[1, 3, 5, 9]);
    let (list, dim) = (graph.list(&[x, y, x]), graph.int(1));
    let out = graph.tensor(F32, &[1, 11, 5, 9]);
    graph.node("aten.cat.default", &[list, dim, out]);
    graph.output(out);
    let Some(Ok(loaded)) = Loaded::new(&graph) else {
        return;
    };
    for (h, w) in [(5u32, 9u32), (2, 3), (5, 1)] {
        let [a, b] = [4, 3].map(|c| random(plain(F32), &[1, c, h, w], c.into()));
        let want = made(F32, &[1, 11, h, w], |i| match i[1] {
            c @ 4..7 => element(&b, &[0, c - 4, i[2], i[3]]),
            c => element(&a, &[0, c % 7, i[2], i[3]]),
        });
        let got = loaded
            .run(&[a, b])
            .unwrap_or_else(|e| panic!("{}", e.message));
        assert_close("cat", &got[0], &want, EXACT);
    }
}
