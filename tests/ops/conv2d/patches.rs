//! fp16 on matrix units, where workgroups keep patches of the image. Sizes for which the planner takes
//! each of its tiles, whole and in parts; other devices gather.

use super::case::Case;
use super::{conv, sizes};

/// Inputs in fours and not, one patch and several, ragged in both directions; dilated, padded by more
/// than the kernel sees, several images, kernels of a row.
fn cases() -> Vec<Case> {
    let plain = |padding, dilation: u32| conv([1, 1], padding, [dilation, dilation], 1);
    vec![
        sizes([1, 63, 7, 5], 78, [3, 3], plain([2, 1], 3)),
        sizes([2, 60, 5, 8], 47, [3, 3], plain([0, 1], 2)),
        sizes([1, 60, 9, 17], 65, [3, 3], plain([1, 1], 1)),
        sizes([1, 44, 8, 15], 33, [5, 5], plain([2, 2], 1)),
        sizes([1, 42, 6, 6], 40, [1, 3], plain([0, 1], 2)),
        sizes([2, 233, 5, 7], 72, [3, 3], plain([1, 0], 3)),
        sizes([1, 214, 5, 5], 66, [2, 2], plain([0, 0], 3)),
        sizes([1, 129, 37, 5], 67, [3, 3], plain([1, 0], 2)),
        sizes([1, 215, 40, 17], 150, [3, 3], plain([3, 3], 1)),
        sizes([2, 45, 77, 64], 65, [1, 3], plain([0, 2], 1)),
        sizes([2, 41, 115, 34], 130, [1, 3], plain([3, 3], 1)),
        sizes([1, 120, 120, 68], 35, [2, 2], plain([2, 2], 2)),
    ]
}

#[test]
fn patches() {
    let mut taken = 0;
    for (at, case) in cases().into_iter().enumerate() {
        // The larger ones are for what makes patches only.
        if at == 7 && taken == 0 {
            break;
        }
        let case = Case { half: true, ..case };
        case.check("implicit");
        let operands = case.operands();
        let run = |workspace_bytes: &str| {
            let options = [
                ("conv_algorithm", "implicit"),
                ("workspace_bytes", workspace_bytes),
            ];
            case.run(&operands, &options)
        };
        let Some((whole, report)) = run("16777216") else {
            return;
        };
        taken += u32::from(super::reason(&report).contains("patches"));
        let (in_turn, report) = run("0").expect("ran before");
        assert_eq!(report.workspace_bytes, 0);
        assert!(in_turn == whole, "the budget changes bits: {case:?}");
    }
    println!("{taken} convolutions from patches");
}
