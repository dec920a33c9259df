//! Numbers below the smallest normal one, also on devices that flush them: what moves, compares or
//! rounds must see them. What computes with them may take them for zero.

use super::fed::{element, made, Arg, Fed};
use super::reference::{elementwise, relative, Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{Bool, F16, F32, I32};

/// A function of one number, and of two.
type Unary = fn(f64) -> f64;
type Binary = fn(f64, f64) -> f64;

/// Smallest normal numbers of fp32 and fp16.
const TYPES: [(Typed, f64); 2] = [
    (plain(F32), f64::from_bits(0x3810_0000_0000_0000)),
    (plain(F16), f64::from_bits(0x3f10_0000_0000_0000)),
];

/// [1, 4, 2, 2]; `normal` is the smallest normal number.
fn tiny(typed: Typed, normal: f64) -> Array {
    let parts = [
        0.5, -0.5, 0.25, -0.25, 0.75, 0.7, -0.7, 0.0, 1.0, -1.0, 0.125, 0.3, -0.3, 2.0, 0.01, -0.01,
    ];
    let values: Vec<f64> = parts.iter().map(|p| p * normal).collect();
    Array::new(typed.graph, &[1, 4, 2, 2], &values)
}

/// Where element `index` of a result comes from; `None`: from nowhere, it is 0.
type Source = fn(&[u32]) -> Option<Vec<u32>>;

struct Move {
    op: &'static str,
    rest: Vec<Arg>,
    dims: &'static [u32],
    source: Source,
}

fn ints(list: &[i64]) -> Arg {
    Arg::Ints(list.to_vec())
}

fn moves() -> Vec<Move> {
    let of = |op, rest, dims, source: Source| Move {
        op,
        rest,
        dims,
        source,
    };
    vec![
        of(
            "aten.permute_copy.default",
            vec![ints(&[0, 2, 3, 1])],
            &[1, 2, 2, 4],
            |i| Some(vec![i[0], i[3], i[1], i[2]]),
        ),
        of("aten.flip.default", vec![ints(&[1])], &[1, 4, 2, 2], |i| {
            Some(vec![i[0], 3 - i[1], i[2], i[3]])
        }),
        of(
            "aten.slice_copy.Tensor",
            vec![Arg::Int(1), Arg::Int(1), Arg::Int(4), Arg::Int(2)],
            &[1, 2, 2, 2],
            |i| Some(vec![i[0], 1 + 2 * i[1], i[2], i[3]]),
        ),
        of(
            "aten.repeat.default",
            vec![ints(&[1, 2, 1, 1])],
            &[1, 8, 2, 2],
            |i| Some(vec![i[0], i[1] % 4, i[2], i[3]]),
        ),
        of(
            "aten.constant_pad_nd.default",
            vec![ints(&[1, 0]), Arg::Double(0.0)],
            &[1, 4, 2, 3],
            |i| Some(vec![i[0], i[1], i[2], i[3].checked_sub(1)?]),
        ),
        of(
            "aten.pixel_shuffle.default",
            vec![Arg::Int(2)],
            &[1, 1, 4, 4],
            |i| Some(vec![0, i[2] % 2 * 2 + i[3] % 2, i[2] / 2, i[3] / 2]),
        ),
        of(
            "aten.upsample_nearest2d.vec",
            vec![ints(&[4, 4]), Arg::None],
            &[1, 4, 4, 4],
            |i| Some(vec![i[0], i[1], i[2] / 2, i[3] / 2]),
        ),
        of(
            "aten.view_copy.default",
            vec![ints(&[1, 2, 4, 2])],
            &[1, 2, 4, 2],
            |i| Some(vec![0, i[1] * 2 + i[2] / 2, i[2] % 2, i[3]]),
        ),
    ]
}

#[test]
fn moves_keep_them() {
    for (typed, normal) in TYPES {
        let x = tiny(typed, normal);
        for step in moves() {
            let want = made(typed.host, step.dims, |i| {
                (step.source)(i).map_or(0.0, |from| element(&x, &from))
            });
            let args = [vec![Arg::In(0)], step.rest].concat();
            let call = Fed::new(step.op, &[(typed, &x)], args, typed, step.dims);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn choices_and_picks_keep_them() {
    for (typed, normal) in TYPES {
        let x = tiny(typed, normal);
        let turned = made(typed.host, &x.dims, |i| {
            element(&x, &[0, 3 - i[1], i[2], i[3]])
        });
        let chosen = made(Bool, &x.dims, |i| f64::from((i[1] + i[2] + i[3]) % 2));
        let want = made(typed.host, &x.dims, |i| {
            let from = if element(&chosen, i) == 1.0 {
                &x
            } else {
                &turned
            };
            element(from, i)
        });
        let inputs = [(plain(Bool), &chosen), (typed, &x), (typed, &turned)];
        let args = vec![Arg::In(0), Arg::In(1), Arg::In(2)];
        let call = Fed::new("aten.where.self", &inputs, args, typed, &x.dims);
        if call.check(&[&want], EXACT).is_none() {
            return;
        }
        let at = Array::new(I32, &[2], &[3.0, 1.0]);
        let want = made(typed.host, &[1, 2, 2, 2], |i| {
            element(&x, &[0, 3 - 2 * i[1], i[2], i[3]])
        });
        let args = vec![Arg::In(0), Arg::Int(1), Arg::In(1)];
        let inputs = [(typed, &x), (plain(I32), &at)];
        let op = "aten.index_select.default";
        Fed::new(op, &inputs, args, typed, &want.dims).check(&[&want], EXACT);
        let want = made(typed.host, &[1, 8, 2, 2], |i| {
            let from = if i[1] < 4 { &x } else { &turned };
            element(from, &[0, i[1] % 4, i[2], i[3]])
        });
        let args = vec![Arg::Ins(vec![Some(0), Some(1)]), Arg::Int(1)];
        let inputs = [(typed, &x), (typed, &turned)];
        Fed::new("aten.cat.default", &inputs, args, typed, &want.dims).check(&[&want], EXACT);
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 {
        0.0
    } else {
        x.signum()
    }
}

fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}

#[test]
fn functions_of_one_operand_see_them() {
    type Function = fn(f64) -> f64;
    let numbers: &[(&str, Function)] = &[
        ("aten.abs.default", f64::abs),
        ("aten.neg.default", |x| -x),
        ("aten.relu.default", |x| x.max(0.0)),
        ("aten.sign.default", sign),
        ("aten.floor.default", f64::floor),
        ("aten.ceil.default", f64::ceil),
        ("aten.trunc.default", f64::trunc),
        ("aten.round.default", f64::round_ties_even),
    ];
    for (typed, normal) in TYPES {
        let x = tiny(typed, normal);
        for (op, function) in numbers {
            let want = elementwise(typed.host, &[&x], &|x| function(x[0]));
            let call = Fed::new(op, &[(typed, &x)], vec![Arg::In(0)], typed, &x.dims);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
        let zero = elementwise(Bool, &[&x], &|x| flag(x[0] == 0.0));
        let op = "aten.logical_not.default";
        let call = Fed::new(op, &[(typed, &x)], vec![Arg::In(0)], plain(Bool), &x.dims);
        call.check(&[&zero], EXACT);
        let set = elementwise(Bool, &[&x], &|x| flag(x[0] != 0.0));
        let op = "dim_order_ops._to_dim_order_copy.default";
        let args = vec![Arg::In(0), Arg::None, Arg::Bool(false), Arg::None];
        Fed::new(op, &[(typed, &x)], args, plain(Bool), &x.dims).check(&[&set], EXACT);
    }
}

/// Their roots are normal numbers.
#[test]
fn roots_see_them() {
    let (typed, normal) = TYPES[0];
    let x = tiny(typed, normal);
    let roots: [(&str, Unary); 2] = [
        ("aten.sqrt.default", f64::sqrt),
        ("aten.rsqrt.default", |x| 1.0 / x.sqrt()),
    ];
    for (op, function) in roots {
        let want = elementwise(F32, &[&x], &|x| function(x[0]));
        let call = Fed::new(op, &[(typed, &x)], vec![Arg::In(0)], typed, &x.dims);
        if call.check(&[&want], relative(1e-6)).is_none() {
            return;
        }
    }
}

#[test]
fn comparisons_see_them() {
    type Compare = fn(f64, f64) -> bool;
    let comparisons: &[(&str, Compare)] = &[
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
    let larger: &[(&str, Binary)] = &[
        ("aten.minimum.default", f64::min),
        ("aten.maximum.default", f64::max),
    ];
    let both = || vec![Arg::In(0), Arg::In(1)];
    for (typed, normal) in TYPES {
        let x = Array::new(typed.graph, &[16, 1], &tiny(typed, normal).values);
        let y = Array::new(typed.graph, &[1, 16], &x.values);
        let inputs = [(typed, &x), (typed, &y)];
        for (op, function) in comparisons {
            let want = elementwise(Bool, &[&x, &y], &|x| flag(function(x[0], x[1])));
            let call = Fed::new(op, &inputs, both(), plain(Bool), &[16, 16]);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
        for (op, function) in larger {
            let want = elementwise(typed.host, &[&x, &y], &|x| function(x[0], x[1]));
            Fed::new(op, &inputs, both(), typed, &[16, 16]).check(&[&want], EXACT);
        }
    }
}

/// A remainder takes the divisor's sign, however small it is.
#[test]
fn signs_see_them() {
    let typed = plain(F32);
    let x = Array::new(F32, &[4], &[1e-40, -1e-40, -1e-40, 5.0]);
    let y = Array::new(F32, &[4], &[-1.0, 1.0, 3.0, 3.0]);
    let want = Array::new(F32, &[4], &[-1.0, 1.0, 3.0, 2.0]);
    let args = vec![Arg::In(0), Arg::In(1)];
    let op = "aten.remainder.Tensor";
    if Fed::new(op, &[(typed, &x), (typed, &y)], args, typed, &[4])
        .check(&[&want], EXACT)
        .is_none()
    {
        return;
    }
    let zero = Array::new(F32, &[2], &[0.0, 0.0]);
    let power = Array::new(F32, &[2], &[1e-40, -1e-40]);
    let want = Array::new(F32, &[2], &[0.0, f64::INFINITY]);
    let args = vec![Arg::In(0), Arg::In(1)];
    let inputs = [(typed, &zero), (typed, &power)];
    Fed::new("aten.pow.Tensor_Tensor", &inputs, args, typed, &[2]).check(&[&want], EXACT);
}
