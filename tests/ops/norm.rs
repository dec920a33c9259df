use super::fed::{allow, element, made, random, Arg, Fed, FLOATS};
use super::reference::{indices, Array, Tolerance};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::F32;

const EPSILON: f64 = 1e-5;

/// fp32: means of numbers within 4, then a division by a deviation near 2; the weight is within 4.
const NORM: Tolerance = Tolerance {
    relative: 4e-6,
    absolute: 1e-5,
};

/// Results of order 10 from parameters in fp16, all exact; the result rounds once.
fn tolerance(typed: Typed) -> Tolerance {
    allow(typed, NORM)
}

/// Mean and reciprocal deviation of the elements that share `row(index)`.
fn statistics(x: &Array, row: &dyn Fn(&[u32]) -> usize, count: usize) -> Vec<[f64; 2]> {
    let all = indices(&x.dims);
    (0..count)
        .map(|r| {
            let own: Vec<f64> = all
                .iter()
                .filter(|i| row(i) == r)
                .map(|i| element(x, i))
                .collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / own.len() as f64;
            [mean, 1.0 / (variance + EPSILON).sqrt()]
        })
        .collect()
}

/// How weight and bias are given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Affine {
    None,
    Constant,
    Input,
}

/// Arguments for weight and bias, and the inputs that they need.
fn affine(how: Affine, given: &[&Array; 2], first: usize) -> Vec<Arg> {
    (0..2)
        .map(|k| match how {
            Affine::None => Arg::None,
            Affine::Constant => Arg::Constant(given[k].clone()),
            Affine::Input => Arg::In(first + k),
        })
        .collect()
}

fn flat(index: &[u32], dims: &[u32]) -> usize {
    index
        .iter()
        .zip(dims)
        .fold(0, |f, (&i, &d)| f * d as usize + i as usize)
}

#[test]
fn layer_norm_over_trailing_dims() {
    let cases: &[(&[u32], usize)] = &[
        (&[1, 5, 8], 1),
        (&[2, 6, 5, 7], 1),
        (&[2, 6, 5, 7], 3),
        (&[2, 6, 5, 7], 2),
        (&[3, 331], 1),
        (&[7], 1),
        (&[2, 3, 2, 3, 5], 2),
    ];
    for &(dims, over) in cases {
        let lead = dims.len() - over;
        let trailing = &dims[lead..];
        let sizes = Arg::Ints(trailing.iter().map(|&d| d.into()).collect());
        for typed in FLOATS {
            for how in [Affine::None, Affine::Constant, Affine::Input] {
                let x = random(typed, dims, 3);
                let [w, b] = [4, 5].map(|seed| random(plain(typed.graph), trailing, seed));
                let row = |i: &[u32]| flat(&i[..lead], &dims[..lead]);
                let count = dims[..lead].iter().product::<u32>() as usize;
                let stats = statistics(&x, &row, count);
                let want = made(typed.host, dims, |i| {
                    let [mean, rstd] = stats[row(i)];
                    let y = (element(&x, i) - mean) * rstd;
                    match how {
                        Affine::None => y,
                        _ => y * element(&w, &i[lead..]) + element(&b, &i[lead..]),
                    }
                });
                let mut row_dims = dims.to_vec();
                row_dims[lead..].fill(1);
                let part = |k: usize| {
                    let values: Vec<f64> = stats.iter().map(|s| s[k]).collect();
                    Array::new(typed.host, &row_dims, &values)
                };
                let mut args = vec![Arg::In(0), sizes.clone()];
                args.extend(affine(how, &[&w, &b], 1));
                args.push(Arg::Double(EPSILON));
                let mut inputs = vec![(typed, &x)];
                if how == Affine::Input {
                    inputs.extend([(plain(typed.graph), &w), (plain(typed.graph), &b)]);
                }
                let mut call =
                    Fed::new("aten.native_layer_norm.default", &inputs, args, typed, dims);
                call.list = true;
                let (mean, rstd) = (part(0), part(1));
                if how == Affine::None {
                    // The statistics are computed where somebody reads them.
                    call.outputs
                        .extend([(typed, row_dims.clone()), (typed, row_dims.clone())]);
                    let all = [&want, &mean, &rstd];
                    if call.check(&all, tolerance(typed)).is_none() {
                        return;
                    }
                } else if call.check(&[&want], tolerance(typed)).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn group_norm() {
    for (dims, groups) in [
        (&[1u32, 8, 4, 4][..], 2u32),
        (&[2, 6, 5, 7], 3),
        (&[2, 6, 5, 7], 1),
        (&[2, 6, 5, 7], 6),
        (&[3, 12, 11], 4),
        (&[4, 6], 2),
        (&[1, 4, 3, 2, 5], 2),
    ] {
        let (n, c) = (dims[0], dims[1]);
        let pixels: u32 = dims[2..].iter().product();
        for typed in FLOATS {
            for how in [Affine::None, Affine::Constant, Affine::Input] {
                let x = random(typed, dims, 6);
                let [w, b] = [7, 8].map(|seed| random(plain(typed.graph), &[c], seed));
                let row = |i: &[u32]| (i[0] * groups + i[1] / (c / groups)) as usize;
                let stats = statistics(&x, &row, (n * groups) as usize);
                let want = made(typed.host, dims, |i| {
                    let [mean, rstd] = stats[row(i)];
                    let y = (element(&x, i) - mean) * rstd;
                    match how {
                        Affine::None => y,
                        _ => y * element(&w, &i[1..2]) + element(&b, &i[1..2]),
                    }
                });
                let part = |k: usize| {
                    let values: Vec<f64> = stats.iter().map(|s| s[k]).collect();
                    Array::new(typed.host, &[n, groups], &values)
                };
                let mut args = vec![Arg::In(0)];
                args.extend(affine(how, &[&w, &b], 1));
                args.extend([n, c, pixels, groups].map(|k| Arg::Int(k.into())));
                args.push(Arg::Double(EPSILON));
                let mut inputs = vec![(typed, &x)];
                if how == Affine::Input {
                    inputs.extend([(plain(typed.graph), &w), (plain(typed.graph), &b)]);
                }
                let mut call =
                    Fed::new("aten.native_group_norm.default", &inputs, args, typed, dims);
                call.list = true;
                let (mean, rstd) = (part(0), part(1));
                call.outputs
                    .extend([(typed, vec![n, groups]), (typed, vec![n, groups])]);
                if call
                    .check(&[&want, &mean, &rstd], tolerance(typed))
                    .is_none()
                {
                    return;
                }
            }
        }
    }
}

#[test]
fn root_mean_square_norm() {
    for dims in [&[3u32, 17][..], &[2, 6, 5, 7], &[1, 331]] {
        for typed in FLOATS {
            let width = dims[dims.len() - 1];
            let x = random(typed, dims, 9);
            let w = random(plain(typed.graph), &[width], 10);
            let want = made(typed.host, dims, |i| {
                let mut at = i.clone();
                let squares = (0..width).map(|k| {
                    at[dims.len() - 1] = k;
                    element(&x, &at).powi(2)
                });
                let square = squares.sum::<f64>() / f64::from(width);
                element(&x, i) / (square + EPSILON).sqrt() * element(&w, &i[dims.len() - 1..])
            });
            let args = vec![Arg::In(0), Arg::Constant(w), Arg::Double(EPSILON)];
            let call = Fed::new("et_vk.rms_norm.default", &[(typed, &x)], args, typed, dims);
            if call.check(&[&want], tolerance(typed)).is_none() {
                return;
            }
        }
    }
}

#[test]
fn batch_norm_of_any_rank() {
    for dims in [
        &[2u32, 6, 5, 7][..],
        &[1, 8, 3, 3],
        &[3, 5],
        &[2, 5, 7],
        &[1, 3, 2, 5, 4],
    ] {
        for typed in FLOATS {
            for how in [Affine::None, Affine::Constant, Affine::Input] {
                let c = dims[1];
                let x = random(typed, dims, 20);
                let one = plain(typed.graph);
                let [w, b, mean] = [21, 22, 23].map(|seed| random(one, &[c], seed));
                let variance = random(one, &[c], 24);
                let values: Vec<f64> = variance.values.iter().map(|x| x.abs() + 0.25).collect();
                let variance = Array::new(typed.graph, &[c], &values);
                let want = made(typed.host, dims, |i| {
                    let at = &i[1..2];
                    let y = (element(&x, i) - element(&mean, at))
                        / (element(&variance, at) + EPSILON).sqrt();
                    match how {
                        Affine::None => y,
                        _ => y * element(&w, at) + element(&b, at),
                    }
                });
                let mut inputs = vec![(typed, &x)];
                let mut args = vec![Arg::In(0)];
                args.extend(affine(how, &[&w, &b], 1));
                if how == Affine::Input {
                    inputs.extend([&w, &b, &mean, &variance].map(|p| (one, p)));
                    args.extend([Arg::In(3), Arg::In(4)]);
                } else {
                    args.extend([Arg::Constant(mean.clone()), Arg::Constant(variance.clone())]);
                }
                args.extend([Arg::Double(0.1), Arg::Double(EPSILON)]);
                let op = "aten._native_batch_norm_legit_no_training.default";
                let mut call = Fed::new(op, &inputs, args, typed, dims);
                call.list = true;
                if call.check(&[&want], tolerance(typed)).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let typed = plain(F32);
    let x = random(typed, &[2, 6], 1);
    let w = random(typed, &[5], 2);
    let args = vec![
        Arg::In(0),
        Arg::Ints(vec![6]),
        Arg::Constant(w),
        Arg::None,
        Arg::Double(EPSILON),
    ];
    let mut call = Fed::new(
        "aten.native_layer_norm.default",
        &[(typed, &x)],
        args,
        typed,
        &[2, 6],
    );
    call.list = true;
    let Some(error) = call.refused() else { return };
    assert!(
        error.message.contains("[5]") && error.message.contains("[6]"),
        "{}",
        error.message
    );
}
