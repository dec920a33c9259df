use super::random::Random;
use super::reference::{
    assert_close, difference, elementwise, erf, erfc, relative, rounded, Array, Tolerance, EXACT,
};
use super::run::{plain, Arg, Call, Typed, ETVK_STATUS_UNSUPPORTED, FORCED_HALF};
use etvk::core::tensor::DType::{Bool, F16, F32};

/// Numbers that kernels must not treat as others; no denormals, which devices may flush.
const SPECIAL: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    3.0,
    -3.0,
    6.0,
    1e-30,
    -1e-30,
    1.2e-38,
    88.7,
    89.0,
    -87.3,
    -88.0,
    -104.0,
    1e9,
    -1e9,
    3e38,
    -3e38,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

struct Function {
    op: &'static str,
    args: &'static [Arg],
    reference: fn(f64) -> f64,
    /// Of fp32 results.
    tolerance: Tolerance,
    /// Powers of two between which magnitudes are drawn.
    powers: (f64, f64),
}

const fn function(
    op: &'static str,
    reference: fn(f64) -> f64,
    tolerance: Tolerance,
    powers: (f64, f64),
) -> Function {
    Function {
        op,
        args: &[],
        reference,
        tolerance,
        powers,
    }
}

const fn with(args: &'static [Arg], function: Function) -> Function {
    Function { args, ..function }
}

/// Where the absolute error counts because the function itself subtracts: PyTorch's own results
/// have as much.
const fn absolute(absolute: f64) -> Tolerance {
    Tolerance {
        relative: 1e-6,
        absolute,
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x.is_nan() {
        x
    } else {
        x.max(low).min(high)
    }
}

fn gelu(x: f64) -> f64 {
    let z = x * std::f64::consts::FRAC_1_SQRT_2;
    if z < -2.0 {
        0.5 * x * erfc(-z)
    } else {
        0.5 * x * (1.0 + erf(z))
    }
}

fn gelu_tanh(x: f64) -> f64 {
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x * sigmoid(2.0 * u)
}

/// Kernels carry these functions themselves, so the bound holds on every device: 1e-6 is 8 units in
/// the last place of fp32, of which division (2.5) and the square roots (2 + 2.5) take some.
const FINE: Tolerance = relative(1e-6);

/// What a factor below the smallest normal number may lose when it is flushed to zero, times x:
/// down to -104 for sigmoid, less for the normal distribution.
const FLUSHED: f64 = 104.0 * 1.2e-38;

const ALL: (f64, f64) = (-126.0, 127.0);
const MIDDLE: (f64, f64) = (-20.0, 8.0);

const FUNCTIONS: &[Function] = &[
    function("aten.abs.default", f64::abs, EXACT, ALL),
    function("aten.neg.default", |x| -x, EXACT, ALL),
    function("aten.cos.default", f64::cos, FINE, ALL),
    function("aten.cos.default", f64::cos, FINE, MIDDLE),
    function("aten.sin.default", f64::sin, FINE, ALL),
    function("aten.sin.default", f64::sin, FINE, MIDDLE),
    function("aten.tan.default", f64::tan, FINE, ALL),
    function("aten.tan.default", f64::tan, FINE, MIDDLE),
    function("aten.exp.default", f64::exp, FINE, MIDDLE),
    function("aten.sqrt.default", f64::sqrt, FINE, ALL),
    function("aten.rsqrt.default", rsqrt, FINE, ALL),
    function("aten.tanh.default", f64::tanh, FINE, MIDDLE),
    function("aten.sigmoid.default", sigmoid, FINE, MIDDLE),
    function("aten.round.default", f64::round_ties_even, EXACT, MIDDLE),
    function("aten.log10.default", f64::log10, FINE, ALL),
    function("aten.log10.default", f64::log10, FINE, (-2.0, 2.0)),
    function("aten.log.default", f64::ln, FINE, ALL),
    function("aten.log.default", f64::ln, FINE, (-2.0, 2.0)),
    function("aten.log2.default", f64::log2, FINE, ALL),
    function("aten.log2.default", f64::log2, FINE, (-2.0, 2.0)),
    function(
        "aten.relu.default",
        |x| clamp(x, 0.0, f64::INFINITY),
        EXACT,
        ALL,
    ),
    function("aten.relu6.default", |x| clamp(x, 0.0, 6.0), EXACT, MIDDLE),
    with(
        &[Arg::Text("none")],
        // Against the exponential's argument: z^2 / 2 of up to 87 has an error of 2^-24 * 87.
        function(
            "aten.gelu.default",
            gelu,
            Tolerance {
                relative: 1.2e-5,
                absolute: FLUSHED,
            },
            MIDDLE,
        ),
    ),
    with(
        &[Arg::Text("none")],
        function("aten.gelu.default", gelu, absolute(2e-7), (-6.0, 2.6)),
    ),
    with(
        &[Arg::Text("tanh")],
        function(
            "aten.gelu.default",
            gelu_tanh,
            Tolerance {
                relative: 2e-5,
                absolute: FLUSHED,
            },
            MIDDLE,
        ),
    ),
    with(
        &[Arg::Double(0.75)],
        function(
            "aten.hardshrink.default",
            |x| if (-0.75..=0.75).contains(&x) { 0.0 } else { x },
            EXACT,
            MIDDLE,
        ),
    ),
    function(
        "aten.hardswish.default",
        |x| x * clamp(x + 3.0, 0.0, 6.0) / 6.0,
        absolute(1e-6),
        MIDDLE,
    ),
    function(
        "aten.hardsigmoid.default",
        |x| clamp(x + 3.0, 0.0, 6.0) / 6.0,
        absolute(1e-7),
        MIDDLE,
    ),
    with(
        &[Arg::Double(-0.5), Arg::Int(2)],
        function(
            "aten.hardtanh.default",
            |x| clamp(x, -0.5, 2.0),
            EXACT,
            MIDDLE,
        ),
    ),
    with(
        &[Arg::None, Arg::Double(1.5)],
        function(
            "aten.clamp.default",
            |x| clamp(x, f64::NEG_INFINITY, 1.5),
            EXACT,
            MIDDLE,
        ),
    ),
    with(
        &[Arg::Int(-1), Arg::None],
        function(
            "aten.clamp.default",
            |x| clamp(x, -1.0, f64::INFINITY),
            EXACT,
            MIDDLE,
        ),
    ),
    with(
        // The upper bound wins where bounds cross; a fused ReLU's bound is the largest double.
        &[Arg::Double(2.0), Arg::Double(1.0)],
        function(
            "aten.clamp.default",
            |x| if x.is_nan() { x } else { 1.0 },
            EXACT,
            MIDDLE,
        ),
    ),
    with(
        &[Arg::Double(0.0), Arg::Double(f64::MAX)],
        function(
            "aten.clamp.default",
            |x| clamp(x, 0.0, f64::INFINITY),
            EXACT,
            MIDDLE,
        ),
    ),
    with(
        &[Arg::Double(0.125)],
        function(
            "aten.leaky_relu.default",
            |x| if x > 0.0 { x } else { x * 0.125 },
            FINE,
            ALL,
        ),
    ),
    function(
        "aten.silu.default",
        |x| x * sigmoid(x),
        Tolerance {
            relative: 1e-6,
            absolute: FLUSHED,
        },
        MIDDLE,
    ),
    function("aten.ceil.default", f64::ceil, EXACT, MIDDLE),
    function("aten.floor.default", f64::floor, EXACT, MIDDLE),
    function("aten.trunc.default", f64::trunc, EXACT, MIDDLE),
    function(
        "aten.reciprocal.default",
        |x| 1.0 / x,
        FINE,
        (-125.0, 125.0),
    ),
    function(
        "aten.erf.default",
        erf,
        Tolerance {
            relative: 3e-7,
            absolute: 2e-7,
        },
        MIDDLE,
    ),
    function(
        "aten.sign.default",
        |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        },
        EXACT,
        ALL,
    ),
    function("aten.square.default", |x| x * x, FINE, (-60.0, 60.0)),
];

fn rsqrt(x: f64) -> f64 {
    1.0 / x.sqrt()
}

fn call(function: &Function, x: &Array, typed: Typed) -> Call {
    let mut args = vec![Arg::input(typed, x)];
    args.extend(function.args.iter().cloned());
    Call {
        op: function.op,
        args,
        output: typed,
        dims: x.dims.clone(),
    }
}

fn inputs(function: &Function, count: usize, seed: u64) -> Vec<f64> {
    let mut values =
        Random::new(seed).wide(count - SPECIAL.len(), function.powers.0, function.powers.1);
    values.extend(SPECIAL);
    values
}

#[test]
fn fp32_over_the_whole_range() {
    const COUNT: usize = 20_011;
    let mut wrong = Vec::new();
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        let seed = seed as u64;
        let x = Array::new(F32, &[COUNT as u32], &inputs(function, COUNT, seed));
        let Some(got) = call(function, &x, plain(F32)).run() else {
            return;
        };
        let want = elementwise(F32, &[&x], &|x| (function.reference)(x[0]));
        let what = format!("{} {:?} seed {seed}", function.op, function.args);
        wrong.extend(difference(&what, &got, &want, function.tolerance));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Half precision in the graph, with half or single precision at the host: one rounding of the
/// fp32 result.
#[test]
fn fp16_and_forced_fp16() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        for typed in [plain(F16), FORCED_HALF] {
            let (low, high) = function.powers;
            let seed = seed as u64;
            let mut values = Random::new(seed).wide(499, low.max(-13.0), high.min(15.0));
            values.extend([0.0, 2.5, -3.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
            let x = Array::new(F16, &[5, 101], &values);
            let Some(got) = call(function, &x, typed).run() else {
                return;
            };
            let exact = elementwise(F16, &[&x], &|x| (function.reference)(x[0]));
            let want = Array::new(typed.host, &x.dims, &exact.values);
            // The output type of a forced one is fp32, its precision is that of fp16.
            let tolerance = Tolerance {
                relative: function.tolerance.relative + 1.0 / 1024.0,
                absolute: function.tolerance.absolute + 6e-8,
            };
            // A device without 16-bit storage keeps what fp16 would round, or make infinite.
            let got = Array::new(got.dtype, &got.dims, &halved(&got.values));
            let what = format!("{} {:?} {typed:?} seed {seed}", function.op, function.args);
            assert_close(&what, &got, &want, tolerance);
        }
    }
}

fn halved(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| rounded(F16, x)).collect()
}

#[test]
fn predicates_give_booleans() {
    type Predicate = fn(f64) -> bool;
    let cases: &[(&'static str, Predicate)] = &[
        ("aten.logical_not.default", |x| x == 0.0),
        ("aten.isnan.default", f64::is_nan),
        ("aten.isinf.default", f64::is_infinite),
    ];
    let x = Array::new(F32, &[SPECIAL.len() as u32], SPECIAL);
    for (op, reference) in cases {
        let args = vec![Arg::input(plain(F32), &x)];
        let Some(got) = (Call {
            op,
            args,
            output: plain(Bool),
            dims: x.dims.clone(),
        })
        .run() else {
            return;
        };
        assert_close(
            op,
            &got,
            &elementwise(Bool, &[&x], &|x| f64::from(u8::from(reference(x[0])))),
            EXACT,
        );
    }
}

#[test]
fn every_rank_and_no_elements() {
    let shapes: &[&[u32]] = &[
        &[],
        &[1],
        &[97],
        &[3, 5],
        &[2, 3, 7],
        &[1, 5, 7, 11],
        &[2, 1, 3, 5, 2],
        &[2, 3, 1, 2, 3, 5],
        &[1, 2, 1, 3, 1, 2, 1],
        &[0],
        &[3, 0, 5],
    ];
    for (seed, dims) in shapes.iter().enumerate() {
        let x = Array::random(F32, dims, &mut Random::new(seed as u64));
        let function = function("aten.relu.default", |x| x.max(0.0), EXACT, ALL);
        let Some(got) = call(&function, &x, plain(F32)).run() else {
            return;
        };
        let want = elementwise(F32, &[&x], &|x| x[0].max(0.0));
        assert_close(&format!("{dims:?} seed {seed}"), &got, &want, EXACT);
    }
}

#[test]
fn refusals_name_the_node() {
    let x = Arg::Input(F32, Array::new(F32, &[2], &[0.5, rounded(F32, 0.1)]));
    let cases: &[(&'static str, Vec<Arg>)] = &[
        ("aten.bitwise_not.default", vec![x.clone()]),
        ("aten.gelu.default", vec![x.clone(), Arg::Text("fast")]),
    ];
    for (op, args) in cases {
        let call = Call {
            op,
            args: args.clone(),
            output: plain(F32),
            dims: vec![2],
        };
        let Some(error) = call.refused() else { return };
        assert_eq!(error.status, ETVK_STATUS_UNSUPPORTED, "{error:?}");
        assert!(
            error.message.contains("node 0") && error.message.contains(op),
            "{error:?}"
        );
    }
}
