//! The same bits under every budget and in every storage: what the library promises.

use super::*;

/// Neither tiles nor the algorithm change a bit: sums run in one order.
#[test]
fn bits_do_not_depend_on_the_budget() {
    for case in [
        sizes([1, 16, 40, 37], 24, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([2, 9, 21, 23], 10, [5, 3], conv([2, 1], [1, 2], [1, 2], 1)),
        sizes([1, 30, 19, 18], 15, [3, 3], conv([1, 1], [1, 1], [1, 1], 3)),
        sizes([1, 3, 33, 35], 16, [7, 7], conv([2, 2], [3, 3], [1, 1], 1)),
    ] {
        let operands = case.operands();
        let run = |algorithm: &str, workspace_bytes: u64| {
            let budget = workspace_bytes.to_string();
            let options = [
                ("conv_algorithm", algorithm),
                ("workspace_bytes", budget.as_str()),
            ];
            case.run(&operands, &options)
        };
        let Some((whole, untiled)) = run("im2col", 1 << 30) else {
            return;
        };
        assert_eq!(
            untiled.tile_count, case.x[0],
            "one tile per image: {case:?}"
        );
        let mut least = untiled;
        // The last budget holds less than one row of any of them.
        for workspace_bytes in [16 << 20, 1 << 20, 100_000, 30_000, 10_000] {
            let (got, report) = run("im2col", workspace_bytes).expect("ran before");
            assert!(report.workspace_bytes <= workspace_bytes, "{report:?}");
            assert_eq!(report.algorithm, IM2COL, "{report:?}");
            assert!(
                got == whole,
                "{workspace_bytes} bytes change bits: {case:?}"
            );
            least = report;
        }
        assert!(
            least.w_out_tile < least.w_out && least.h_out_tile == 1,
            "{least:?}"
        );
        let (direct, _) = run("direct", 0).expect("ran before");
        assert!(direct == whole, "direct differs in bits: {case:?}");
        let (implicit, report) = run("implicit", 0).expect("ran before");
        // Groups that share quads of outputs cannot take it.
        let apart = case.conv.groups == 1 || case.c_out / case.conv.groups % 4 == 0;
        assert_eq!(report.algorithm == IMPLICIT, apart, "{report:?}");
        assert!(implicit == whole, "implicit differs in bits: {case:?}");
    }
}

/// Nor does what holds the columns: from less than a row to untiled, for both element types.
#[test]
fn bits_do_not_depend_on_the_storage() {
    for half in [false, true] {
        for case in [
            sizes([1, 16, 40, 37], 24, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
            sizes([2, 9, 21, 23], 10, [5, 3], conv([2, 1], [1, 2], [1, 2], 1)),
            sizes([1, 30, 19, 18], 15, [3, 3], conv([1, 1], [1, 1], [1, 1], 3)),
            sizes([1, 3, 130, 150], 8, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        ] {
            let case = Case { half, ..case };
            let operands = case.operands();
            let run = |storage: &str, workspace_bytes: u64| {
                let budget = workspace_bytes.to_string();
                let options = [
                    ("conv_algorithm", "im2col"),
                    ("scratch_storage", storage),
                    ("workspace_bytes", budget.as_str()),
                ];
                case.run(&operands, &options)
            };
            let Some((want, _)) = run("buffer", 16 << 20) else {
                return;
            };
            for storage in IMAGES {
                for workspace_bytes in [16 << 20, 1 << 20, 256 << 10, 60_000] {
                    let (got, report) = run(storage, workspace_bytes).expect("ran before");
                    assert!(report.workspace_bytes <= workspace_bytes, "{report:?}");
                    let used = format!("columns in {storage} as asked");
                    assert!(reason(&report).contains(&used), "{}", reason(&report));
                    assert!(
                        got == want,
                        "{storage} in {workspace_bytes} bytes changes bits: {case:?}"
                    );
                }
            }
        }
    }
}

/// Where K is summed in parts, a budget that cannot hold all sums takes them tile by tile, or in
/// turn: the parts stay the same, and so do the bits.
#[test]
fn bits_do_not_depend_on_where_sums_of_parts_lie() {
    for half in [false, true] {
        for case in [
            sizes([1, 64, 9, 37], 40, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
            sizes([2, 190, 7, 17], 33, [3, 1], conv([1, 2], [1, 0], [1, 1], 1)),
            sizes(
                [1, 256, 11, 13],
                24,
                [3, 3],
                conv([1, 1], [1, 1], [1, 1], 2),
            ),
        ] {
            let case = Case { half, ..case };
            let operands = case.operands();
            let run = |workspace_bytes: u64| {
                let budget = workspace_bytes.to_string();
                let options = [
                    ("conv_algorithm", "implicit"),
                    ("workspace_bytes", budget.as_str()),
                ];
                case.run(&operands, &options)
            };
            let Some((whole, report)) = run(16 << 20) else {
                return;
            };
            // Matrix units take longer steps, and fewer parts of them.
            if half && report.dispatch_count == 1 {
                continue;
            }
            assert_eq!(
                (report.tile_count, report.dispatch_count),
                (1, 2),
                "{report:?}"
            );
            let mut tiled = 0;
            for workspace_bytes in [
                report.workspace_bytes - 1,
                report.workspace_bytes / 2,
                1000,
                0,
            ] {
                let (got, report) = run(workspace_bytes).expect("ran before");
                assert_eq!(report.algorithm, IMPLICIT, "{report:?}");
                assert!(report.workspace_bytes <= workspace_bytes, "{report:?}");
                match report.workspace_bytes {
                    0 => assert_eq!(report.dispatch_count, 1, "{report:?}"),
                    _ => {
                        assert!(report.tile_count > 1, "{report:?}");
                        assert_eq!(report.dispatch_count, 2 * report.tile_count, "{report:?}");
                        tiled += 1;
                    }
                }
                assert!(
                    got == whole,
                    "{workspace_bytes} bytes change bits: {case:?}"
                );
            }
            assert!(tiled > 0, "no budget gave tiles: {case:?}");
        }
    }
}
