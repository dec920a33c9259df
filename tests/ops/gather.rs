use super::fed::{element, made, random, Arg, Fed, FLOATS};
use super::random::Random;
use super::reference::{Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::{Bool, F32, I32, I64};

const TYPES: [Typed; 4] = [FLOATS[0], FLOATS[1], FLOATS[2], plain(I32)];

/// How exported programs type indices: 64-bit ones are 32-bit in the graph.
const WIDE: Typed = Typed {
    graph: I32,
    host: I64,
};

fn picks(typed: Typed, dims: &[u32], size: u32, seed: u64) -> Array {
    let count = dims.iter().map(|&d| d as usize).product();
    let values = Random::new(seed).ints(count, 0, i64::from(size) - 1);
    Array::new(typed.host, dims, &values)
}

#[test]
fn index_select_and_index_on_every_dim() {
    let dims = [2u32, 6, 5, 7];
    for d in 0..4usize {
        for (k, typed) in TYPES.into_iter().enumerate() {
            for indices_typed in [plain(I32), WIDE] {
                for picked in [&[3u32][..], &[11], &[2, 3], &[]] {
                    let x = random(typed, &dims, 1);
                    let at = picks(indices_typed, picked, dims[d], k as u64);
                    let out = [&dims[..d], picked, &dims[d + 1..]].concat();
                    let want = made(typed.host, &out, |i| {
                        let index = element(&at, &i[d..d + picked.len()]) as u32;
                        element(&x, &[&i[..d], &[index], &i[d + picked.len()..]].concat())
                    });
                    let inputs = [(typed, &x), (indices_typed, &at)];
                    let mut list = vec![None; d];
                    list.push(Some(1));
                    list.extend(vec![None; (3 - d) / 2]);
                    let args = vec![Arg::In(0), Arg::Ins(list)];
                    let call = Fed::new("aten.index.Tensor", &inputs, args, typed, &out);
                    if call.check(&[&want], EXACT).is_none() {
                        return;
                    }
                    if picked.len() == 1 {
                        let args = vec![Arg::In(0), Arg::Int(d as i64 - 4), Arg::In(1)];
                        let call =
                            Fed::new("aten.index_select.default", &inputs, args, typed, &out);
                        call.check(&[&want], EXACT);
                    }
                }
            }
        }
    }
}

#[test]
fn gather_along_every_dim() {
    for (dims, picked) in [
        (&[2u32, 6, 5, 7][..], &[2u32, 6, 5, 7][..]),
        (&[2, 8, 5, 7], &[1, 5, 3, 2]),
        (&[5, 9], &[3, 4]),
        (&[11], &[4]),
    ] {
        for d in 0..dims.len() {
            for typed in TYPES {
                let mut out = picked.to_vec();
                out[d] = 4;
                let x = random(typed, dims, 2);
                let at = picks(WIDE, &out, dims[d], 3);
                let want = made(typed.host, &out, |i| {
                    let mut from = i.clone();
                    from[d] = element(&at, i) as u32;
                    element(&x, &from)
                });
                let args = vec![Arg::In(0), Arg::Int(d as i64), Arg::In(1), Arg::Bool(false)];
                let inputs = [(typed, &x), (WIDE, &at)];
                let call = Fed::new("aten.gather.default", &inputs, args, typed, &out);
                if call.check(&[&want], EXACT).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn embeddings_from_a_constant() {
    for picked in [&[5u32][..], &[2, 3], &[]] {
        for typed in FLOATS {
            let table = random(plain(typed.graph), &[13, 7], 4);
            let at = picks(WIDE, picked, 13, 5);
            let out = [picked, &[7]].concat();
            let want = made(typed.host, &out, |i| {
                element(
                    &table,
                    &[element(&at, &i[..picked.len()]) as u32, i[picked.len()]],
                )
            });
            let args = vec![
                Arg::Constant(table),
                Arg::In(0),
                Arg::Int(-1),
                Arg::Bool(false),
                Arg::Bool(false),
            ];
            let call = Fed::new("aten.embedding.default", &[(WIDE, &at)], args, typed, &out);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn negative_indices_wrap_and_the_rest_is_clamped() {
    let typed = plain(F32);
    let x = Array::new(F32, &[4], &[10.0, 11.0, 12.0, 13.0]);
    let at = [-1.0, -4.0, -5.0, 4.0, 2_147_483_647.0, -2_147_483_648.0];
    let at = Array::new(I32, &[6], &at);
    let want = Array::new(F32, &[6], &[13.0, 10.0, 10.0, 13.0, 13.0, 10.0]);
    let args = vec![Arg::In(0), Arg::Int(0), Arg::In(1)];
    let inputs = [(typed, &x), (plain(I32), &at)];
    Fed::new("aten.index_select.default", &inputs, args, typed, &[6]).check(&[&want], EXACT);
}

#[test]
fn masks_and_several_tensors_are_refused() {
    let typed = plain(F32);
    let x = random(typed, &[4, 4], 1);
    let mask = random(plain(Bool), &[4], 2);
    let inputs = [(typed, &x), (plain(Bool), &mask)];
    let refused = |list: Vec<Option<usize>>, word: &str| {
        let args = vec![Arg::In(0), Arg::Ins(list)];
        let call = Fed::new("aten.index.Tensor", &inputs, args, typed, &[4, 4]);
        let Some(error) = call.refused() else { return };
        assert!(error.message.contains(word), "{}", error.message);
    };
    refused(vec![Some(1)], "Bool");
    refused(vec![Some(1), Some(1)], "one tensor");
    refused(vec![None], "one tensor");
}
