use super::binary::{call, pairs};
use super::reference::{assert_close, elementwise, Array, EXACT};
use super::run::{plain, Arg, Call, FORCED_HALF};
use etvk::core::tensor::DType::{Bool, F32, I32, I8, U8};

type Compare = fn(f64, f64) -> bool;

const COMPARISONS: &[(&str, Compare)] = &[
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

fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
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

/// PyTorch takes the low eight bits of the number.
#[test]
fn numbers_wrap_to_eight_bits() {
    let (bytes, signed) = (
        [0.0, 1.0, 44.0, 200.0, 255.0],
        [-128.0, -1.0, 0.0, 44.0, 127.0],
    );
    for number in [300i64, 256, 257, -1, -129, 1 << 40, i64::MIN + 1] {
        for (dtype, values, n) in [
            (U8, bytes, f64::from(number as u8)),
            (I8, signed, f64::from(number as i8)),
        ] {
            let x = Array::new(dtype, &[5], &values);
            for (op, function) in [
                ("aten.lt.Scalar", (|a, b| a < b) as Compare),
                ("aten.eq.Scalar", |a, b| a == b),
            ] {
                let call = Call {
                    op,
                    args: vec![Arg::input(plain(dtype), &x), Arg::Int(number)],
                    output: plain(Bool),
                    dims: x.dims.clone(),
                };
                let Some(got) = call.run() else { return };
                let want = elementwise(Bool, &[&x], &|x| flag(function(x[0], n)));
                assert_close(&format!("{op} {dtype:?} {number}"), &got, &want, EXACT);
            }
        }
    }
}
