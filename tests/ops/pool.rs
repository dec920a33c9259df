use super::fed::{allow, element, made, random, Arg, Fed, FLOATS};
use super::reference::{Array, Tolerance, EXACT};
use super::run::plain;
use etvk::core::tensor::DType::{F32, I32};

/// Kernel, stride (none: the kernel), padding, dilation as `[height, width]`, and ceil_mode.
#[derive(Clone, Copy, Debug)]
struct Window {
    kernel: [i64; 2],
    stride: Option<[i64; 2]>,
    padding: [i64; 2],
    dilation: [i64; 2],
    ceil: bool,
}

const fn window(kernel: i64, stride: i64, padding: i64, ceil: bool) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: Some([stride; 2]),
        padding: [padding; 2],
        dilation: [1; 2],
        ceil,
    }
}

const WINDOWS: &[Window] = &[
    Window {
        stride: None,
        ..window(2, 0, 0, false)
    },
    window(3, 2, 1, false),
    window(3, 2, 1, true),
    window(2, 2, 0, true),
    window(3, 1, 0, false),
    window(1, 3, 0, true),
    Window {
        kernel: [3, 5],
        stride: Some([1, 3]),
        padding: [1, 2],
        ..window(0, 0, 0, true)
    },
    Window {
        kernel: [5, 4],
        stride: Some([5, 4]),
        ..window(0, 0, 0, false)
    },
];

const DILATED: &[Window] = &[
    Window {
        dilation: [2, 1],
        ..window(3, 1, 1, false)
    },
    Window {
        dilation: [2, 3],
        ..window(2, 2, 1, true)
    },
];

impl Window {
    fn step(&self, i: usize) -> i64 {
        self.stride.unwrap_or(self.kernel)[i]
    }

    fn output(&self, dims: &[u32]) -> Vec<u32> {
        let mut out = dims.to_vec();
        for i in 0..2 {
            let d = dims.len() - 2 + i;
            let size = i64::from(dims[d]);
            let fits = |start: i64| {
                let reach = self.dilation[i] * (self.kernel[i] - 1) + 1;
                let end = start + reach;
                match self.ceil {
                    false => end <= size + self.padding[i],
                    // May end beyond, but begins inside the plane or the padding before it, and
                    // fewer than a stride is missing.
                    true => start < size && end < size + self.padding[i] + self.step(i),
                }
            };
            let starts = (0..).map(|k| k * self.step(i) - self.padding[i]);
            out[d] = starts.take_while(|&s| fits(s)).count() as u32;
        }
        out
    }

    /// Positions along height (0) or width (1), padding included.
    fn positions(&self, i: usize, at: u32) -> Vec<i64> {
        let start = i64::from(at) * self.step(i) - self.padding[i];
        (0..self.kernel[i])
            .map(|k| start + k * self.dilation[i])
            .collect()
    }

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::In(0),
            Arg::Ints(self.kernel.to_vec()),
            Arg::Ints(self.stride.map_or(vec![], |s| s.to_vec())),
            Arg::Ints(self.padding.to_vec()),
        ]
    }
}

/// The elements of the window at `out`, with their numbers in the plane.
fn inside(x: &Array, w: &Window, out: &[u32]) -> Vec<(f64, u32)> {
    let rank = x.dims.len();
    let [height, width] = [x.dims[rank - 2], x.dims[rank - 1]];
    let mut all = Vec::new();
    for y in w.positions(0, out[rank - 2]) {
        for xx in w.positions(1, out[rank - 1]) {
            let place = (u32::try_from(y).ok(), u32::try_from(xx).ok());
            if let (Some(y), Some(xx)) = place {
                if y < height && xx < width {
                    let mut at = out.to_vec();
                    (at[rank - 2], at[rank - 1]) = (y, xx);
                    all.push((element(x, &at), y * width + xx));
                }
            }
        }
    }
    all
}

/// The first of the largest; NaN, and the last of several.
fn largest(all: &[(f64, u32)]) -> (f64, u32) {
    let mut best = (f64::NEG_INFINITY, all[0].1);
    for &(x, at) in all {
        if x > best.0 || x.is_nan() {
            best = (x, at);
        }
    }
    best
}

const DIMS: &[&[u32]] = &[&[2, 6, 11, 13], &[1, 8, 7, 9], &[3, 9, 8]];

#[test]
fn largest_with_and_without_indices() {
    for dims in DIMS {
        for w in WINDOWS.iter().chain(DILATED) {
            for typed in FLOATS {
                // Few different numbers, so that the first of several counts.
                let x = random(typed, dims, 31);
                let values: Vec<f64> = x.values.iter().map(|x| x.round()).collect();
                let x = Array::new(typed.host, dims, &values);
                if check_max(&x, w, typed).is_none() {
                    return;
                }
            }
        }
    }
}

fn check_max(x: &Array, w: &Window, typed: super::run::Typed) -> Option<()> {
    let out = w.output(&x.dims);
    let values = made(typed.host, &out, |i| largest(&inside(x, w, i)).0);
    let indices = made(I32, &out, |i| largest(&inside(x, w, i)).1.into());
    let mut args = w.args();
    args.extend([Arg::Ints(w.dilation.to_vec()), Arg::Bool(w.ceil)]);
    let op = "aten.max_pool2d_with_indices.default";
    let mut call = Fed::new(op, &[(typed, x)], args.clone(), typed, &out);
    call.outputs.push((plain(I32), out.clone()));
    call.list = true;
    call.check(&[&values, &indices], EXACT)?;
    let call = Fed::new("aten.max_pool2d.default", &[(typed, x)], args, typed, &out);
    call.check(&[&values], EXACT)
}

#[test]
fn largest_of_special_values() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let values = [
        [-inf, -inf, 1.0, nan, 2.0, -1e-40],
        [-inf, -inf, nan, 0.0, inf, -2e-40],
        [-3e38, -inf, -1.0, -2.0, -0.0, 0.0],
    ];
    let x = Array::new(F32, &[1, 1, 3, 6], &values.concat());
    for w in [
        window(2, 1, 0, false),
        window(2, 1, 1, false),
        window(3, 2, 1, true),
    ] {
        if check_max(&x, &w, plain(F32)).is_none() {
            return;
        }
    }
}

#[test]
fn means() {
    for dims in DIMS {
        for w in WINDOWS {
            for (padded, divisor) in [
                (true, None),
                (false, None),
                (true, Some(5)),
                (false, Some(-2)),
            ] {
                for typed in FLOATS {
                    let x = random(typed, dims, 32);
                    let out = w.output(dims);
                    let rank = dims.len();
                    let want = made(typed.host, &out, |i| {
                        let all = inside(&x, w, i);
                        let within = |k: usize| {
                            let d = rank - 2 + k;
                            let end = i64::from(dims[d]) + w.padding[k];
                            w.positions(k, i[d]).iter().filter(|&&p| p < end).count()
                        };
                        let count = match (divisor, padded) {
                            (Some(n), _) => f64::from(n),
                            (None, true) => (within(0) * within(1)) as f64,
                            (None, false) => all.len() as f64,
                        };
                        all.iter().map(|(x, _)| x).sum::<f64>() / count
                    });
                    let mut args = w.args();
                    let divisor = divisor.map_or(Arg::None, |n| Arg::Int(n.into()));
                    args.extend([Arg::Bool(w.ceil), Arg::Bool(padded), divisor]);
                    // 20 numbers within 4 at most: 20 steps of 2^-24 of a sum of 80.
                    let tolerance = Tolerance {
                        relative: 1e-6,
                        absolute: 2e-6,
                    };
                    let call =
                        Fed::new("aten.avg_pool2d.default", &[(typed, &x)], args, typed, &out);
                    if call.check(&[&want], allow(typed, tolerance)).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn impossible_windows_are_refused() {
    let typed = plain(F32);
    let x = random(typed, &[1, 4, 3, 3], 1);
    for (w, word) in [
        (window(4, 1, 0, false), "size of 3"),
        (window(2, 0, 0, false), "stride [0, 0]"),
        (window(2, 1, 2, false), "padding [2, 2]"),
    ] {
        let mut args = w.args();
        args.extend([Arg::Ints(vec![1, 1]), Arg::Bool(false)]);
        let call = Fed::new(
            "aten.max_pool2d.default",
            &[(typed, &x)],
            args,
            typed,
            &[1, 4, 9, 9],
        );
        let Some(error) = call.refused() else { return };
        assert!(error.message.contains(word), "{}", error.message);
    }
}
