//! The workspace cap, held against what the driver allocated, and bits that do not depend on it:
//! geometries from 1 x 1 to images 4096 wide, K up to 4608, budgets from 256 KiB to 64 MiB.
//! `ETVK_LONG=1` adds more channels, taller images and every budget.

#[path = "common/blob.rs"]
mod blob;
#[path = "common/random.rs"]
mod random;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/run.rs"]
mod run;

use blob::{Conv, GraphBuilder};
use etvk::core::tensor::DType::{self, F16, F32};
use random::Random;
use reference::Array;
use run::{Loaded, ETVK_STATUS_OUT_OF_MEMORY};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A convolution `[n, c_in, h, w]` to `c_out`, padded to keep its size at stride 1.
#[derive(Clone, Copy, Debug)]
struct Case {
    x: [u32; 4],
    c_out: u32,
    kernel: [u32; 2],
    stride: u32,
    groups: u32,
    dtype: DType,
}

const fn case(x: [u32; 4], c_out: u32, kernel: [u32; 2]) -> Case {
    Case {
        x,
        c_out,
        kernel,
        stride: 1,
        groups: 1,
        dtype: F32,
    }
}

/// Sizes that lavapipe does in a moment.
const CASES: &[Case] = &[
    case([1, 1, 1, 1], 8, [3, 3]),
    case([1, 512, 1, 1], 8, [3, 3]),
    case([1, 512, 3, 5], 8, [3, 3]),
    case([1, 512, 13, 11], 5, [3, 3]),
    case([1, 64, 1, 509], 6, [3, 3]),
    case([2, 16, 61, 67], 9, [3, 3]),
    case([1, 3, 97, 1024], 8, [3, 3]),
    case([1, 4, 9, 4096], 8, [3, 3]),
    // One row's columns exceed the smallest budgets: cut across the row.
    case([1, 24, 3, 4096], 5, [3, 3]),
    case([1, 40, 2, 4096], 5, [3, 1]),
    case([1, 4096, 2, 3], 5, [1, 3]),
    case([1, 11, 29, 43], 7, [7, 5]),
    Case {
        stride: 2,
        ..case([1, 32, 63, 65], 12, [5, 5])
    },
    Case {
        groups: 3,
        ..case([1, 33, 37, 40], 15, [3, 3])
    },
    Case {
        dtype: F16,
        ..case([1, 33, 31, 127], 10, [3, 3])
    },
    Case {
        dtype: F16,
        ..case([1, 12, 3, 4096], 5, [3, 3])
    },
];

const LONG_CASES: &[Case] = &[
    case([1, 512, 64, 64], 64, [3, 3]),
    case([1, 64, 64, 4096], 16, [3, 3]),
    case([1, 16, 512, 512], 24, [5, 5]),
    case([1, 128, 96, 1000], 33, [3, 3]),
];

const LARGEST: u64 = 64 * MIB;

fn graph(case: &Case) -> GraphBuilder {
    let random = &mut Random::new(17);
    let mut graph = GraphBuilder::new();
    let x = graph.input(case.dtype, &case.x);
    let [kh, kw] = case.kernel;
    let dims = [case.c_out, case.x[1] / case.groups, kh, kw];
    let weight = Array::random(case.dtype, &dims, random).bytes();
    let w = graph.constant(case.dtype, &dims, &weight);
    let conv = Conv {
        stride: [case.stride; 2],
        padding: [kh / 2, kw / 2],
        groups: case.groups,
        ..Conv::default()
    };
    let y = graph.conv2d(x, w, None, &conv);
    graph.output(y);
    graph
}

/// The output's bytes under a budget; `None` without a device.
fn under(case: &Case, graph: &GraphBuilder, input: &Array, budget: u64) -> Option<(Vec<u8>, u32)> {
    let what = format!("{case:?} within {budget} bytes");
    let text = budget.to_string();
    let options = [
        ("workspace_bytes", text.as_str()),
        ("conv_algorithm", "im2col"),
    ];
    let loaded = Loaded::with_options(graph, &options)?;
    let loaded = loaded.unwrap_or_else(|e| panic!("{what}: {}", e.message));
    let workspace = loaded.memory().expect("a report").workspace_bytes;
    assert!(
        workspace <= budget,
        "{what}: {workspace} bytes of workspace"
    );
    let report = loaded.convolutions().expect("a report")[0];
    assert!(report.workspace_bytes <= workspace, "{what}");
    let output = loaded.run(std::slice::from_ref(input));
    let output = output.unwrap_or_else(|e| panic!("{what}: {}", e.message));
    Some((output[0].bytes(), report.tile_count))
}

#[test]
fn every_budget_holds_and_gives_the_same_bits() {
    let long = std::env::var_os("ETVK_LONG").is_some();
    let random = &mut Random::new(23);
    let mut tiled = 0;
    for case in CASES.iter().chain(if long { LONG_CASES } else { &[] }) {
        let graph = graph(case);
        let input = Array::random(case.dtype, &case.x, random);
        let Some((want, _)) = under(case, &graph, &input, LARGEST) else {
            return;
        };
        let budgets = [256 * KIB, 257 * KIB + 3, MIB, 3 * MIB, 16 * MIB];
        // One that is none of the round numbers, and the extremes.
        let odd = random.int(300_000, 8_000_000).unsigned_abs();
        let some = [budgets[0], odd, budgets[4]];
        for &budget in if long { &budgets[..] } else { &some } {
            let (got, tiles) = under(case, &graph, &input, budget).expect("a device");
            assert!(got == want, "{case:?}: other bits within {budget} bytes");
            tiled += u32::from(tiles > 1);
        }
    }
    assert!(tiled > 6, "only {tiled} runs were tiled");
}

#[test]
fn the_least_budgets_give_the_same_bits_without_columns() {
    let case = case([1, 512, 3, 5], 8, [3, 3]);
    let graph = graph(&case);
    let input = Array::random(F32, &case.x, &mut Random::new(29));
    let Some((want, _)) = under(&case, &graph, &input, LARGEST) else {
        return;
    };
    // One pixel's column is 18 KiB: none, almost one, exactly one, two.
    for budget in [0, 1, 4096, 18_431, 18_432, 36_864] {
        let (got, _) = under(&case, &graph, &input, budget).expect("a device");
        assert!(got == want, "other bits within {budget} bytes");
    }
}

#[test]
fn a_tensor_beyond_the_device_is_a_clear_error() {
    // 8 GB, beyond what any descriptor shows.
    let mut graph = GraphBuilder::new();
    let dims = [1, 1, 40_000, 50_000];
    let x = graph.input(F32, &dims);
    let y = graph.tensor(F32, &dims);
    graph.node("aten.relu.default", &[x, y]).output(y);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let error = loaded.err().expect("too large");
    assert_eq!(error.status, ETVK_STATUS_OUT_OF_MEMORY, "{}", error.message);
    assert!(error.message.contains("etvk arena"), "{}", error.message);
}
