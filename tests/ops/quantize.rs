//! Every scale is a power of two, so that the f64 reference is exact and ties are ties.

use super::fed::{element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{F32, I32, I8, U8};

const INTEGERS: Typed = plain(I8);
const DIMS: [u32; 4] = [2, 8, 5, 7];

/// The integer of `value`, rounded half to even.
fn quantized(value: f64, scale: f64, zero: i64, [low, high]: [i64; 2]) -> f64 {
    let n = (value / scale).round_ties_even() + zero as f64;
    n.clamp(low as f64, high as f64)
}

fn byte(value: f64, scale: f64, zero: i64) -> f64 {
    quantized(value, scale, zero, [-128, 127])
}

#[test]
fn numbers_become_integers() {
    for typed in FLOATS {
        for (to, range, zero) in [
            (I8, [-128, 127], 3),
            (I8, [-127, 100], -128),
            (U8, [0, 255], 128),
            (I32, [-1000, 1000], 0),
        ] {
            for scale in [0.125, 0.015625] {
                // Odd multiples of half a step are ties.
                let ties = made(typed.host, &DIMS, |i| {
                    f64::from(i[1] * 35 + i[2] * 7 + i[3]) * 0.0078125 - 1.0
                });
                for x in [random(typed, &DIMS, 1), ties] {
                    let want = made(to, &DIMS, |i| quantized(element(&x, i), scale, zero, range));
                    let args = vec![
                        Arg::In(0),
                        Arg::Double(scale),
                        Arg::Int(zero),
                        Arg::Int(range[0]),
                        Arg::Int(range[1]),
                        Arg::None,
                    ];
                    let op = "quantized_decomposed.quantize_per_tensor.default";
                    let call = Fed::new(op, &[(typed, &x)], args, plain(to), &DIMS);
                    if call.check(&[&want], EXACT).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn integers_become_numbers() {
    for typed in FLOATS {
        for zero in [-128, 0, 17] {
            let x = random(INTEGERS, &DIMS, 2);
            let want = made(typed.host, &DIMS, |i| {
                (element(&x, i) - zero as f64) * 0.0625
            });
            let mut args = vec![Arg::In(0), Arg::Double(0.0625), Arg::Int(zero)];
            args.extend([Arg::Int(-128), Arg::Int(127), Arg::None, Arg::None]);
            let op = "quantized_decomposed.dequantize_per_tensor.default";
            let call = Fed::new(op, &[(INTEGERS, &x)], args, typed, &DIMS);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn integers_become_numbers_by_channel() {
    for typed in FLOATS {
        for axis in 0..4usize {
            for with_zeros in [true, false] {
                let x = random(INTEGERS, &DIMS, 2);
                let scale = |c: u32| 0.5f64.powi(c as i32 % 3 + 2);
                let zero = |c: u32| if with_zeros { f64::from(c) - 3.0 } else { 0.0 };
                let want = made(typed.host, &DIMS, |i| {
                    (element(&x, i) - zero(i[axis])) * scale(i[axis])
                });
                let padded = [DIMS[axis].next_multiple_of(4)];
                let scales = made(typed.graph, &padded, |i| scale(i[0]));
                let mut args = vec![Arg::In(0), Arg::Constant(scales)];
                args.push(match with_zeros {
                    true => Arg::Constant(made(I32, &padded, |i| zero(i[0]))),
                    false => Arg::None,
                });
                args.extend([Arg::Int(axis as i64 - 4), Arg::Int(-127), Arg::Int(127)]);
                args.extend([Arg::None, Arg::None]);
                let op = "quantized_decomposed.dequantize_per_channel.default";
                let call = Fed::new(op, &[(INTEGERS, &x)], args, typed, &DIMS);
                if call.check(&[&want], EXACT).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn sums_of_integers_with_scales_of_their_own() {
    for alpha in [1.0, -2.0] {
        for dims in [&DIMS[..], &[1, 8, 1, 7], &[7]] {
            let (a, b) = (random(INTEGERS, &DIMS, 3), random(INTEGERS, dims, 4));
            let lead = DIMS.len() - dims.len();
            let want = made(I8, &DIMS, |i| {
                let at: Vec<u32> = (0..dims.len()).map(|d| i[lead + d] % dims[d]).collect();
                let left = (element(&a, i) - 5.0) * 0.25;
                byte(left + alpha * (element(&b, &at) + 9.0) * 0.125, 0.5, -3)
            });
            let mut args = vec![Arg::In(0), Arg::In(1)];
            for (scale, zero) in [(0.25, 5), (0.125, -9), (0.5, -3)] {
                args.extend([Arg::Double(scale), Arg::Int(zero)]);
            }
            args.push(Arg::Double(alpha));
            let inputs = [(INTEGERS, &a), (INTEGERS, &b)];
            let call = Fed::new("et_vk.q8ta_add.default", &inputs, args, INTEGERS, &DIMS);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn relu_and_pixel_shuffle_change_the_scale() {
    let x = random(INTEGERS, &DIMS, 5);
    for (scale, zero) in [(0.25, 4), (0.5, 4), (0.25, -128), (0.125, 20)] {
        let number = |at: &[u32]| (element(&x, at) - 4.0) * 0.25;
        let args = |to: f64| {
            let mut args = vec![Arg::In(0)];
            for (scale, zero) in [(0.25, 4), (to, zero)] {
                args.extend([Arg::Double(scale), Arg::Int(zero)]);
            }
            args
        };
        let want = made(I8, &DIMS, |i| byte(number(i).max(0.0), scale, zero));
        let inputs = [(INTEGERS, &x)];
        let call = Fed::new(
            "et_vk.q8ta_relu.default",
            &inputs,
            args(scale),
            INTEGERS,
            &DIMS,
        );
        if call.check(&[&want], EXACT).is_none() {
            return;
        }
        let out = [2u32, 2, 10, 14];
        let want = made(I8, &out, |i| {
            let c = i[1] * 4 + i[2] % 2 * 2 + i[3] % 2;
            byte(number(&[i[0], c, i[2] / 2, i[3] / 2]), scale, zero)
        });
        // Here the result's scale comes inverted.
        let mut list = args(1.0 / scale);
        list.push(Arg::Int(2));
        let op = "et_vk.q8ta_pixel_shuffle.default";
        Fed::new(op, &inputs, list, INTEGERS, &out).check(&[&want], EXACT);
    }
}

#[test]
fn impossible_scales_and_types_are_refused() {
    let x = random(plain(F32), &[4], 6);
    let refused = |scale: f64, zero: i64, high: i64, to: Typed, word: &str| {
        let mut args = vec![Arg::In(0), Arg::Double(scale), Arg::Int(zero)];
        args.extend([Arg::Int(-128), Arg::Int(high), Arg::None]);
        let op = "quantized_decomposed.quantize_per_tensor.default";
        let call = Fed::new(op, &[(plain(F32), &x)], args, to, &[4]);
        let Some(error) = call.refused() else { return };
        assert!(error.message.contains(word), "{}", error.message);
    };
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-40, 1e300] {
        refused(scale, 0, 127, INTEGERS, "quantization by");
    }
    refused(1.0, 1 << 40, 127, INTEGERS, "zero point");
    refused(1.0, 0, 128, INTEGERS, "128");
    refused(1.0, 0, -129, INTEGERS, "-129");
    refused(1.0, 0, 127, plain(U8), "U8");
    refused(1.0, 0, 127, plain(F32), "F32");
    let x = Array::new(F32, &[0], &[]);
    let mut args = vec![Arg::In(0), Arg::Double(1.0), Arg::Int(0)];
    args.extend([Arg::Int(-128), Arg::Int(127), Arg::None]);
    let op = "quantized_decomposed.quantize_per_tensor.default";
    let empty = Fed::new(op, &[(plain(F32), &x)], args, INTEGERS, &[0]);
    empty.check(&[&Array::new(I8, &[0], &[])], EXACT);
}
