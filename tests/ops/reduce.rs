use super::fed::{allow, element, made, random, Arg, Fed, FLOATS};
use super::reference::{indices, Array, Tolerance, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{Bool, F32, I32};

/// What `reduce` makes of each row, the elements in row-major order; -1 of `dims` counts from the
/// back, no dims are all.
fn rows(x: &Array, dims: &[i64], keep: bool, reduce: &dyn Fn(&[f64]) -> f64) -> Array {
    let rank = x.dims.len() as i64;
    let reduced: Vec<usize> = dims.iter().map(|d| ((d + rank) % rank) as usize).collect();
    let gone = |d: &usize| reduced.is_empty() || reduced.contains(d);
    let all = 0..x.dims.len();
    let size = |d: usize| if gone(&d) { 1 } else { x.dims[d] };
    let kept: Vec<u32> = all.clone().map(size).collect();
    let row: Vec<u32> = all
        .clone()
        .map(|d| if gone(&d) { x.dims[d] } else { 1 })
        .collect();
    let inside = indices(&row);
    let values: Vec<f64> = indices(&kept)
        .iter()
        .map(|at| {
            let one = |i: &Vec<u32>| {
                let index: Vec<u32> = i.iter().zip(at).map(|(i, at)| i + at).collect();
                element(x, &index)
            };
            reduce(&inside.iter().map(one).collect::<Vec<f64>>())
        })
        .collect();
    let mut out = kept;
    if !keep {
        let mut d = 0..;
        out.retain(|_| !gone(&d.next().expect("endless")));
    }
    Array::new(x.dtype, &out, &values)
}

/// Rounding of a sum of `count` numbers within 4 of 0: sequential over at most 32 of them or a
/// 128th (fp32 steps of 2^-24 relative to the partial sum), then a tree of 7 levels.
fn of_sum(count: usize) -> f64 {
    let depth = count.min(32) + count / 128 + 7;
    depth as f64 * 2f64.powi(-24) * 4.0 * count as f64
}

fn largest(row: &[f64]) -> f64 {
    row.iter().fold(f64::NEG_INFINITY, |a, &b| {
        if a.is_nan() || b.is_nan() {
            f64::NAN
        } else {
            a.max(b)
        }
    })
}

fn smallest(row: &[f64]) -> f64 {
    -largest(&row.iter().map(|x| -x).collect::<Vec<_>>())
}

/// The first of the largest; the first NaN before all.
fn position(row: &[f64]) -> f64 {
    let top = largest(row);
    row.iter()
        .position(|&x| x == top || x.is_nan())
        .expect("not empty") as f64
}

const CASES: &[(&[u32], &[&[i64]])] = &[
    (
        &[2, 6, 5, 7],
        &[
            &[0],
            &[1],
            &[2],
            &[3],
            &[-1, -2],
            &[0, 1],
            &[1, 3],
            &[0, 2, 3],
            &[],
        ],
    ),
    (&[1, 3, 37, 41], &[&[2, 3], &[1], &[3], &[]]),
    (&[3, 8, 9, 11], &[&[1], &[-1, -2], &[2]]),
    (&[5, 331], &[&[0], &[1], &[]]),
    (&[331, 5], &[&[0], &[1]]),
    (&[17], &[&[0], &[]]),
    (&[2, 3, 2, 3, 2], &[&[0, 2, 4], &[1, 3]]),
    (&[], &[&[]]),
];

#[test]
fn sums_and_means_over_any_dims() {
    for &(dims, lists) in CASES {
        for &list in lists {
            for keep in [true, false] {
                for typed in FLOATS {
                    let x = random(typed, dims, 11);
                    let rest = [Arg::Ints(list.to_vec()), Arg::Bool(keep), Arg::None];
                    let args = [&[Arg::In(0)][..], &rest].concat();
                    let count = std::cell::Cell::new(1);
                    let total = rows(&x, list, keep, &|row| {
                        count.set(row.len());
                        row.iter().sum()
                    });
                    let count = count.get();
                    let sum = Tolerance {
                        relative: 0.0,
                        absolute: of_sum(count),
                    };
                    let call = Fed::new(
                        "aten.sum.dim_IntList",
                        &[(typed, &x)],
                        args.clone(),
                        typed,
                        &total.dims,
                    );
                    if call.check(&[&total], allow(typed, sum)).is_none() {
                        return;
                    }
                    let mean = rows(&x, list, keep, &|row| {
                        row.iter().sum::<f64>() / row.len() as f64
                    });
                    let absolute = of_sum(count) / count as f64 + 1e-6;
                    let call = Fed::new("aten.mean.dim", &[(typed, &x)], args, typed, &mean.dims);
                    call.check(
                        &[&mean],
                        allow(
                            typed,
                            Tolerance {
                                relative: 0.0,
                                absolute,
                            },
                        ),
                    );
                }
            }
        }
    }
}

#[test]
fn extremes_over_any_dims() {
    for &(dims, lists) in CASES {
        for &list in lists {
            for keep in [true, false] {
                for typed in [FLOATS[0], FLOATS[1], plain(I32)] {
                    let x = random(typed, dims, 12);
                    let args = vec![Arg::In(0), Arg::Ints(list.to_vec()), Arg::Bool(keep)];
                    for (op, reduce) in [
                        ("aten.amax.default", &largest as &dyn Fn(&[f64]) -> f64),
                        ("aten.amin.default", &smallest),
                    ] {
                        let want = rows(&x, list, keep, reduce);
                        let call = Fed::new(op, &[(typed, &x)], args.clone(), typed, &want.dims);
                        if call.check(&[&want], EXACT).is_none() {
                            return;
                        }
                    }
                }
            }
        }
    }
}

fn check_positions(x: &Array, typed: Typed, dim: Option<i64>, keep: bool) -> Option<()> {
    let list: Vec<i64> = dim.into_iter().collect();
    let args = vec![Arg::In(0), dim.map_or(Arg::None, Arg::Int), Arg::Bool(keep)];
    let lowest = |row: &[f64]| position(&row.iter().map(|x| -x).collect::<Vec<_>>());
    for (op, reduce) in [
        ("aten.argmax.default", &position as &dyn Fn(&[f64]) -> f64),
        ("aten.argmin.default", &lowest),
    ] {
        let mut want = rows(x, &list, keep, reduce);
        want.dtype = I32;
        Fed::new(op, &[(typed, x)], args.clone(), plain(I32), &want.dims).check(&[&want], EXACT)?;
    }
    Some(())
}

#[test]
fn positions_along_every_dim_and_over_all() {
    for dims in [&[2u32, 6, 5, 7][..], &[1, 3, 37, 41], &[5, 331], &[331, 5]] {
        for dim in (0..dims.len() as i64).map(Some).chain([Some(-1), None]) {
            for keep in [true, false] {
                for typed in [FLOATS[0], FLOATS[1], plain(I32)] {
                    // Few different numbers, so that the first of several counts.
                    let x = random(typed, dims, 13);
                    let values: Vec<f64> = x.values.iter().map(|x| (x / 2.0).round()).collect();
                    let x = Array::new(typed.host, dims, &values);
                    if check_positions(&x, typed, dim, keep).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn special_values() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let rows_of = [
        [1.0, nan, 5.0, nan, -inf],
        [-inf, -inf, -inf, -inf, -inf],
        [inf, inf, 1.0, 0.0, 2.0],
        [-0.0, 0.0, -0.0, 0.0, 0.0],
        [1e-40, 2e-40, 3e-40, -1e-40, 0.0],
    ];
    let x = Array::new(F32, &[5, 5], &rows_of.concat());
    for (dim, keep) in [(Some(0), true), (Some(1), false), (None, false)] {
        if check_positions(&x, plain(F32), dim, keep).is_none() {
            return;
        }
    }
    let typed = plain(F32);
    for list in [&[0i64][..], &[1]] {
        let args = vec![Arg::In(0), Arg::Ints(list.to_vec()), Arg::Bool(false)];
        let want = rows(&x, list, false, &largest);
        Fed::new("aten.amax.default", &[(typed, &x)], args, typed, &[5]).check(&[&want], EXACT);
        let args = vec![
            Arg::In(0),
            Arg::Ints(list.to_vec()),
            Arg::Bool(false),
            Arg::None,
        ];
        let want = rows(&x, list, false, &|row| row.iter().sum());
        // Denormals may be flushed to zero.
        let tiny = Tolerance {
            relative: 1e-6,
            absolute: 1.2e-38,
        };
        let call = Fed::new("aten.sum.dim_IntList", &[(typed, &x)], args, typed, &[5]);
        call.check(&[&want], tiny);
    }
}

#[test]
fn integers_keep_all_their_bits() {
    let x = Array::new(I32, &[3], &[16_777_217.0, 16_777_216.0, -2_147_483_648.0]);
    if check_positions(&x, plain(I32), Some(0), true).is_none() {
        return;
    }
    let call = |op, rest: &[Arg]| {
        let args = [
            &[Arg::In(0), Arg::Ints(vec![0]), Arg::Bool(false)][..],
            rest,
        ]
        .concat();
        Fed::new(op, &[(plain(I32), &x)], args, plain(I32), &[])
    };
    let scalar = |n: f64| Array::scalar(I32, n);
    call("aten.amax.default", &[]).check(&[&scalar(16_777_217.0)], EXACT);
    call("aten.amin.default", &[]).check(&[&scalar(-2_147_483_648.0)], EXACT);
    call("aten.sum.dim_IntList", &[Arg::None]).check(&[&scalar(-2_113_929_215.0)], EXACT);
    let flags = Array::new(Bool, &[5], &[1.0, 0.0, 1.0, 1.0, 0.0]);
    let args = vec![Arg::In(0), Arg::Ints(vec![]), Arg::Bool(false), Arg::None];
    let call = Fed::new(
        "aten.sum.dim_IntList",
        &[(plain(Bool), &flags)],
        args,
        plain(I32),
        &[],
    );
    let Some(got) = call.run(super::fed::Feed::Host) else {
        return;
    };
    assert_eq!(got[0].values, [3.0]);
}

#[test]
fn reductions_of_nothing() {
    let x = Array::new(F32, &[3, 0], &[]);
    let typed = plain(F32);
    let args = vec![Arg::In(0), Arg::Ints(vec![1]), Arg::Bool(false), Arg::None];
    let call = |op: &'static str| Fed::new(op, &[(typed, &x)], args.clone(), typed, &[3]);
    let zero = made(F32, &[3], |_| 0.0);
    if call("aten.sum.dim_IntList")
        .check(&[&zero], EXACT)
        .is_none()
    {
        return;
    }
    call("aten.mean.dim").check(&[&made(F32, &[3], |_| f64::NAN)], EXACT);
    let args = vec![Arg::In(0), Arg::Ints(vec![1]), Arg::Bool(false)];
    let amax = Fed::new("aten.amax.default", &[(typed, &x)], args, typed, &[3]);
    let Some(error) = amax.refused() else { return };
    assert!(error.message.contains("[3, 0]"), "{}", error.message);
}
