use super::binary::{call, single, FINE};
use super::reference::{assert_close, elementwise, Array, EXACT};
use super::run::{plain, Arg, Call};
use etvk::core::tensor::DType::{self, Bool, F32, I32, I8, U8};

#[test]
fn integers_stay_integers() {
    let values = [
        0.0,
        1.0,
        -1.0,
        7.0,
        -7.0,
        127.0,
        46341.0,
        16_777_217.0,
        -2_147_483_647.0,
    ];
    let x = Array::new(I32, &[9], &values);
    type Case = (&'static str, &'static [Arg], fn(i32) -> i32);
    let cases: &[Case] = &[
        ("aten.abs.default", &[], i32::wrapping_abs),
        ("aten.neg.default", &[], i32::wrapping_neg),
        ("aten.relu.default", &[], |x| x.max(0)),
        (
            "aten.clamp.default",
            &[Arg::Int(-3), Arg::Int(16_777_217)],
            |x| x.clamp(-3, 16_777_217),
        ),
        ("aten.clamp.default", &[Arg::Double(-3.0), Arg::None], |x| {
            x.max(-3)
        }),
        ("aten.clamp.default", &[Arg::None, Arg::Int(1 << 40)], |x| x),
        ("aten.hardtanh.default", &[Arg::Int(-2), Arg::Int(2)], |x| {
            x.clamp(-2, 2)
        }),
        ("aten.round.default", &[], |x| x),
        ("aten.sign.default", &[], i32::signum),
        ("aten.square.default", &[], |x| x.wrapping_mul(x)),
        ("aten.bitwise_not.default", &[], |x| !x),
    ];
    for (op, args, reference) in cases {
        let mut all = vec![Arg::input(plain(I32), &x)];
        all.extend(args.iter().cloned());
        let Some(got) = (Call {
            op,
            args: all,
            output: plain(I32),
            dims: vec![9],
        })
        .run() else {
            return;
        };
        let want = elementwise(I32, &[&x], &|x| f64::from(reference(x[0] as i32)));
        assert_close(op, &got, &want, EXACT);
    }
}

#[test]
fn narrow_integers_wrap_in_their_own_width() {
    let cases: &[(DType, &'static str, &[f64], &[f64])] = &[
        (
            U8,
            "aten.neg.default",
            &[0.0, 1.0, 200.0],
            &[0.0, 255.0, 56.0],
        ),
        (
            U8,
            "aten.bitwise_not.default",
            &[0.0, 1.0, 200.0],
            &[255.0, 254.0, 55.0],
        ),
        (
            I8,
            "aten.neg.default",
            &[-128.0, 1.0, 100.0],
            &[-128.0, -1.0, -100.0],
        ),
        (
            I8,
            "aten.square.default",
            &[12.0, 3.0, -16.0],
            &[-112.0, 9.0, 0.0],
        ),
        (
            Bool,
            "aten.bitwise_not.default",
            &[0.0, 1.0, 1.0],
            &[1.0, 0.0, 0.0],
        ),
        (
            Bool,
            "aten.logical_not.default",
            &[0.0, 1.0, 1.0],
            &[1.0, 0.0, 0.0],
        ),
    ];
    for (dtype, op, values, want) in cases {
        let x = Array::new(*dtype, &[3], values);
        let args = vec![Arg::input(plain(*dtype), &x)];
        let Some(got) = (Call {
            op,
            args,
            output: plain(*dtype),
            dims: vec![3],
        })
        .run() else {
            return;
        };
        assert_close(op, &got, &Array::new(*dtype, &[3], want), EXACT);
    }
}

#[test]
fn integers_through_float_functions() {
    let x = Array::new(I32, &[5], &[0.0, 1.0, -3.0, 10.0, 80.0]);
    let args = vec![Arg::input(plain(I32), &x)];
    let call = Call {
        op: "aten.exp.default",
        args,
        output: plain(F32),
        dims: vec![5],
    };
    let Some(got) = call.run() else { return };
    assert_close("exp", &got, &elementwise(F32, &[&x], &|x| x[0].exp()), FINE);
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
