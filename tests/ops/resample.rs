use super::fed::{allow, element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, Tolerance, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType::F32;

/// What the size is given by.
#[derive(Clone, Copy, Debug)]
enum By {
    Size([u32; 2]),
    Scale([f64; 2]),
}

const CASES: &[([u32; 2], By)] = &[
    ([5, 7], By::Scale([2.0, 2.0])),
    ([5, 7], By::Scale([4.0, 3.0])),
    // Truncated sizes: the given scale counts, not the ratio of sizes.
    ([5, 5], By::Scale([1.5, 1.5])),
    ([7, 11], By::Scale([0.5, 0.3])),
    ([13, 6], By::Scale([1.1, 2.7])),
    ([5, 7], By::Size([7, 9])),
    ([3, 4], By::Size([5, 6])),
    ([12, 10], By::Size([6, 5])),
    ([9, 8], By::Size([4, 1])),
    ([1, 1], By::Size([3, 5])),
    ([6, 6], By::Size([6, 6])),
];

impl By {
    fn output(self, input: [u32; 2]) -> [u32; 2] {
        match self {
            Self::Size(size) => size,
            Self::Scale(s) => [0, 1].map(|i| (f64::from(input[i]) * s[i]) as u32),
        }
    }

    /// Source distance of neighbours in fp32, as PyTorch computes it.
    fn step(self, i: usize, size: u32, out: u32) -> f32 {
        match self {
            Self::Size(_) => size as f32 / out as f32,
            Self::Scale(s) => (1.0 / s[i]) as f32,
        }
    }

    fn args(self) -> [Arg; 2] {
        match self {
            Self::Size(size) => [Arg::Ints(size.map(i64::from).to_vec()), Arg::None],
            Self::Scale(scale) => [Arg::None, Arg::Doubles(scale.to_vec())],
        }
    }
}

/// Takes types, input, output size and how that is given; `None` ends the walk.
type Check<'a> = &'a dyn Fn(Typed, &Array, [u32; 2], By) -> Option<()>;

fn each(check: Check<'_>) {
    for (k, &(input, by)) in CASES.iter().enumerate() {
        for typed in FLOATS {
            for [n, c] in [[2, 6], [1, 8], [1, 1]] {
                let x = random(typed, &[n, c, input[0], input[1]], k as u64);
                if check(typed, &x, by.output(input), by).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn nearest_picks_the_element_that_pytorch_picks() {
    each(&|typed, x, [h, w], by| {
        let dims = [x.dims[0], x.dims[1], h, w];
        let want = made(typed.host, &dims, |i| {
            let at = |k: usize| {
                let size = x.dims[2 + k];
                let from = (i[2 + k] as f32 * by.step(k, size, dims[2 + k])).floor();
                (from as u32).min(size - 1)
            };
            element(x, &[i[0], i[1], at(0), at(1)])
        });
        let [size, scale] = by.args();
        let args = vec![Arg::In(0), size, scale];
        Fed::new(
            "aten.upsample_nearest2d.vec",
            &[(typed, x)],
            args,
            typed,
            &dims,
        )
        .check(&[&want], EXACT)
    });
}

#[test]
fn bilinear_with_and_without_aligned_corners() {
    for corners in [false, true] {
        each(&|typed, x, [h, w], by| {
            let dims = [x.dims[0], x.dims[1], h, w];
            let want = made(typed.host, &dims, |i| {
                let at = |k: usize| -> (u32, u32, f64) {
                    let (size, out) = (x.dims[2 + k], dims[2 + k]);
                    let i = f64::from(i[2 + k]);
                    let from = if !corners {
                        (f64::from(by.step(k, size, out)) * (i + 0.5) - 0.5).max(0.0)
                    } else if out == 1 {
                        0.0
                    } else {
                        i * f64::from(size - 1) / f64::from(out - 1)
                    };
                    let low = (from.floor() as u32).min(size - 1);
                    let weight = (from - f64::from(low)).clamp(0.0, 1.0);
                    (low, (low + 1).min(size - 1), weight)
                };
                let ((y0, y1, v), (x0, x1, u)) = (at(0), at(1));
                let get = |y, xx| element(x, &[i[0], i[1], y, xx]);
                (1.0 - v) * ((1.0 - u) * get(y0, x0) + u * get(y0, x1))
                    + v * ((1.0 - u) * get(y1, x0) + u * get(y1, x1))
            });
            let [size, scale] = by.args();
            let args = vec![Arg::In(0), size, Arg::Bool(corners), scale];
            // Positions up to 36 in fp32 are 4e-6 off, times differences of 8 in two directions.
            let tolerance = Tolerance {
                relative: 1e-6,
                absolute: 7e-5,
            };
            Fed::new(
                "aten.upsample_bilinear2d.vec",
                &[(typed, x)],
                args,
                typed,
                &dims,
            )
            .check(&[&want], allow(typed, tolerance))
        });
    }
}

/// One coordinate's source position, f64.
fn position(x: f64, size: u32, padding: i64, corners: bool) -> f64 {
    let last = f64::from(size) - 1.0;
    let at = if corners {
        (x + 1.0) / 2.0 * last
    } else {
        ((x + 1.0) * f64::from(size) - 1.0) / 2.0
    };
    match padding {
        0 => at,
        1 => at.clamp(0.0, last),
        _ => {
            let (low, high) = if corners {
                (0.0, last)
            } else {
                (-0.5, last + 0.5)
            };
            if high <= low {
                return 0.0;
            }
            let turn = (at - low).rem_euclid(2.0 * (high - low));
            let folded = low + turn.min(2.0 * (high - low) - turn);
            folded.clamp(0.0, last)
        }
    }
}

#[test]
fn grid_sampler() {
    for (interpolation, padding, corners) in [
        (0, 1, true),
        (0, 0, false),
        (0, 0, true),
        (0, 1, false),
        (0, 2, false),
        (0, 2, true),
        (1, 0, false),
        (1, 1, true),
        (1, 2, false),
    ] {
        for ([n, c, h, w], [h_out, w_out]) in [
            ([2u32, 6, 5, 7], [4u32, 3u32]),
            ([1, 4, 8, 8], [9, 5]),
            ([1, 3, 1, 6], [2, 2]),
        ] {
            for typed in FLOATS {
                let x = random(typed, &[n, c, h, w], 41);
                let grid = random(typed, &[n, h_out, w_out, 2], 42);
                // Steps of 1/64 from -1.75 to 1.75, odd ones: no position is a tie, and every one
                // is exact in fp16.
                let values: Vec<f64> = grid
                    .values
                    .iter()
                    .map(|g| ((g * 14.0).round() * 2.0 + 1.0) / 64.0)
                    .collect();
                let grid = Array::new(typed.host, &grid.dims, &values);
                let dims = [n, c, h_out, w_out];
                let want = made(typed.host, &dims, |i| {
                    let of = |k: u32| element(&grid, &[i[0], i[2], i[3], k]);
                    let px = position(of(0), w, padding, corners);
                    let py = position(of(1), h, padding, corners);
                    let get = |y: f64, xx: f64| {
                        let inside = y >= 0.0 && xx >= 0.0 && y < f64::from(h) && xx < f64::from(w);
                        if inside {
                            element(&x, &[i[0], i[1], y as u32, xx as u32])
                        } else {
                            0.0
                        }
                    };
                    if interpolation == 1 {
                        return get(py.round_ties_even(), px.round_ties_even());
                    }
                    let (y0, x0) = (py.floor(), px.floor());
                    let (v, u) = (py - y0, px - x0);
                    (1.0 - v) * ((1.0 - u) * get(y0, x0) + u * get(y0, x0 + 1.0))
                        + v * ((1.0 - u) * get(y0 + 1.0, x0) + u * get(y0 + 1.0, x0 + 1.0))
                });
                let args = vec![
                    Arg::In(0),
                    Arg::In(1),
                    Arg::Int(interpolation),
                    Arg::Int(padding),
                    Arg::Bool(corners),
                ];
                // Positions up to 16 in fp32 are 2e-6 off, times differences of 8 in two directions.
                let tolerance = match interpolation {
                    0 => Tolerance {
                        relative: 1e-6,
                        absolute: 3e-5,
                    },
                    _ => EXACT,
                };
                let inputs = [(typed, &x), (typed, &grid)];
                let call = Fed::new("aten.grid_sampler_2d.default", &inputs, args, typed, &dims);
                if call.check(&[&want], allow(typed, tolerance)).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn a_grid_that_points_nowhere_reads_nothing_outside() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let typed = plain(F32);
    let x = Array::new(F32, &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let pairs = [nan, nan, inf, 0.0, -inf, inf, 1e30, -1e30];
    let grid = Array::new(F32, &[1, 1, 4, 2], &pairs);
    for (padding, want) in [(0, [0.0, 0.0, 0.0, 0.0]), (1, [1.0, 3.0, 3.0, 2.0])] {
        let args = vec![
            Arg::In(0),
            Arg::In(1),
            Arg::Int(0),
            Arg::Int(padding),
            Arg::Bool(true),
        ];
        let inputs = [(typed, &x), (typed, &grid)];
        let want = Array::new(F32, &[1, 1, 1, 4], &want);
        let call = Fed::new(
            "aten.grid_sampler_2d.default",
            &inputs,
            args,
            typed,
            &want.dims,
        );
        if call.check(&[&want], EXACT).is_none() {
            return;
        }
    }
    let args = vec![
        Arg::In(0),
        Arg::In(1),
        Arg::Int(2),
        Arg::Int(0),
        Arg::Bool(true),
    ];
    let inputs = [(typed, &x), (typed, &grid)];
    let call = Fed::new(
        "aten.grid_sampler_2d.default",
        &inputs,
        args,
        typed,
        &[1, 1, 1, 4],
    );
    let Some(error) = call.refused() else { return };
    assert!(
        error.message.contains("interpolation mode 2"),
        "{}",
        error.message
    );
}
