use super::blob::GraphBuilder;
use super::random::Random;
use super::reference::{assert_close, broadcast_dims, elementwise, Array, EXACT};
use super::run::{plain, Arg, Call, Loaded, Typed, FORCED_HALF};
use etvk::core::tensor::DType::{Bool, F16, F32, I32, U8};

fn check(shapes: [&[u32]; 3], typed: Typed, seed: u64) -> Option<()> {
    let mut random = Random::new(seed);
    let condition = Array::random(Bool, shapes[0], &mut random);
    let left = Array::random(typed.graph, shapes[1], &mut random);
    let right = Array::random(typed.graph, shapes[2], &mut random);
    let call = Call {
        op: "aten.where.self",
        args: vec![
            Arg::input(plain(Bool), &condition),
            Arg::input(typed, &left),
            Arg::input(typed, &right),
        ],
        output: typed,
        dims: broadcast_dims(&[&condition, &left, &right]),
    };
    let got = call.run()?;
    let pick = |x: &[f64]| if x[0] != 0.0 { x[1] } else { x[2] };
    let want = elementwise(typed.host, &[&condition, &left, &right], &pick);
    assert_close(
        &format!("where {shapes:?} {typed:?} seed {seed}"),
        &got,
        &want,
        EXACT,
    );
    Some(())
}

const SHAPES: &[[&[u32]; 3]] = &[
    [&[7, 13], &[7, 13], &[7, 13]],
    [&[], &[], &[]],
    [&[1, 5, 7, 11], &[1, 5, 7, 11], &[]],
    [&[7, 1], &[1, 13], &[]],
    [&[], &[3, 5], &[5]],
    [&[5, 1, 1], &[2, 1, 7, 1], &[3]],
    [
        &[2, 3, 1, 5, 1, 2],
        &[1, 3, 2, 1, 3, 1],
        &[2, 1, 2, 5, 1, 2],
    ],
    [&[2, 1, 2, 1, 2, 1, 3], &[1, 2, 1, 2, 1, 2, 1], &[]],
    [&[0, 3], &[3], &[1, 1]],
];

#[test]
fn picks_and_broadcasts() {
    for (seed, shapes) in SHAPES.iter().enumerate() {
        for typed in [
            plain(F32),
            plain(F16),
            FORCED_HALF,
            plain(I32),
            plain(U8),
            plain(Bool),
        ] {
            if check(*shapes, typed, seed as u64).is_none() {
                return;
            }
        }
    }
}

#[test]
fn keeps_special_values_and_large_integers() {
    let condition = Array::new(Bool, &[4], &[1.0, 0.0, 1.0, 0.0]);
    let floats = [f64::NAN, f64::INFINITY, -0.0, f64::NEG_INFINITY];
    let ints = [2_147_483_647.0, -2_147_483_648.0, 16_777_217.0, 5.0];
    for (dtype, values) in [(F32, floats), (I32, ints)] {
        let left = Array::new(dtype, &[4], &values);
        let right = Array::new(dtype, &[4], &[values[3], values[2], values[1], values[0]]);
        let call = Call {
            op: "aten.where.self",
            args: vec![
                Arg::input(plain(Bool), &condition),
                Arg::input(plain(dtype), &left),
                Arg::input(plain(dtype), &right),
            ],
            output: plain(dtype),
            dims: vec![4],
        };
        let Some(got) = call.run() else { return };
        let pick = |x: &[f64]| if x[0] != 0.0 { x[1] } else { x[2] };
        let want = elementwise(dtype, &[&condition, &left, &right], &pick);
        assert_close("where", &got, &want, EXACT);
    }
}

/// `where(x > 0, x, x * slope)` behind nothing that takes a step: one kernel of its own with the
/// passes, three without.
#[test]
fn slopes_below_zero() {
    let mut random = Random::new(21);
    let x = Array::random(F32, &[2, 5, 3, 7], &mut random);
    for dims in [
        &[5u32, 1, 1][..],
        &[1, 5, 1, 1],
        &[1],
        &[],
        &[7],
        &[2, 1, 3, 1],
    ] {
        let slope = Array::random(F32, dims, &mut random);
        let mut graph = GraphBuilder::new();
        let id = graph.input(F32, &x.dims);
        let slopes = graph.input(F32, dims);
        let zero = graph.int(0);
        let positive = graph.tensor(Bool, &x.dims);
        graph.node("aten.gt.Scalar", &[id, zero, positive]);
        let [scaled, out] = [0; 2].map(|_| graph.tensor(F32, &x.dims));
        graph.node("aten.mul.Tensor", &[id, slopes, scaled]);
        graph.node("aten.where.self", &[positive, id, scaled, out]);
        graph.output(out);
        let want = elementwise(F32, &[&x, &slope], &|v| {
            if v[0] > 0.0 {
                v[0]
            } else {
                v[0] * v[1]
            }
        });
        for passes in ["1", "0"] {
            let loaded = Loaded::with_options(&graph, &[("graph_passes", passes)]);
            let Some(loaded) = loaded else { return };
            let inputs = [x.clone(), slope.clone()];
            let got = loaded.and_then(|loaded| loaded.run(&inputs));
            let got = got.unwrap_or_else(|e| panic!("{dims:?}: {}", e.message));
            let what = format!("slopes {dims:?}, passes {passes}");
            assert_close(&what, &got[0], &want, EXACT);
        }
    }
}
