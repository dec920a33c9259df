//! Operators that emit nothing: other windows onto the same elements.

use super::fed::{element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{F32, I32};

const TYPES: [Typed; 4] = [FLOATS[0], FLOATS[1], FLOATS[2], plain(I32)];

/// Checks a call with one tensor argument; `from` gives the source index of a result index.
fn check(
    op: &'static str,
    dims: &[u32],
    rest: &[Arg],
    out: &[u32],
    from: &dyn Fn(&[u32]) -> Vec<u32>,
) -> Option<()> {
    for (seed, typed) in TYPES.into_iter().enumerate() {
        let x = random(typed, dims, seed as u64 + 1);
        let want = made(typed.host, out, |i| element(&x, &from(i)));
        let mut args = vec![Arg::In(0)];
        args.extend(rest.iter().cloned());
        Fed::new(op, &[(typed, &x)], args, typed, out).check(&[&want], EXACT)?;
    }
    Some(())
}

fn ints(list: &[i64]) -> Arg {
    Arg::Ints(list.to_vec())
}

/// Index `flat` in row-major `dims`.
fn unflatten(mut flat: u32, dims: &[u32]) -> Vec<u32> {
    let mut index = vec![0; dims.len()];
    for d in (0..dims.len()).rev() {
        index[d] = flat % dims[d];
        flat /= dims[d];
    }
    index
}

fn flatten(index: &[u32], dims: &[u32]) -> u32 {
    index.iter().zip(dims).fold(0, |flat, (i, d)| flat * d + i)
}

#[test]
fn views() {
    let cases: &[(&[u32], &[i64], &[u32])] = &[
        (&[2, 3, 5, 7], &[6, 35], &[6, 35]),
        (&[2, 3, 5, 7], &[2, -1], &[2, 105]),
        (&[1, 3, 5, 7], &[3, 5, 7], &[3, 5, 7]),
        (&[1, 6, 5, 7], &[1, 2, 3, 35], &[1, 2, 3, 35]),
        (&[2, 8, 3, 2], &[-1], &[96]),
        (&[1, 10, 1, 1], &[1, -1], &[1, 10]),
        (&[6, 4], &[2, 3, 1, 2, 2], &[2, 3, 1, 2, 2]),
        (&[6, 4], &[4, 6], &[4, 6]),
        (&[6, 4], &[6, 4], &[6, 4]),
        (&[1, 1], &[], &[]),
        (&[], &[1, 1, 1], &[1, 1, 1]),
        (&[0, 3], &[3, 0, 2], &[3, 0, 2]),
        (&[2, 3, 4, 5, 6], &[6, 20, 6], &[6, 20, 6]),
    ];
    for &(dims, list, out) in cases {
        let from = |i: &[u32]| unflatten(flatten(i, out), dims);
        if check("aten.view_copy.default", dims, &[ints(list)], out, &from).is_none() {
            return;
        }
    }
}

#[test]
fn squeezes_and_unsqueezes() {
    let squeezes: &[(&[u32], &[i64], &[u32])] = &[
        (&[1, 3, 1, 5], &[0], &[3, 1, 5]),
        (&[1, 3, 1, 5], &[-2, 0], &[3, 5]),
        (&[1, 3, 1, 5], &[1], &[1, 3, 1, 5]),
        (&[1, 1], &[0, 1], &[]),
    ];
    for &(dims, list, out) in squeezes {
        let from = |i: &[u32]| unflatten(flatten(i, out), dims);
        if check("aten.squeeze_copy.dims", dims, &[ints(list)], out, &from).is_none() {
            return;
        }
    }
    let unsqueezes: &[(&[u32], i64, &[u32])] = &[
        (&[3, 5], 0, &[1, 3, 5]),
        (&[3, 5], 1, &[3, 1, 5]),
        (&[3, 5], -1, &[3, 5, 1]),
        (&[3, 5], -3, &[1, 3, 5]),
        (&[2, 3, 5, 7], 2, &[2, 3, 1, 5, 7]),
        (&[], 0, &[1]),
    ];
    for &(dims, d, out) in unsqueezes {
        let from = |i: &[u32]| unflatten(flatten(i, out), dims);
        if check(
            "aten.unsqueeze_copy.default",
            dims,
            &[Arg::Int(d)],
            out,
            &from,
        )
        .is_none()
        {
            return;
        }
    }
}

#[test]
fn permutes_up_to_rank_6() {
    let cases: &[(&[u32], &[i64])] = &[
        (&[2, 3, 5, 7], &[0, 2, 3, 1]),
        (&[2, 3, 5, 7], &[3, 1, 0, 2]),
        (&[2, 3, 5, 7], &[0, -1, 1, 2]),
        (&[3, 5], &[1, 0]),
        (&[4, 3, 5], &[2, 0, 1]),
        (&[2, 3, 2, 5, 3], &[4, 2, 0, 3, 1]),
        (&[2, 3, 2, 3, 2, 3], &[5, 0, 4, 1, 3, 2]),
        (&[], &[]),
    ];
    for &(dims, order) in cases {
        let rank = dims.len() as i64;
        let order_of = |k: usize| ((order[k] + rank) % rank) as usize;
        let out: Vec<u32> = (0..dims.len()).map(|k| dims[order_of(k)]).collect();
        let from = |i: &[u32]| {
            let mut index = vec![0; dims.len()];
            (0..dims.len()).for_each(|k| index[order_of(k)] = i[k]);
            index
        };
        if check(
            "aten.permute_copy.default",
            dims,
            &[ints(order)],
            &out,
            &from,
        )
        .is_none()
        {
            return;
        }
    }
}

#[test]
fn transposes_and_flips() {
    let turned = |i: &[u32]| vec![i[1], i[0]];
    if check("aten.t_copy.default", &[5, 7], &[], &[7, 5], &turned).is_none() {
        return;
    }
    let swapped = |i: &[u32]| vec![i[0], i[3], i[2], i[1]];
    let dims = [Arg::Int(1), Arg::Int(-1)];
    check(
        "aten.transpose_copy.int",
        &[2, 3, 5, 7],
        &dims,
        &[2, 7, 5, 3],
        &swapped,
    );
    for list in [&[0i64][..], &[-1], &[1, 3], &[0, 1, 2, 3], &[]] {
        let dims = [2u32, 3, 5, 7];
        let from = |i: &[u32]| {
            let flip = |d: usize| list.iter().any(|&l| (l + 4) % 4 == d as i64);
            (0..4)
                .map(|d| if flip(d) { dims[d] - 1 - i[d] } else { i[d] })
                .collect()
        };
        check("aten.flip.default", &dims, &[ints(list)], &dims, &from);
    }
}

#[test]
fn slices_on_every_dim() {
    const END: i64 = i64::MAX;
    let dims = [3u32, 6, 5, 7];
    for d in 0..4usize {
        let size = i64::from(dims[d]);
        for (start, end, step) in [
            (Some(0), Some(END), 1),
            (Some(1), Some(3), 1),
            (None, None, 2),
            (Some(-2), Some(END), 1),
            (Some(1), Some(-1), 3),
            (Some(-100), Some(100), 2),
            (Some(2), Some(1), 1),
            (Some(1), Some(END), END),
        ] {
            // What Python's slice does.
            let clamp = |n: i64| {
                if n < 0 {
                    (n + size).max(0)
                } else {
                    n.min(size)
                }
            };
            let (first, last) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(END)));
            let len = (first..last).step_by(step.min(1 << 20) as usize).count() as u32;
            let mut out = dims;
            out[d] = len;
            let arg = |n: Option<i64>| n.map_or(Arg::None, Arg::Int);
            // An even dim counts from the back.
            let dim = if d % 2 == 0 { d as i64 - 4 } else { d as i64 };
            let rest = [Arg::Int(dim), arg(start), arg(end), Arg::Int(step)];
            let from = |i: &[u32]| {
                let mut index = i.to_vec();
                index[d] = first as u32 + if i[d] > 0 { i[d] * step as u32 } else { 0 };
                index
            };
            if check("aten.slice_copy.Tensor", &dims, &rest, &out, &from).is_none() {
                return;
            }
        }
    }
}

#[test]
fn selects_on_every_dim() {
    let dims = [2u32, 6, 5, 7];
    for d in 0..4usize {
        for at in [0, 1, -1, -2] {
            let mut out = dims.to_vec();
            out.remove(d);
            let index = (at + i64::from(dims[d])) % i64::from(dims[d]);
            let from = |i: &[u32]| {
                let mut i = i.to_vec();
                i.insert(d, index as u32);
                i
            };
            let rest = [Arg::Int(d as i64), Arg::Int(at)];
            if check("aten.select_copy.int", &dims, &rest, &out, &from).is_none() {
                return;
            }
        }
    }
}

#[test]
fn splits_into_unequal_parts() {
    for (d, sizes) in [(1usize, &[3i64, 5, 0, 1][..]), (3, &[6, 1]), (0, &[2])] {
        for typed in TYPES {
            let dims = [2u32, 9, 3, 7];
            let x = random(typed, &dims, d as u64);
            let mut start = 0;
            let mut wants = Vec::new();
            for &size in sizes {
                let mut out = dims.to_vec();
                out[d] = size as u32;
                wants.push(made(typed.host, &out, |i| {
                    let mut i = i.clone();
                    i[d] += start;
                    element(&x, &i)
                }));
                start += size as u32;
            }
            let mut call = Fed::new(
                "aten.split_with_sizes_copy.default",
                &[(typed, &x)],
                vec![Arg::In(0), ints(sizes), Arg::Int(d as i64 - 4)],
                typed,
                &dims,
            );
            call.outputs = wants.iter().map(|w| (typed, w.dims.clone())).collect();
            call.list = true;
            if call
                .check(&wants.iter().collect::<Vec<&Array>>(), EXACT)
                .is_none()
            {
                return;
            }
        }
    }
}

#[test]
fn expands_and_unfolds() {
    let cases: &[(&[u32], &[i64], &[u32])] = &[
        (&[1, 5, 1, 1], &[2, 5, 3, 7], &[2, 5, 3, 7]),
        (&[1, 6, 5, 7], &[3, -1, -1, -1], &[3, 6, 5, 7]),
        (&[5, 1], &[2, 3, -1, 4], &[2, 3, 5, 4]),
        (&[], &[2, 3], &[2, 3]),
        (&[3, 5], &[3, 5], &[3, 5]),
    ];
    for &(dims, list, out) in cases {
        let lead = out.len() - dims.len();
        let from = |i: &[u32]| {
            let at = |d: usize| if dims[d] == 1 { 0 } else { i[lead + d] };
            (0..dims.len()).map(at).collect()
        };
        let rest = [ints(list), Arg::Bool(false)];
        if check("aten.expand_copy.default", dims, &rest, out, &from).is_none() {
            return;
        }
    }
    for (d, size, step, count) in [(3usize, 3u32, 2i64, 3u32), (1, 2, 1, 5), (2, 5, 7, 1)] {
        let dims = [2u32, 6, 5, 7];
        let mut out = dims.to_vec();
        out[d] = count;
        out.push(size);
        let from = |i: &[u32]| {
            let mut index = i[..4].to_vec();
            index[d] = i[d] * step as u32 + i[4];
            index
        };
        let rest = [Arg::Int(d as i64), Arg::Int(size.into()), Arg::Int(step)];
        check("aten.unfold_copy.default", &dims, &rest, &out, &from);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_numbers() {
    let x = random(plain(F32), &[2, 3], 1);
    let refused = |op, rest: &[Arg], words: &[&str]| {
        let mut args = vec![Arg::In(0)];
        args.extend(rest.iter().cloned());
        let call = Fed::new(op, &[(plain(F32), &x)], args, plain(F32), &[9, 9, 9]);
        let Some(error) = call.refused() else { return };
        for word in words {
            assert!(error.message.contains(word), "{word} in {}", error.message);
        }
    };
    refused(
        "aten.view_copy.default",
        &[ints(&[4, -1])],
        &["6 elements", "[4, -1]"],
    );
    refused("aten.view_copy.default", &[ints(&[7])], &["[7]"]);
    refused("aten.permute_copy.default", &[ints(&[0, 0])], &["[0, 0]"]);
    refused("aten.permute_copy.default", &[ints(&[0])], &["[2, 3]"]);
    refused(
        "aten.select_copy.int",
        &[Arg::Int(1), Arg::Int(3)],
        &["3", "dim 1"],
    );
    refused(
        "aten.select_copy.int",
        &[Arg::Int(2), Arg::Int(0)],
        &["dim 2"],
    );
    let expand = [ints(&[2, 5]), Arg::Bool(false)];
    refused("aten.expand_copy.default", &expand, &["[2, 3]", "[2, 5]"]);
    let slice = [Arg::Int(0), Arg::Int(0), Arg::Int(1), Arg::Int(0)];
    refused("aten.slice_copy.Tensor", &slice, &["step 0"]);
    let unfold = [Arg::Int(1), Arg::Int(4), Arg::Int(1)];
    refused("aten.unfold_copy.default", &unfold, &["parts of 4"]);
}
