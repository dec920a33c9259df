use super::blob::GraphBuilder;
use super::reference::{assert_close, relative, Array, EXACT};
use super::run::{plain, run, Arg, Call, ETVK_STATUS_INVALID_BLOB, FORCED_HALF};
use etvk::core::tensor::DType::{self, Bool, F16, F32, I32, I8, U8};

#[test]
fn fills() {
    let sizes = || Arg::Ints(vec![3, 5, 7]);
    let like = Arg::Input(I32, Array::new(I32, &[3, 5, 7], &[9.0; 105]));
    let cases: &[(&'static str, Vec<Arg>, f64)] = &[
        ("aten.full.default", vec![sizes(), Arg::Double(2.0)], 2.0),
        (
            "aten.full.default",
            vec![sizes(), Arg::Int(7), Arg::None, Arg::None],
            7.0,
        ),
        (
            "aten.full_like.default",
            vec![like.clone(), Arg::Int(3)],
            3.0,
        ),
        ("aten.zeros.default", vec![sizes()], 0.0),
        (
            "aten.zeros_like.default",
            vec![like.clone(), Arg::None],
            0.0,
        ),
        ("aten.ones.default", vec![sizes(), Arg::None], 1.0),
        ("aten.ones_like.default", vec![like], 1.0),
    ];
    for (op, args, value) in cases {
        for typed in [
            plain(F32),
            plain(F16),
            FORCED_HALF,
            plain(I32),
            plain(U8),
            plain(I8),
            plain(Bool),
        ] {
            let call = Call {
                op,
                args: args.clone(),
                output: typed,
                dims: vec![3, 5, 7],
            };
            let Some(got) = call.run() else { return };
            let want = Array::new(typed.host, &[3, 5, 7], &[*value; 105]);
            assert_close(op, &got, &want, EXACT);
        }
    }
}

#[test]
fn special_numbers() {
    let cases = [
        (F32, Arg::Double(f64::INFINITY), f64::INFINITY),
        (F32, Arg::Double(f64::NAN), f64::NAN),
        (F32, Arg::Double(-f64::MAX), f64::NEG_INFINITY),
        (F32, Arg::Double(0.1), 0.1),
        (I32, Arg::Int(-2_147_483_648), -2_147_483_648.0),
        (Bool, Arg::Double(0.5), 1.0),
    ];
    for (dtype, value, want) in cases {
        let call = Call {
            op: "aten.scalar_tensor.default",
            args: vec![value],
            output: plain(dtype),
            dims: vec![],
        };
        let Some(got) = call.run() else { return };
        assert_close("scalar_tensor", &got, &Array::scalar(dtype, want), EXACT);
    }
    let call = Call {
        op: "aten.zeros.default",
        args: vec![Arg::Ints(vec![2, 0])],
        output: plain(F32),
        dims: vec![2, 0],
    };
    let Some(got) = call.run() else { return };
    assert_close("zeros", &got, &Array::new(F32, &[2, 0], &[]), EXACT);
}

#[test]
fn ranges() {
    use Arg::{Double as D, Int as I, None};
    let cases: &[(DType, Arg, Arg, Arg)] = &[
        (I32, I(-1), I(17), I(1)),
        (I32, None, I(101), I(7)),
        (I32, I(5), I(-50), I(-3)),
        (I32, I(3), I(3), I(1)),
        (F32, D(0.0), D(1.0), D(0.01)),
        (F32, D(-3.5), D(100.0), D(0.3)),
        (F32, I(0), I(70_001), I(1)),
        (F32, D(2.0), D(-1.0), D(-0.125)),
        (F16, I(0), I(100), I(1)),
    ];
    for (dtype, start, end, step) in cases {
        let number = |arg: &Arg| match arg {
            D(x) => *x,
            I(n) => *n as f64,
            _ => 0.0,
        };
        let (first, by) = (number(start), number(step));
        let count = ((number(end) - first) / by).ceil() as usize;
        let values: Vec<f64> = (0..count).map(|i| first + i as f64 * by).collect();
        let want = Array::new(*dtype, &[count as u32], &values);
        let tail = [None, None, None, Arg::Bool(false)];
        let mut args = vec![start.clone(), end.clone(), step.clone()];
        args.extend(tail);
        let call = Call {
            op: "aten.arange.start_step",
            args,
            output: plain(*dtype),
            dims: want.dims.clone(),
        };
        let Some(got) = call.run() else { return };
        // Each element is computed from its index, as PyTorch does: nothing accumulates.
        let tolerance = if dtype.is_float() {
            relative(2e-7)
        } else {
            EXACT
        };
        assert_close(
            &format!("arange {start:?} {end:?} {step:?}"),
            &got,
            &want,
            tolerance,
        );
    }
}

#[test]
fn sizes_from_symbolic_integers() {
    // arange(0, 2 * x.size(1)) and full((x.size(0), 3), 5).
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[4, 9]);
    let [zero, one, two, three, five] = [0, 1, 2, 3, 5].map(|n| graph.int(n));
    let (none, no) = (graph.none(), graph.bool(false));
    let [w, double, h] = [9, 18, 4].map(|n| graph.sym_int(n));
    graph.node("sym_size.int", &[x, one, w]);
    graph.node("mul", &[w, two, double]);
    let range = graph.tensor(I32, &[18]);
    graph.node(
        "aten.arange.start_step",
        &[none, double, one, none, none, none, no, range],
    );
    graph.node("sym_size.int", &[x, zero, h]);
    let sizes = graph.list(&[h, three]);
    let full = graph.tensor(F32, &[4, 3]);
    graph.node(
        "aten.full.default",
        &[sizes, five, none, none, none, none, full],
    );
    graph.output(range).output(full);
    let input = Array::new(F32, &[4, 9], &[0.0; 36]);
    let Some(outputs) = run(&graph, &[input]) else {
        return;
    };
    let outputs = outputs.expect("runs");
    let numbers: Vec<f64> = (0..18).map(f64::from).collect();
    assert_close(
        "arange",
        &outputs[0],
        &Array::new(I32, &[18], &numbers),
        EXACT,
    );
    assert_close(
        "full",
        &outputs[1],
        &Array::new(F32, &[4, 3], &[5.0; 12]),
        EXACT,
    );
}

#[test]
fn impossible_sizes_are_refused() {
    let cases: &[(&'static str, Vec<Arg>)] = &[
        (
            "aten.full.default",
            vec![Arg::Ints(vec![-1, 3]), Arg::Int(0)],
        ),
        (
            "aten.full.default",
            vec![Arg::Ints(vec![4, 3]), Arg::Int(0)],
        ),
        (
            "aten.arange.start_step",
            vec![Arg::Int(0), Arg::Int(5), Arg::Int(0)],
        ),
        (
            "aten.arange.start_step",
            vec![Arg::Int(0), Arg::Int(1 << 40), Arg::Int(1)],
        ),
    ];
    for (op, args) in cases {
        let call = Call {
            op,
            args: args.clone(),
            output: plain(F32),
            dims: vec![3, 3],
        };
        let Some(error) = call.refused() else { return };
        assert_eq!(error.status, ETVK_STATUS_INVALID_BLOB, "{error:?}");
    }
}
