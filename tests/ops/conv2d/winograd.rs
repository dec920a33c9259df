//! Winograd's F(4x4, 3x3), which GPUs take unasked: here it is asked for.

use super::case::{reason, Case, Operands, Want, WINOGRAD};
use super::{conv, sizes};
use crate::reference::Array;
use crate::run::{etvk_convolution, Loaded};

fn case(x: [u32; 4], c_out: u32, padding: [u32; 2]) -> Case {
    sizes(x, c_out, [3, 3], conv([1, 1], padding, [1, 1], 1))
}

fn run(case: &Case, operands: &Operands, budget: u64) -> Option<(Array, etvk_convolution)> {
    let budget = budget.to_string();
    let options = [
        ("conv_algorithm", "winograd"),
        ("workspace_bytes", budget.as_str()),
    ];
    let (got, report) = case.run(operands, &options)?;
    assert_eq!(report.algorithm, WINOGRAD, "{report:?}");
    Some((got, report))
}

/// Largest error over the largest result.
fn error_of(got: &Array, want: &Want) -> f64 {
    assert_eq!(got.dims, want.dims);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let pairs = got.values.iter().zip(&want.values);
    let error = largest(&mut pairs.map(|(g, w)| (g - w).abs()));
    error / largest(&mut want.values.iter().map(|w| w.abs()))
}

/// Few channels, whose sums err by a few units of 2^-24 of their largest.
#[test]
fn ragged_tiles() {
    for (at, [h, w]) in [[1, 1], [3, 5], [4, 4], [5, 9], [17, 13], [8, 31]]
        .into_iter()
        .enumerate()
    {
        let (n, c_in) = ([1, 2, 3][at % 3], [5, 8, 30, 33, 1, 12][at]);
        let c_out = [7, 34, 4, 1, 12, 9][at];
        for padding in [[1, 1], [0, 0], [2, 0], [1, 3]] {
            if h + 2 * padding[0] < 3 || w + 2 * padding[1] < 3 {
                continue;
            }
            let case = Case {
                bias: at % 2 == 0,
                ..case([n, c_in, h, w], c_out, padding)
            };
            let operands = case.operands();
            let want = case.reference(&operands);
            for budget in [16 << 20, 0] {
                let Some((got, _)) = run(&case, &operands, budget) else {
                    return;
                };
                let error = error_of(&got, &want);
                assert!(error < 2e-6, "{error:e}, {budget} bytes: {case:?}");
            }
        }
    }
}

/// The error that its points are chosen for; 1e-5 is what convolutions promise.
#[test]
fn long_sums() {
    for (c_in, most) in [(64, 3e-6), (256, 6e-6), (512, 8e-6)] {
        let case = case([1, c_in, 14, 9], 20, [1, 1]);
        let operands = case.operands();
        let Some((got, _)) = run(&case, &operands, 16 << 20) else {
            return;
        };
        let error = error_of(&got, &case.reference(&operands));
        println!("{c_in} inputs: {error:.1e}");
        assert!(error < most, "{error:e}: {case:?}");
    }
}

/// Parts of the inputs side by side, or in turn where the budget holds no sums, add in one order.
#[test]
fn bits_do_not_depend_on_the_budget() {
    for (case, parts) in [
        (case([1, 64, 20, 17], 36, [1, 1]), 2),
        (case([3, 101, 5, 23], 10, [0, 2]), 3),
        (case([2, 250, 6, 6], 5, [1, 1]), 7),
    ] {
        for case in [
            case.clone(),
            Case {
                bias: false,
                ..case
            },
        ] {
            let operands = case.operands();
            let Some((whole, together)) = run(&case, &operands, 1 << 30) else {
                return;
            };
            assert_eq!((together.tile_count, together.dispatch_count), (1, 2));
            let all = together.workspace_bytes;
            for workspace_bytes in [all, all - 1, 1000, 0] {
                let (got, report) = run(&case, &operands, workspace_bytes).expect("ran before");
                match workspace_bytes == all {
                    true => assert_eq!(report.dispatch_count, 2, "{report:?}"),
                    false => assert_eq!(
                        (report.workspace_bytes, report.dispatch_count),
                        (0, parts),
                        "{report:?}"
                    ),
                }
                assert!(
                    got == whole,
                    "{workspace_bytes} bytes change bits, {}: {case:?}",
                    reason(&report)
                );
            }
            let error = error_of(&whole, &case.reference(&operands));
            assert!(error < 4e-6, "{error:e}: {case:?}");
        }
    }
}

/// Many workgroups take more channels each; the last of them has few.
#[test]
fn large_workgroups() {
    for (x, c_out) in [([1, 5, 97, 223], 64), ([2, 9, 67, 190], 123)] {
        let case = case(x, c_out, [1, 1]);
        let operands = case.operands();
        let Some((got, report)) = run(&case, &operands, 16 << 20) else {
            return;
        };
        assert_eq!(report.workspace_bytes, 0, "{report:?}");
        let error = error_of(&got, &case.reference(&operands));
        assert!(error < 2e-6, "{error:e}: {case:?}");
    }
}

/// Infinities, NaN and numbers that overflow on the way reach the outputs that see them, as from
/// every other algorithm, and pad lanes reach none.
#[test]
fn what_is_not_finite_stays_where_it_is_seen() {
    // One part, and several.
    for c_in in [6, 70] {
        not_finite(&case([1, c_in, 13, 11], 7, [1, 1]));
    }
}

fn not_finite(case: &Case) {
    let (plane, row) = (13 * 11, 11);
    for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38] {
        let mut operands = case.operands();
        // The first is of a tile's corner, seen by its neighbours; the last of the ragged corner.
        let last = case.x[1] as usize * plane - 1;
        for at in [3 * plane + 4 * row + 3, plane + 7 * row + 5, last] {
            operands.x.values[at] = special;
        }
        operands.weight.values[5] = 0.0;
        // In a tile of large finite numbers small ones drown: errors are of the largest's size.
        let sums = f64::from(case.x[1]);
        let allowed = if special == 3e38 { 1e33 } else { 2e-6 * sums };
        let want = case.reference(&operands);
        let mut seen = 0;
        for budget in [16 << 20, 0] {
            let Some((got, _)) = run(case, &operands, budget) else {
                return;
            };
            for (at, (&g, &w)) in got.values.iter().zip(&want.values).enumerate() {
                let same = match w.abs() {
                    w if w.is_nan() => g.is_nan(),
                    size if size > 3.4e38 => g == w.signum() * f64::INFINITY,
                    _ => (g - w).abs() < allowed,
                };
                assert!(
                    same,
                    "{special}, {budget} bytes: element {at} is {g:e}, not {w:e}"
                );
                seen += u32::from(!w.is_finite() || w.abs() > 1e3);
            }
        }
        assert_eq!(seen, 2 * 7 * (9 + 9 + 4), "{special}");
    }
}

/// One form of the weight serves all sizes below the bound, in parts or not.
#[test]
fn smaller_inputs_than_the_bound() {
    let bound = case([2, 9, 22, 30], 11, [1, 1]);
    let operands = bound.operands();
    let (graph, _) = bound.graph(&operands);
    for budget in ["16777216", "200000", "0"] {
        let options = [("conv_algorithm", "winograd"), ("workspace_bytes", budget)];
        let Some(loaded) = Loaded::with_options(&graph, &options) else {
            return;
        };
        let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
        for (n, h, w) in [(2, 22, 30), (1, 1, 1), (2, 3, 30), (1, 22, 29), (2, 22, 30)] {
            let case = Case {
                x: [n, 9, h, w],
                ..bound.clone()
            };
            let operands = Operands {
                x: case.operands().x,
                weight: operands.weight.clone(),
                bias: operands.bias.clone(),
            };
            let got = loaded
                .run(std::slice::from_ref(&operands.x))
                .unwrap_or_else(|e| panic!("{}: {case:?}", e.message));
            assert_eq!(
                loaded.convolutions().expect("report")[0].algorithm,
                WINOGRAD
            );
            let error = error_of(&got[0], &case.reference(&operands));
            assert!(error < 2e-6, "{error:e}, {budget} bytes: {case:?}");
        }
    }
}
