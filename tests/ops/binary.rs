use super::random::Random;
use super::reference::{
    assert_close, broadcast_dims, elementwise, relative, Array, Tolerance, EXACT,
};
use super::run::{
    plain, Arg, Call, Typed, ETVK_STATUS_INVALID_BLOB, ETVK_STATUS_UNSUPPORTED, FORCED_HALF,
};
use etvk::tensor::DType::{self, Bool, F16, F32, I32, I8, U8};

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

fn call(op: &'static str, x: &Array, y: &Array, typed: Typed, output: Typed) -> Call {
    Call {
        op,
        args: vec![Arg::input(typed, x), Arg::input(typed, y)],
        output,
        dims: broadcast_dims(&[x, y]),
    }
}

fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// fp32 in, fp32 arithmetic in between, as PyTorch does it.
fn single(function: impl Fn(f32, f32) -> f32) -> impl Fn(&[f64]) -> f64 {
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
const FINE: Tolerance = relative(5e-7);

type Function = (&'static str, fn(f32, f32) -> f32, Tolerance);

const FLOATS: &[Function] = &[
    ("aten.mul.Tensor", |a, b| a * b, EXACT_BUT_FLUSHED),
    ("aten.div.Tensor", |a, b| a / b, FINE),
    ("aten.floor_divide.default", divide_floor, EXACT),
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

/// Exact where the result is a normal number.
const EXACT_BUT_FLUSHED: Tolerance = Tolerance {
    relative: 0.0,
    absolute: 1.2e-38,
};

const COMPARISONS: &[(&str, fn(f64, f64) -> bool)] = &[
    ("aten.eq.Tensor", |a, b| a == b),
    ("aten.ne.Tensor", |a, b| a != b),
    ("aten.lt.Tensor", |a, b| a < b),
    ("aten.le.Tensor", |a, b| a <= b),
    ("aten.gt.Tensor", |a, b| a > b),
    ("aten.ge.Tensor", |a, b| a >= b),
    ("aten.logical_and.default", |a, b| a != 0.0 && b != 0.0),
    ("aten.logical_or.default", |a, b| a != 0.0 || b != 0.0),
    ("aten.logical_xor.default", |a, b| (a != 0.0) != (b != 0.0)),
];

/// Every pair of special numbers, and random ones: near each other, and of all magnitudes.
fn pairs(seed: u64) -> [Array; 2] {
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
    for (seed, (op, function, tolerance)) in FLOATS.iter().enumerate() {
        let [x, y] = pairs(seed as u64);
        let Some(got) = call(op, &x, &y, plain(F32), plain(F32)).run() else {
            return;
        };
        let want = elementwise(F32, &[&x, &y], &single(function));
        assert_close(&format!("{op} seed {seed}"), &got, &want, *tolerance);
    }
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

#[test]
fn comparisons_are_exact() {
    for (seed, (op, function)) in COMPARISONS.iter().enumerate() {
        let [mut x, mut y] = pairs(seed as u64);
        // Neighbours, which a tolerance would confuse.
        x.values[400] = f64::from(f32::from_bits(0x3f80_0001));
        y.values[400] = 1.0;
        x.values[401] = 1e-6;
        y.values[401] = 0.0;
        let x = Array::new(F32, &x.dims.clone(), &x.values);
        let y = Array::new(F32, &y.dims.clone(), &y.values);
        let Some(got) = call(op, &x, &y, plain(F32), plain(Bool)).run() else {
            return;
        };
        let want = elementwise(Bool, &[&x, &y], &|x| flag(function(x[0], x[1])));
        assert_close(op, &got, &want, EXACT);
    }
    let large = [
        16_777_216.0,
        16_777_217.0,
        -2_147_483_648.0,
        2_147_483_647.0,
        0.0,
    ];
    let x = Array::new(I32, &[5, 1], &large);
    let y = Array::new(I32, &[5], &large);
    for (op, function) in COMPARISONS {
        let Some(got) = call(op, &x, &y, plain(I32), plain(Bool)).run() else {
            return;
        };
        let want = elementwise(Bool, &[&x, &y], &|x| flag(function(x[0], x[1])));
        assert_close(op, &got, &want, EXACT);
    }
}

#[test]
fn comparisons_with_numbers() {
    let values = [-2.0, -0.5, 0.0, 0.5, 1.0, f64::INFINITY, f64::NAN];
    type Compare = fn(f64, f64) -> bool;
    let cases: &[(&'static str, Compare)] = &[
        ("aten.eq.Scalar", |a, b| a == b),
        ("aten.ne.Scalar", |a, b| a != b),
        ("aten.lt.Scalar", |a, b| a < b),
        ("aten.le.Scalar", |a, b| a <= b),
        ("aten.gt.Scalar", |a, b| a > b),
        ("aten.ge.Scalar", |a, b| a >= b),
    ];
    for (op, function) in cases {
        for number in [Arg::Double(0.5), Arg::Int(0), Arg::Double(1.0)] {
            let n = match number {
                Arg::Int(n) => n as f64,
                Arg::Double(x) => x,
                _ => f64::NAN,
            };
            for typed in [plain(F32), FORCED_HALF, plain(I32)] {
                let values = if typed.graph == I32 {
                    &values[..5]
                } else {
                    &values[..]
                };
                let x = Array::new(typed.graph, &[values.len() as u32], values);
                let args = vec![Arg::input(typed, &x), number.clone()];
                let call = Call {
                    op,
                    args,
                    output: plain(Bool),
                    dims: x.dims.clone(),
                };
                let Some(got) = call.run() else { return };
                let want = elementwise(Bool, &[&x], &|x| flag(function(x[0], n)));
                assert_close(&format!("{op} {typed:?} {number:?}"), &got, &want, EXACT);
            }
        }
    }
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
        (
            "etvk.prelu.default",
            vec![input(), Arg::Constant(Array::scalar(F32, 0.125))],
            |x| {
                if x > 0.0 {
                    x
                } else {
                    x * 0.125
                }
            },
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
    // Quotients beyond 2^24 are whole anyway, and as exact as division is.
    assert_close("trunc", &got, &want, FINE);
    for ((&g, &w), i) in got.values.iter().zip(&want.values).zip(0..) {
        assert!(
            w.abs() > 1e6 || g == w || w.is_nan(),
            "element {i}: {g}, expected {w}"
        );
    }
}

fn power_int(a: i32, b: i32) -> i32 {
    match (a, b) {
        (_, 0..) => a.wrapping_pow(b.unsigned_abs()),
        (1, _) => 1,
        (-1, _) => 1 - 2 * (b & 1),
        _ => 0,
    }
}

fn floor_int(a: i32, b: i32) -> i32 {
    let q = a.wrapping_div(b);
    q - i32::from(a.wrapping_rem(b) != 0 && (a < 0) != (b < 0))
}

#[test]
fn integers_wrap_and_divide_as_integers() {
    let left = [7, -7, i32::MIN, i32::MAX, 46341, 3, -1, 0, 16_777_217];
    let right = [2, -2, 3, -1, 1, 46341, 5, -9, 7];
    let floats = |x: &[i32]| x.iter().map(|&n| f64::from(n)).collect::<Vec<_>>();
    let x = Array::new(I32, &[9, 1], &floats(&left));
    let y = Array::new(I32, &[9], &floats(&right));
    type Case = (&'static str, Option<Arg>, fn(i32, i32) -> i32);
    let cases: &[Case] = &[
        ("aten.add.Tensor", Some(Arg::Int(5)), |a, b| {
            a.wrapping_add(b.wrapping_mul(5))
        }),
        ("aten.add.Tensor", Some(Arg::Double(1.0)), i32::wrapping_add),
        ("aten.sub.Tensor", Some(Arg::Int(1)), i32::wrapping_sub),
        ("aten.mul.Tensor", None, i32::wrapping_mul),
        (
            "aten.div.Tensor_mode",
            Some(Arg::Text("trunc")),
            i32::wrapping_div,
        ),
        ("aten.div.Tensor_mode", Some(Arg::Text("floor")), floor_int),
        ("aten.floor_divide.default", None, floor_int),
        ("aten.minimum.default", None, i32::min),
        ("aten.maximum.default", None, i32::max),
        ("aten.pow.Tensor_Tensor", None, power_int),
        ("aten.remainder.Tensor", None, |a, b| {
            let r = a.wrapping_rem(b);
            if r != 0 && (r < 0) != (b < 0) {
                r + b
            } else {
                r
            }
        }),
        ("aten.fmod.Tensor", None, i32::wrapping_rem),
        ("aten.bitwise_and.Tensor", None, |a, b| a & b),
        ("aten.bitwise_or.Tensor", None, |a, b| a | b),
        ("aten.bitwise_xor.Tensor", None, |a, b| a ^ b),
    ];
    for (op, extra, reference) in cases {
        let mut call = call(op, &x, &y, plain(I32), plain(I32));
        call.args.extend(extra.clone());
        let Some(got) = call.run() else { return };
        let want = elementwise(I32, &[&x, &y], &|x| {
            f64::from(reference(x[0] as i32, x[1] as i32))
        });
        assert_close(op, &got, &want, EXACT);
    }
    // Division without rounding gives floats.
    let Some(got) = call("aten.div.Tensor", &x, &y, plain(I32), plain(F32)).run() else {
        return;
    };
    let want = elementwise(F32, &[&x, &y], &single(|a, b| a / b));
    assert_close("div", &got, &want, FINE);
}

#[test]
fn narrow_types_wrap_in_their_own_width() {
    let cases: &[(DType, &'static str, [f64; 2], f64)] = &[
        (U8, "aten.add.Tensor", [200.0, 100.0], 44.0),
        (U8, "aten.sub.Tensor", [1.0, 2.0], 255.0),
        (I8, "aten.mul.Tensor", [100.0, 2.0], -56.0),
        (Bool, "aten.add.Tensor", [1.0, 1.0], 1.0),
        (Bool, "aten.mul.Tensor", [1.0, 0.0], 0.0),
        (Bool, "aten.bitwise_and.Tensor", [1.0, 1.0], 1.0),
        (Bool, "aten.bitwise_xor.Tensor", [1.0, 1.0], 0.0),
        (Bool, "aten.logical_or.default", [0.0, 1.0], 1.0),
    ];
    for (dtype, op, [a, b], want) in cases {
        let (x, y) = (Array::scalar(*dtype, *a), Array::scalar(*dtype, *b));
        let Some(got) = call(op, &x, &y, plain(*dtype), plain(*dtype)).run() else {
            return;
        };
        assert_close(op, &got, &Array::scalar(*dtype, *want), EXACT);
    }
}

#[test]
fn integers_and_floats_meet_in_floats() {
    let x = Array::new(F32, &[3], &[0.5, -1.25, 3.0]);
    let n = Array::scalar(I32, 2.0);
    let args = vec![Arg::input(plain(F32), &x), Arg::Constant(n.clone())];
    let call_of = |op| Call {
        op,
        args: args.clone(),
        output: plain(F32),
        dims: vec![3],
    };
    let Some(got) = call_of("aten.mul.Tensor").run() else {
        return;
    };
    assert_close(
        "mul",
        &got,
        &elementwise(F32, &[&x], &|x| x[0] * 2.0),
        EXACT,
    );
    let Some(got) = call_of("aten.pow.Tensor_Tensor").run() else {
        return;
    };
    assert_close(
        "pow",
        &got,
        &elementwise(F32, &[&x], &|x| x[0] * x[0]),
        FINE,
    );
    // An integer tensor and a fraction.
    let k = Array::new(I32, &[3], &[1.0, -2.0, 5.0]);
    let args = vec![Arg::input(plain(I32), &k), Arg::Double(0.5)];
    let call = Call {
        op: "aten.mul.Scalar",
        args,
        output: plain(F32),
        dims: vec![3],
    };
    let Some(got) = call.run() else { return };
    assert_close(
        "mul",
        &got,
        &elementwise(F32, &[&k], &|x| x[0] * 0.5),
        EXACT,
    );
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
