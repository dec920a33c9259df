//! Operators that copy elements to other places: cat, repeat, pixel shuffle, pad.

use super::fed::{element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{F32, I32};

const TYPES: [Typed; 4] = [FLOATS[0], FLOATS[1], FLOATS[2], plain(I32)];

fn ints(list: &[i64]) -> Arg {
    Arg::Ints(list.to_vec())
}

#[test]
fn concatenates_along_every_dim() {
    let base = [2u32, 3, 5, 7];
    for d in 0..4usize {
        for sizes in [&[3u32, 5][..], &[4, 8, 4], &[1], &[2, 0, 1, 3]] {
            for typed in TYPES {
                let mut dims = base.to_vec();
                let parts: Vec<Array> = sizes
                    .iter()
                    .enumerate()
                    .map(|(k, &size)| {
                        dims[d] = size;
                        random(typed, &dims, k as u64 + 1)
                    })
                    .collect();
                dims[d] = sizes.iter().sum();
                let want = made(typed.host, &dims, |i| {
                    let mut i = i.clone();
                    let mut k = 0;
                    while i[d] >= sizes[k] {
                        i[d] -= sizes[k];
                        k += 1;
                    }
                    element(&parts[k], &i)
                });
                let inputs: Vec<_> = parts.iter().map(|p| (typed, p)).collect();
                let all = (0..parts.len()).map(Some).collect();
                let args = vec![Arg::Ins(all), Arg::Int(d as i64 - 4)];
                let call = Fed::new("aten.cat.default", &inputs, args, typed, &dims);
                if call.check(&[&want], EXACT).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn concatenates_one_tensor_twice_and_skips_empty_ones() {
    let typed = plain(F32);
    let x = random(typed, &[2, 3], 1);
    let none = Array::new(F32, &[0], &[]);
    let want = made(F32, &[4, 3], |i| element(&x, &[i[0] % 2, i[1]]));
    let args = vec![Arg::Ins(vec![Some(1), Some(0), Some(0)]), Arg::Int(0)];
    let inputs = [(typed, &x), (typed, &none)];
    Fed::new("aten.cat.default", &inputs, args, typed, &[4, 3]).check(&[&want], EXACT);
    let odd = random(typed, &[2, 4], 1);
    let args = vec![Arg::Ins(vec![Some(0), Some(1)]), Arg::Int(0)];
    let call = Fed::new(
        "aten.cat.default",
        &[(typed, &x), (typed, &odd)],
        args,
        typed,
        &[4, 3],
    );
    let Some(error) = call.refused() else { return };
    assert!(error.message.contains("[2, 4]"), "{}", error.message);
}

#[test]
fn repeats() {
    let cases: &[(&[u32], &[i64])] = &[
        (&[1, 4, 2, 2], &[1, 2, 1, 1]),
        (&[2, 3, 5, 7], &[2, 3, 1, 2]),
        (&[2, 6, 3], &[3, 1, 2]),
        (&[1, 5, 1, 1], &[1, 1, 3, 7]),
        (&[3, 5], &[2, 4, 1, 3]),
        (&[], &[2, 3]),
        (&[3], &[0]),
        (&[3, 5], &[1, 1]),
    ];
    for &(dims, repeats) in cases {
        for typed in TYPES {
            let x = random(typed, dims, 7);
            let lead = repeats.len() - dims.len();
            let size = |d: usize| d.checked_sub(lead).map_or(1, |d| dims[d]);
            let out: Vec<u32> = repeats
                .iter()
                .enumerate()
                .map(|(d, &r)| r as u32 * size(d))
                .collect();
            let want = made(typed.host, &out, |i| {
                let at: Vec<u32> = i[lead..].iter().zip(dims).map(|(i, d)| i % d).collect();
                element(&x, &at)
            });
            let args = vec![Arg::In(0), ints(repeats)];
            let call = Fed::new("aten.repeat.default", &[(typed, &x)], args, typed, &out);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn shuffles_pixels_and_back() {
    for (c, h, w, r) in [
        (2u32, 5u32, 3u32, 2u32),
        (1, 7, 5, 3),
        (3, 2, 3, 4),
        (5, 3, 4, 1),
    ] {
        for lead in [&[][..], &[1], &[2], &[2, 3]] {
            for typed in TYPES {
                let with = |tail: [u32; 3]| [lead, &tail[..]].concat();
                let (deep, wide) = (with([c * r * r, h, w]), with([c, h * r, w * r]));
                let k = lead.len();
                let x = random(typed, &deep, 3);
                let y = made(typed.host, &wide, |i| {
                    let mut j = i.clone();
                    j[k] = i[k] * r * r + i[k + 1] % r * r + i[k + 2] % r;
                    j[k + 1] /= r;
                    j[k + 2] /= r;
                    element(&x, &j)
                });
                for (op, from, to) in [
                    ("aten.pixel_shuffle.default", &x, &y),
                    ("aten.pixel_unshuffle.default", &y, &x),
                ] {
                    let args = vec![Arg::In(0), Arg::Int(r.into())];
                    let call = Fed::new(op, &[(typed, from)], args, typed, &to.dims);
                    if call.check(&[to], EXACT).is_none() {
                        return;
                    }
                }
            }
        }
    }
    let x = random(plain(F32), &[6, 4, 4], 1);
    let args = vec![Arg::In(0), Arg::Int(2)];
    let call = Fed::new(
        "aten.pixel_shuffle.default",
        &[(plain(F32), &x)],
        args,
        plain(F32),
        &[2, 8, 8],
    );
    let Some(error) = call.refused() else { return };
    assert!(error.message.contains("[6, 4, 4]"), "{}", error.message);
}

#[test]
fn pads_and_crops() {
    let dims = [2u32, 6, 5, 7];
    for widths in [
        &[1i64, 2, 3, 4][..],
        &[1, 2],
        &[0, 0, 1, 0],
        &[-1, 2, 1, -3],
        &[0, 0, 0, 0, 2, 3],
        &[1, 0, 0, 1, 1, 1, 2, 0],
        &[-2, -3, 0, 0],
        &[-7, 3],
        &[],
    ] {
        for (typed, value, arg) in [
            (FLOATS[0], 0.5, Arg::Double(0.5)),
            (FLOATS[0], f64::NEG_INFINITY, Arg::Double(f64::NEG_INFINITY)),
            (FLOATS[1], 2.0, Arg::Int(2)),
            (FLOATS[2], -0.25, Arg::Double(-0.25)),
            (plain(I32), -7.0, Arg::Int(-7)),
        ] {
            let pair = |d: usize| {
                let at = 2 * (3 - d);
                widths.get(at..at + 2).map_or([0, 0], |p| [p[0], p[1]])
            };
            let out: Vec<u32> = (0..4)
                .map(|d| (i64::from(dims[d]) + pair(d)[0] + pair(d)[1]) as u32)
                .collect();
            let x = random(typed, &dims, 5);
            let want = made(typed.host, &out, |i| {
                let at: Option<Vec<u32>> = (0..4)
                    .map(|d| u32::try_from(i64::from(i[d]) - pair(d)[0]).ok())
                    .collect();
                let at = at.filter(|at| at.iter().zip(&dims).all(|(i, d)| i < d));
                at.map_or(value, |at| element(&x, &at))
            });
            let args = vec![Arg::In(0), ints(widths), arg];
            let call = Fed::new(
                "aten.constant_pad_nd.default",
                &[(typed, &x)],
                args,
                typed,
                &out,
            );
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}
