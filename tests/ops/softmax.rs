use super::fed::{allow, element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, Tolerance};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{F32, I32};

fn reference(x: &Array, dim: usize, logarithm: bool) -> Array {
    made(x.dtype, &x.dims, |i| {
        let mut at = i.clone();
        let row: Vec<f64> = (0..x.dims.get(dim).copied().unwrap_or(1))
            .map(|k| {
                if let Some(slot) = at.get_mut(dim) {
                    *slot = k;
                }
                element(x, &at)
            })
            .collect();
        let top = row.iter().fold(f64::NEG_INFINITY, |a, &b| {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                a.max(b)
            }
        });
        let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
        let y = element(x, i) - top;
        if logarithm {
            y - sum.ln()
        } else {
            y.exp() / sum
        }
    })
}

/// exp() is within 1e-6, the sum of positive numbers within 40 steps of 2^-24, and rounding x - max
/// moves the result by |x - max| 2^-24.
fn check(x: &Array, typed: Typed, dim: i64) -> Option<()> {
    let rank = (x.dims.len() as i64).max(1);
    for (op, logarithm) in [
        ("aten._softmax.default", false),
        ("aten._log_softmax.default", true),
    ] {
        let want = reference(x, ((dim + rank) % rank) as usize, logarithm);
        let args = vec![Arg::In(0), Arg::Int(dim), Arg::Bool(false)];
        let tolerance = if logarithm {
            Tolerance {
                relative: 1e-6,
                absolute: 4e-6,
            }
        } else {
            Tolerance {
                relative: 1e-5,
                absolute: 1e-37,
            }
        };
        let call = Fed::new(op, &[(typed, x)], args, typed, &x.dims);
        call.check(&[&want], allow(typed, tolerance))?;
    }
    Some(())
}

#[test]
fn over_every_dim() {
    for dims in [
        &[2u32, 6, 5, 7][..],
        &[1, 3, 37, 5],
        &[3, 331],
        &[331, 3],
        &[17],
        &[],
        &[2, 3, 2, 3, 5],
    ] {
        for dim in (0..dims.len().max(1) as i64).chain([-1]) {
            for typed in FLOATS {
                if check(&random(typed, dims, 5), typed, dim).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn extreme_rows() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let rows = [
        [1e4, -1e4, 9.999e3, 0.0],
        [-inf, 0.0, 1.0, -inf],
        [-inf, -inf, -inf, -inf],
        [inf, 0.0, 1.0, 2.0],
        [nan, 0.0, 1.0, 2.0],
        [-3e38, 3e38, 0.0, 1.0],
        [-90.0, 0.0, -50.0, -100.0],
    ];
    let x = Array::new(F32, &[7, 4], &rows.concat());
    if check(&x, plain(F32), 1).is_none() {
        return;
    }
    let turned = made(F32, &[4, 7], |i| element(&x, &[i[1], i[0]]));
    check(&turned, plain(F32), 0);
}

#[test]
fn integers_are_refused() {
    let x = random(plain(I32), &[3], 1);
    let args = vec![Arg::In(0), Arg::Int(0), Arg::Bool(false)];
    let call = Fed::new(
        "aten._softmax.default",
        &[(plain(I32), &x)],
        args,
        plain(I32),
        &[3],
    );
    let Some(error) = call.refused() else { return };
    assert!(error.message.contains("I32"), "{}", error.message);
}
