use super::random::Random;
use super::reference::{
    assert_close, broadcast_dims, difference, elementwise, relative, Array, Tolerance, EXACT,
};
use super::run::{
    plain, Arg, Call, Typed, ETVK_STATUS_INVALID_BLOB, ETVK_STATUS_UNSUPPORTED, FORCED_HALF,
};
use etvk::core::tensor::DType::{self, Bool, F16, F32, I32, I8, U8};

const SPECIAL: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    7.0,
    -7.0,
    2.5,
    -2.5,
    1e-20,
    1e20,
    -1e20,
    16_777_216.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

pub(super) fn call(op: &'static str, x: &Array, y: &Array, typed: Typed, output: Typed) -> Call {
    Call {
        op,
        args: vec![Arg::input(typed, x), Arg::input(typed, y)],
        output,
        dims: broadcast_dims(&[x, y]),
    }
}

/// fp32 in, fp32 arithmetic in between, as PyTorch does it.
pub(super) fn single(function: impl Fn(f32, f32) -> f32) -> impl Fn(&[f64]) -> f64 {
    move |x| f64::from(function(x[0] as f32, x[1] as f32))
}

fn remainder(a: f32, b: f32) -> f32 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) {
        r + b
    } else {
        r
    }
}

fn divide_floor(a: f32, b: f32) -> f32 {
    if b == 0.0 {
        return a / b;
    }
    let r = a % b;
    let mut q = (a - r) / b;
    if r != 0.0 && (b < 0.0) != (r < 0.0) {
        q -= 1.0;
    }
    if q == 0.0 {
        return 0.0;
    }
    let whole = q.floor();
    if q - whole > 0.5 {
        whole + 1.0
    } else {
        whole
    }
}

fn minimum(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else {
        a.min(b)
    }
}

fn maximum(a: f32, b: f32) -> f32 {
    -minimum(-a, -b)
}

/// Division may be 2.5 units in the last place off, kernels' own power 4.
pub(super) const FINE: Tolerance = relative(5e-7);

type Function = (&'static str, fn(f32, f32) -> f32, Tolerance);

const FLOATS: &[Function] = &[
    ("aten.mul.Tensor", |a, b| a * b, EXACT_BUT_FLUSHED),
    ("aten.div.Tensor", |a, b| a / b, FINE),
    ("aten.floor_divide.default", divide_floor, WHOLE),
    ("aten.minimum.default", minimum, EXACT),
    ("aten.maximum.default", maximum, EXACT),
    (
        "aten.pow.Tensor_Tensor",
        |a, b| f64::from(a).powf(b.into()) as f32,
        FINE,
    ),
    ("aten.remainder.Tensor", remainder, EXACT_BUT_FLUSHED),
    ("aten.fmod.Tensor", |a, b| a % b, EXACT_BUT_FLUSHED),
];

/// Whole quotients are exact up to 7e6, where this is less than 1. Beyond 2^24 they are rounded, and
/// a division that is not quite IEEE's may round a tie the other way.
const WHOLE: Tolerance = Tolerance {
    relative: 1.3e-7,
    absolute: 0.0,
};

/// Exact where the result is a normal number.
const EXACT_BUT_FLUSHED: Tolerance = Tolerance {
    relative: 0.0,
    absolute: 1.2e-38,
};

/// Every pair of special numbers, and random ones: near each other, and of all magnitudes.
pub(super) fn pairs(seed: u64) -> [Array; 2] {
    let mut random = Random::new(seed);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for &x in SPECIAL {
        for &y in SPECIAL {
            a.push(x);
            b.push(y);
        }
    }
    a.extend(random.floats(3001, -20.0, 20.0));
    b.extend(random.floats(3001, -3.0, 3.0));
    // Small multiples of each other, where quotients are nearly whole.
    let base = random.floats(3001, 0.01, 3.0);
    a.extend(base.iter().map(|x| x * random.int(-20, 20) as f64));
    b.extend(&base);
    a.extend(random.wide(3001, -40.0, 40.0));
    b.extend(random.wide(3001, -6.0, 6.0));
    let dims = [a.len() as u32];
    [Array::new(F32, &dims, &a), Array::new(F32, &dims, &b)]
}

#[test]
fn fp32_over_the_whole_range() {
    let mut wrong = Vec::new();
    for (seed, (op, function, tolerance)) in FLOATS.iter().enumerate() {
        let [x, y] = pairs(seed as u64);
        let Some(got) = call(op, &x, &y, plain(F32), plain(F32)).run() else {
            return;
        };
        let want = elementwise(F32, &[&x, &y], &single(function));
        wrong.extend(difference(
            &format!("{op} seed {seed}"),
            &got,
            &want,
            *tolerance,
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn powers_near_the_ends_of_the_range() {
    // Bases near 1 with large exponents, and results near overflow: where log2 needs more than
    // fp32 holds.
    let mut random = Random::new(3);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..20_011 {
        let base = random.float(-30.0, 30.0).exp2();
        let base = if random.int(0, 3) == 0 {
            random.float(0.9, 1.1)
        } else {
            base
        };
        x.push(base);
        y.push(random.float(-125.0, 127.0) / (base as f32 as f64).log2());
    }
    let dims = [20_011];
    let (x, y) = (Array::new(F32, &dims, &x), Array::new(F32, &dims, &y));
    let op = "aten.pow.Tensor_Tensor";
    let Some(got) = call(op, &x, &y, plain(F32), plain(F32)).run() else {
        return;
    };
    let want = elementwise(F32, &[&x, &y], &|x| x[0].powf(x[1]));
    assert_close(op, &got, &want, FINE);
}

const SHAPES: &[[&[u32]; 2]] = &[
    [&[], &[]],
    [&[97], &[]],
    [&[], &[97]],
    [&[3, 5], &[5]],
    [&[1, 5], &[3, 1]],
    [&[1, 7, 5, 3], &[1, 7, 1, 1]],
    [&[7, 1, 1], &[2, 7, 5, 3]],
    [&[1, 7, 5, 3], &[1, 1, 5, 3]],
    [&[2, 1, 3, 1, 5], &[1, 7, 1, 2, 1]],
    [&[2, 1, 3, 1, 5, 1], &[1, 2, 1, 2, 1, 3]],
    [&[2, 1, 3, 1, 2, 1, 3], &[1, 2, 1, 2, 1, 2, 1]],
    [&[2, 1, 2, 1, 2, 1, 2, 1], &[1, 2, 1, 2, 1, 2, 1, 3]],
    [&[0], &[1]],
    [&[1], &[0]],
    [&[4, 0, 3], &[3]],
];

#[test]
fn broadcasts_both_ways_in_every_type() {
    for (seed, [left, right]) in SHAPES.iter().enumerate() {
        for typed in [
            plain(F32),
            plain(F16),
            FORCED_HALF,
            plain(I32),
            plain(U8),
            plain(I8),
        ] {
            let mut random = Random::new(seed as u64);
            let x = Array::random(typed.graph, left, &mut random);
            let y = Array::random(typed.graph, right, &mut random);
            for (op, alpha, sign) in [("aten.add.Tensor", 1, 1.0), ("aten.sub.Tensor", 3, -3.0)] {
                let mut call = call(op, &x, &y, typed, typed);
                call.args.push(Arg::Int(alpha));
                let Some(got) = call.run() else { return };
                let sum = elementwise(typed.graph, &[&x, &y], &|x| x[0] + sign * x[1]);
                let want = Array::new(typed.host, &sum.dims, &sum.values);
                // fp32 rounds the product and the sum; at fp16 one unit on top.
                let tolerance = match typed.graph {
                    F32 => Tolerance {
                        relative: 2e-7,
                        absolute: 2e-6,
                    },
                    F16 => Tolerance {
                        relative: 1.0 / 1024.0,
                        absolute: 6e-8,
                    },
                    _ => EXACT,
                };
                assert_close(
                    &format!("{op} {left:?} {right:?} {typed:?}"),
                    &got,
                    &want,
                    tolerance,
                );
            }
        }
    }
}

#[test]
fn alpha_numbers_and_swapped_operands() {
    use Arg::{Double, Int};
    let x = Array::new(F32, &[5], &[0.5, -2.0, 3.0, 100.0, -0.25]);
    let input = || Arg::input(plain(F32), &x);
    type Case = (&'static str, Vec<Arg>, fn(f64) -> f64);
    let cases: &[Case] = &[
        (
            "aten.add.Tensor",
            vec![input(), input(), Double(-0.5)],
            |x| 0.5 * x,
        ),
        ("aten.add.Scalar", vec![input(), Double(1.5), Int(2)], |x| {
            x + 3.0
        }),
        ("aten.sub.Scalar", vec![input(), Int(4), Int(1)], |x| {
            x - 4.0
        }),
        (
            "aten.rsub.Scalar",
            vec![input(), Double(1.0), Int(1)],
            |x| 1.0 - x,
        ),
        (
            "aten.rsub.Scalar",
            vec![input(), Double(1.0), Int(2)],
            |x| 1.0 - 2.0 * x,
        ),
        ("aten.mul.Scalar", vec![input(), Double(0.25)], |x| x * 0.25),
        ("aten.div.Scalar", vec![input(), Int(4)], |x| x / 4.0),
        ("aten.pow.Tensor_Scalar", vec![input(), Int(2)], |x| x * x),
        ("aten.pow.Tensor_Scalar", vec![input(), Double(3.0)], |x| {
            x * x * x
        }),
        ("aten.pow.Tensor_Scalar", vec![input(), Int(-1)], |x| {
            1.0 / x
        }),
        ("aten.pow.Tensor_Scalar", vec![input(), Double(0.5)], |x| {
            x.powf(0.5)
        }),
        ("aten.pow.Scalar", vec![Double(2.0), input()], f64::exp2),
        ("aten.remainder.Scalar", vec![input(), Double(0.75)], |x| {
            x.rem_euclid(0.75)
        }),
        ("aten.fmod.Scalar", vec![input(), Int(3)], |x| x % 3.0),
        (
            "aten.div.Tensor_mode",
            vec![
                input(),
                Arg::Constant(Array::scalar(F32, 0.3)),
                Arg::Text("trunc"),
            ],
            |x| f64::from((x as f32 / 0.3f32).trunc()),
        ),
        (
            "aten.div.Tensor_mode",
            vec![
                input(),
                Arg::Constant(Array::scalar(F32, 0.75)),
                Arg::Text("floor"),
            ],
            |x| (x / 0.75).floor(),
        ),
        (
            "aten.div.Tensor_mode",
            vec![input(), Arg::Constant(Array::scalar(F32, 8.0)), Arg::None],
            |x| x / 8.0,
        ),
    ];
    for (op, args, reference) in cases {
        let call = Call {
            op,
            args: args.clone(),
            output: plain(F32),
            dims: vec![5],
        };
        let Some(got) = call.run() else { return };
        let want = elementwise(F32, &[&x], &|x| reference(x[0]));
        assert_close(&format!("{op} {:?}", &args[1..]), &got, &want, FINE);
    }
}

#[test]
fn truncated_quotients_are_those_of_rounded_division() {
    let [x, y] = pairs(77);
    let mut call = call("aten.div.Tensor_mode", &x, &y, plain(F32), plain(F32));
    call.args.push(Arg::Text("trunc"));
    let Some(got) = call.run() else { return };
    let want = elementwise(F32, &[&x, &y], &single(|a, b| (a / b).trunc()));
    assert_close("trunc", &got, &want, WHOLE);
}

#[test]
fn fp16_rounds_once() {
    for typed in [plain(F16), FORCED_HALF] {
        for (seed, (op, function, tolerance)) in FLOATS.iter().enumerate() {
            let mut random = Random::new(seed as u64);
            let x = Array::new(F16, &[7, 31], &random.floats(217, -9.0, 9.0));
            let y = Array::new(F16, &[31], &random.floats(31, 0.5, 3.0));
            let Some(got) = call(op, &x, &y, typed, typed).run() else {
                return;
            };
            let exact = elementwise(F16, &[&x, &y], &single(function));
            let want = Array::new(typed.host, &exact.dims, &exact.values);
            let tolerance = Tolerance {
                relative: tolerance.relative + 1.0 / 1024.0,
                absolute: tolerance.absolute + 6e-8,
            };
            assert_close(
                &format!("{op} {typed:?} seed {seed}"),
                &got,
                &want,
                tolerance,
            );
        }
    }
}

#[test]
fn refusals() {
    let x = Arg::Input(F32, Array::new(F32, &[2], &[0.5, 1.0]));
    let long = Arg::Input(F32, Array::new(F32, &[3], &[0.5, 1.0, 2.0]));
    let whole = Arg::Input(I32, Array::new(I32, &[2], &[1.0, 2.0]));
    let cases: &[(&'static str, Vec<Arg>, DType, i32)] = &[
        (
            "aten.mul.Tensor",
            vec![x.clone(), long],
            F32,
            ETVK_STATUS_INVALID_BLOB,
        ),
        (
            "aten.mul.Tensor",
            vec![x.clone(), Arg::None],
            F32,
            ETVK_STATUS_INVALID_BLOB,
        ),
        (
            "aten.bitwise_and.Tensor",
            vec![x.clone(), x.clone()],
            F32,
            ETVK_STATUS_UNSUPPORTED,
        ),
        (
            "aten.eq.Scalar",
            vec![whole, Arg::Int(1 << 40)],
            Bool,
            ETVK_STATUS_UNSUPPORTED,
        ),
        (
            "aten.div.Tensor_mode",
            vec![x.clone(), x, Arg::Text("up")],
            F32,
            ETVK_STATUS_UNSUPPORTED,
        ),
    ];
    for (op, args, dtype, kind) in cases {
        let call = Call {
            op,
            args: args.clone(),
            output: plain(*dtype),
            dims: vec![2],
        };
        let Some(error) = call.refused() else { return };
        assert_eq!(error.status, *kind, "{error:?}");
        assert!(error.message.contains("node 0"), "{error:?}");
    }
}
