//! Convolution: every algorithm over a table of geometries and over random ones.

mod bits;
mod calls;
mod case;
mod epilogue;
pub(crate) mod kernels;
mod patches;
mod winograd;

use crate::blob::Conv;
use crate::random::Random;
use case::{reason, Case, IM2COL, IMAGES};

/// Every algorithm; one that a geometry does not allow gives way to another, which is checked too.
const ALGORITHMS: [&str; 7] = [
    "auto",
    "direct",
    "im2col",
    "pointwise",
    "depthwise",
    "implicit",
    "winograd",
];

/// `etvk_conv_algorithm`.
const IMPLICIT: u32 = 4;

fn conv(stride: [u32; 2], padding: [u32; 2], dilation: [u32; 2], groups: u32) -> Conv {
    Conv {
        stride,
        padding,
        dilation,
        groups,
        ..Conv::default()
    }
}

fn sizes(x: [u32; 4], c_out: u32, kernel: [u32; 2], conv: Conv) -> Case {
    Case {
        x,
        c_out,
        kernel,
        conv,
        ..Case::default()
    }
}

/// Stride 1, no padding.
fn plain(groups: u32) -> Conv {
    conv([1, 1], [0, 0], [1, 1], groups)
}

fn transposed(conv: Conv, output_padding: [u32; 2]) -> Conv {
    Conv {
        transposed: true,
        output_padding,
        ..conv
    }
}

fn check_all(cases: &[Case]) {
    for case in cases {
        for algorithm in ALGORITHMS {
            case.check(algorithm);
        }
    }
}

#[test]
fn pointwise() {
    check_all(&[
        sizes([1, 5, 6, 7], 7, [1, 1], plain(1)),
        sizes([1, 64, 13, 11], 130, [1, 1], plain(1)),
        sizes([2, 17, 5, 5], 33, [1, 1], plain(1)),
        // Grouped: whole quads, and channels that share quads with other groups.
        sizes([1, 16, 5, 4], 16, [1, 1], plain(2)),
        sizes([1, 15, 6, 7], 21, [1, 1], plain(3)),
        sizes([2, 18, 5, 4], 10, [1, 1], plain(2)),
        // Not plain: stride and padding.
        sizes([1, 6, 9, 8], 5, [1, 1], conv([2, 3], [0, 0], [1, 1], 1)),
        sizes([1, 8, 4, 5], 8, [1, 1], conv([1, 1], [1, 2], [1, 1], 1)),
    ]);
}

#[test]
fn dense() {
    check_all(&[
        Case::default(),
        sizes([1, 3, 16, 17], 16, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([1, 1, 12, 10], 6, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([1, 7, 20, 19], 11, [5, 5], conv([3, 3], [1, 1], [1, 1], 1)),
        sizes([1, 3, 23, 25], 12, [7, 7], conv([2, 2], [3, 3], [1, 1], 1)),
        sizes([1, 13, 9, 10], 1, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([1, 9, 7, 8], 130, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([1, 6, 14, 15], 9, [3, 5], conv([2, 1], [0, 2], [1, 2], 1)),
        sizes([1, 6, 14, 15], 9, [5, 3], conv([1, 3], [3, 1], [2, 3], 1)),
        sizes([1, 12, 9, 8], 10, [1, 7], conv([1, 1], [0, 3], [1, 1], 1)),
        sizes([1, 12, 9, 8], 10, [7, 1], conv([1, 1], [3, 0], [1, 1], 1)),
        sizes([3, 10, 6, 7], 9, [2, 2], conv([1, 1], [0, 0], [1, 1], 1)),
        // The kernel is larger than the image; one output.
        sizes([1, 8, 2, 2], 8, [5, 5], conv([1, 1], [2, 2], [1, 1], 1)),
        sizes([1, 8, 3, 3], 8, [3, 3], plain(1)),
        Case {
            bias: false,
            ..Case::default()
        },
        Case {
            short_lists: true,
            ..sizes([1, 6, 8, 8], 8, [3, 3], conv([2, 2], [1, 1], [2, 2], 1))
        },
        Case {
            computed_weight: true,
            ..sizes([1, 9, 8, 7], 10, [3, 3], conv([1, 1], [1, 1], [1, 1], 1))
        },
    ]);
}

#[test]
fn grouped() {
    let padded = |groups| conv([1, 1], [1, 1], [1, 1], groups);
    check_all(&[
        sizes([1, 16, 8, 9], 16, [3, 3], padded(2)),
        sizes([1, 15, 8, 9], 21, [3, 3], padded(3)),
        sizes([2, 18, 6, 7], 20, [3, 3], padded(2)),
        sizes([1, 24, 6, 7], 36, [3, 3], padded(2)),
        // Depthwise, and with a multiplier.
        sizes([1, 10, 9, 8], 10, [3, 3], padded(10)),
        sizes([2, 8, 9, 14], 8, [7, 7], conv([2, 1], [3, 3], [1, 1], 8)),
        sizes([1, 9, 12, 13], 9, [3, 3], conv([1, 2], [2, 2], [2, 3], 9)),
        sizes([1, 6, 9, 8], 12, [3, 3], padded(6)),
        sizes([1, 5, 9, 8], 15, [3, 3], padded(5)),
        Case {
            computed_weight: true,
            ..sizes([1, 18, 6, 7], 20, [3, 3], padded(2))
        },
        Case {
            computed_weight: true,
            ..sizes([1, 10, 6, 7], 10, [3, 3], padded(10))
        },
    ]);
}

#[test]
fn transposed_ones() {
    let both = |s, p, d, groups| conv([s, s], [p, p], [d, d], groups);
    check_all(&[
        sizes(
            [1, 8, 5, 6],
            8,
            [2, 2],
            transposed(both(2, 0, 1, 1), [0, 0]),
        ),
        sizes(
            [1, 8, 5, 6],
            6,
            [3, 3],
            transposed(both(2, 1, 1, 1), [1, 1]),
        ),
        sizes(
            [2, 5, 4, 7],
            7,
            [4, 4],
            transposed(both(4, 0, 1, 1), [0, 0]),
        ),
        sizes(
            [1, 8, 6, 5],
            4,
            [3, 3],
            transposed(both(1, 1, 1, 1), [0, 0]),
        ),
        sizes(
            [1, 6, 5, 4],
            10,
            [3, 3],
            transposed(both(3, 2, 2, 2), [2, 1]),
        ),
        sizes(
            [1, 15, 5, 4],
            9,
            [3, 2],
            transposed(conv([2, 3], [1, 0], [2, 1], 3), [1, 2]),
        ),
        sizes(
            [1, 6, 5, 5],
            6,
            [3, 3],
            transposed(both(2, 1, 1, 6), [1, 1]),
        ),
        Case {
            computed_weight: true,
            ..sizes(
                [1, 6, 5, 4],
                10,
                [3, 3],
                transposed(both(2, 1, 1, 2), [1, 1]),
            )
        },
    ]);
}

#[test]
fn one_dimensional() {
    let one = |x: [u32; 3], c_out, kernel, conv| Case {
        one_d: true,
        ..sizes([x[0], x[1], 1, x[2]], c_out, [1, kernel], conv)
    };
    let line = |s, p, d, groups| conv([1, s], [0, p], [1, d], groups);
    check_all(&[
        one([3, 16, 50], 20, 3, line(1, 1, 1, 1)),
        one([1, 12, 31], 8, 1, line(2, 0, 1, 1)),
        one([1, 12, 31], 8, 1, line(1, 2, 1, 1)),
        one([1, 24, 40], 24, 5, line(1, 2, 1, 24)),
        one([1, 8, 20], 8, 1, line(1, 0, 1, 8)),
        one([2, 10, 40], 14, 3, line(2, 3, 2, 2)),
        one([1, 6, 9], 8, 4, transposed(line(2, 1, 1, 2), [0, 1])),
        Case {
            computed_weight: true,
            ..one([1, 6, 19], 8, 3, line(1, 1, 1, 1))
        },
    ]);
}

#[test]
fn clamped() {
    let clamped = |low, high, groups| Conv {
        clamp: Some([low, high]),
        ..conv([1, 1], [1, 1], [1, 1], groups)
    };
    check_all(&[
        sizes([1, 8, 6, 7], 9, [3, 3], clamped(0.0, f64::MAX, 1)),
        sizes([1, 8, 6, 7], 9, [3, 3], clamped(-0.5, 0.25, 1)),
        sizes([1, 8, 6, 7], 8, [3, 3], clamped(0.0, 6.0, 8)),
        sizes([1, 8, 6, 7], 10, [3, 3], clamped(-f64::MAX, 1.0, 2)),
    ]);
}

#[test]
fn half_precision() {
    for case in [
        sizes([1, 13, 9, 11], 18, [3, 3], conv([1, 1], [1, 1], [1, 1], 1)),
        sizes([1, 3, 9, 11], 18, [3, 3], conv([2, 2], [1, 1], [1, 1], 1)),
        sizes([1, 18, 5, 6], 10, [3, 3], conv([1, 1], [1, 1], [1, 1], 2)),
        sizes([1, 9, 5, 6], 9, [3, 3], conv([1, 1], [1, 1], [1, 1], 9)),
        sizes([1, 9, 5, 6], 13, [1, 1], plain(1)),
        sizes(
            [1, 6, 5, 4],
            10,
            [3, 3],
            transposed(conv([2, 2], [1, 1], [1, 1], 2), [1, 1]),
        ),
    ] {
        for algorithm in ALGORITHMS {
            Case {
                half: true,
                ..case.clone()
            }
            .check(algorithm);
        }
    }
}

/// Rows and columns of the GEMM at, below and above what its tiles and invocations hold.
#[test]
fn around_tiles() {
    for w in [1, 7, 8, 9, 31, 32, 33, 127, 128, 129] {
        sizes([1, 8, 1, w], 8, [1, 3], conv([1, 1], [0, 1], [1, 1], 1)).check("im2col");
    }
    for c_out in [3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        sizes([1, 8, 5, 5], c_out, [1, 3], conv([1, 1], [0, 1], [1, 1], 1)).check("im2col");
        sizes([1, 5, 5, 5], c_out, [1, 1], plain(1)).check("pointwise");
    }
    for c_in in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17] {
        sizes([1, c_in, 5, 5], 6, [2, 2], plain(1)).check("im2col");
        sizes([1, c_in, 5, 5], 6, [1, 1], plain(1)).check("pointwise");
        sizes([1, c_in, 5, 5], 6, [2, 2], plain(1)).check("direct");
    }
}

#[test]
fn random_geometries() {
    let seed =
        std::env::var("ETVK_TEST_SEED").map_or(20_653, |text| text.parse().expect("a number"));
    let mut random = Random::new(seed);
    let mut number = |low: i64, high: i64| u32::try_from(random.int(low, high)).expect("small");
    let mut done = 0;
    while done < 60 {
        let groups = [1, 1, 1, 2, 3, 5][number(0, 5) as usize];
        let (group_in, group_out) = (number(1, 12), number(1, 14));
        let mut conv = Conv {
            stride: [number(1, 3), number(1, 3)],
            padding: [number(0, 3), number(0, 3)],
            dilation: [number(1, 2), number(1, 3)],
            groups,
            ..Conv::default()
        };
        if number(0, 3) == 0 {
            conv = transposed(conv, [number(0, 1), number(0, 1)]);
        }
        let kernel = [number(1, 5), number(1, 5)];
        let x = [
            number(1, 2),
            group_in * groups,
            number(1, 12),
            number(1, 14),
        ];
        let smallest = |d: usize| {
            let reach = i64::from(conv.dilation[d] * (kernel[d] - 1) + 1);
            let (size, padding) = (i64::from(x[2 + d]), i64::from(conv.padding[d]));
            if conv.transposed {
                (size - 1) * i64::from(conv.stride[d]) + reach - 2 * padding
            } else {
                size + 2 * padding - reach + 1
            }
        };
        if smallest(0) < 1 || smallest(1) < 1 {
            continue;
        }
        let case = Case {
            bias: number(0, 1) == 1,
            seed: seed + u64::from(number(0, 1 << 20)),
            ..sizes(x, group_out * groups, kernel, conv)
        };
        for algorithm in ["direct", "im2col", "implicit"] {
            println!("ETVK_TEST_SEED={seed}, geometry {done}");
            case.check(algorithm);
        }
        done += 1;
    }
}

/// Pad lanes of channels-packed tensors are undefined; a NaN reaches the outputs that see it.
#[test]
fn nan_spreads_only_where_it_is_seen() {
    for (groups, c_in, c_out) in [(1, 5, 7), (1, 9, 9), (3, 15, 9), (5, 5, 5)] {
        for kernel in [[3, 3], [1, 1]] {
            let padding = [kernel[0] / 2, kernel[1] / 2];
            let case = sizes(
                [1, c_in, 7, 8],
                c_out,
                kernel,
                conv([1, 1], padding, [1, 1], groups),
            );
            for algorithm in ALGORITHMS {
                let mut operands = case.operands();
                operands.x.values[(2 * 7 + 3) * 8 + 4] = f64::NAN;
                operands.x.values[8] = f64::INFINITY;
                let want = case.reference(&operands);
                let Some((got, _)) = case.run(&operands, &[("conv_algorithm", algorithm)]) else {
                    return;
                };
                for (at, (g, w)) in got.values.iter().zip(&want.values).enumerate() {
                    assert_eq!(
                        g.is_nan(),
                        w.is_nan(),
                        "{algorithm}: element {at} of {case:?}"
                    );
                }
            }
        }
    }
}
