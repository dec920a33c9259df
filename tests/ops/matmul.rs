//! `linear`, `mm`, `bmm`, `addmm` against sums in f64.

use crate::conv2d::kernels;
use crate::random::Random;
use crate::reference::Array;
use crate::run::{plain, Arg, Call, Typed, FORCED_HALF};
use etvk::core::device::DeviceClass;
use etvk::core::tensor::DType;

const F32: Typed = plain(DType::F32);

fn random(typed: Typed, dims: &[u32], random: &mut Random) -> Array {
    let count = dims.iter().map(|&d| d as usize).product();
    Array::new(typed.graph, dims, &random.floats(count, -1.0, 1.0))
}

/// The product of `[z, m, k]` and `[z, k, n]` given by their elements, and the magnitude of each sum.
struct Product {
    values: Vec<f64>,
    magnitudes: Vec<f64>,
    k: usize,
}

fn product(
    [z, m, k, n]: [usize; 4],
    a: impl Fn(usize, usize, usize) -> f64,
    b: impl Fn(usize, usize, usize) -> f64,
) -> Product {
    let mut result = Product {
        values: Vec::new(),
        magnitudes: Vec::new(),
        k,
    };
    for z in 0..z {
        for row in 0..m {
            for column in 0..n {
                let terms = (0..k).map(|i| a(z, row, i) * b(z, i, column));
                result.values.push(terms.clone().sum());
                result.magnitudes.push(terms.map(f64::abs).sum());
            }
        }
    }
    result
}

impl Product {
    /// Scales the product and adds `other(element)`.
    fn plus(mut self, alpha: f64, other: impl Fn(usize) -> f64) -> Self {
        for (at, (x, magnitude)) in self.values.iter_mut().zip(&mut self.magnitudes).enumerate() {
            *x = *x * alpha + other(at);
            *magnitude = *magnitude * alpha.abs() + other(at).abs();
        }
        self
    }

    /// K fused steps, a scale and an addition: at most K + 2 units of 2^-24 of the magnitudes' sum;
    /// fp16 results are rounded once more.
    fn check(&self, call: &Call) {
        if let Some(got) = call.run() {
            self.compare(call, &got);
        }
    }

    fn compare(&self, call: &Call, got: &Array) {
        assert_eq!(got.dims, call.dims);
        let half = if call.output.graph == DType::F16 {
            2f64.powi(-10)
        } else {
            0.0
        };
        let unit = (self.k + 2) as f64 * 2f64.powi(-24);
        for (at, (&g, &w)) in got.values.iter().zip(&self.values).enumerate() {
            let allowed = unit * self.magnitudes[at] + half * w.abs() + 1e-30;
            assert!(
                (g - w).abs() <= allowed,
                "{} {:?}: element {at} is {g:e}, expected {w:e}",
                call.op,
                call.dims
            );
        }
    }
}

/// How an operand comes: both must give the same.
#[derive(Clone, Copy)]
enum Given {
    Constant,
    Input,
}

fn arg(typed: Typed, given: Given, array: &Array) -> Arg {
    match given {
        Given::Constant => Arg::Constant(array.clone()),
        Given::Input => Arg::input(typed, array),
    }
}

#[test]
fn linear() {
    let mut r = Random::new(1);
    for (lead, k, n) in [
        (&[1][..], 1, 1),
        (&[1], 17, 10),
        (&[7], 64, 33),
        (&[8], 5, 8),
        (&[9], 130, 4),
        (&[2, 3], 12, 5),
        (&[2, 1, 5], 7, 9),
        (&[], 6, 3),
        (&[129], 8, 65),
        // A GPU cuts K of few rows into slices.
        (&[1], 300, 10),
        (&[5], 513, 9),
    ] {
        for (typed, given, has_bias) in [
            (F32, Given::Constant, true),
            (F32, Given::Input, false),
            (FORCED_HALF, Given::Constant, true),
        ] {
            let m: u32 = lead.iter().product();
            let x = random(typed, &[lead, &[k]].concat(), &mut r);
            let w = random(typed, &[n, k], &mut r);
            let bias = random(typed, &[n], &mut r);
            let sizes = [1, m, k, n].map(|d| d as usize);
            let [_, _, k_count, n_count] = sizes;
            let want = product(
                sizes,
                |_, row, i| x.values[row * k_count + i],
                |_, i, column| w.values[column * k_count + i],
            )
            .plus(1.0, |at| {
                if has_bias {
                    bias.values[at % n_count]
                } else {
                    0.0
                }
            });
            let bias = if has_bias {
                arg(typed, given, &bias)
            } else {
                Arg::None
            };
            want.check(&Call {
                op: "aten.linear.default",
                args: vec![Arg::input(typed, &x), arg(typed, given, &w), bias],
                output: typed,
                dims: [lead, &[n]].concat(),
            });
        }
    }
}

#[test]
fn mm_and_bmm() {
    let mut r = Random::new(2);
    for (z, m, k, n) in [
        (None, 5, 9, 6),
        (None, 1, 16, 16),
        (None, 33, 7, 18),
        (Some(3), 5, 9, 6),
        (Some(2), 8, 16, 12),
        (Some(1), 4, 3, 1),
    ] {
        for given in [Given::Constant, Given::Input] {
            let lead = z.map_or(vec![], |z| vec![z]);
            let a = random(F32, &[&lead[..], &[m, k]].concat(), &mut r);
            let b = random(F32, &[&lead[..], &[k, n]].concat(), &mut r);
            let sizes = [z.unwrap_or(1), m, k, n].map(|d| d as usize);
            let [_, m_count, k_count, n_count] = sizes;
            let want = product(
                sizes,
                |z, row, i| a.values[(z * m_count + row) * k_count + i],
                |z, i, column| b.values[(z * k_count + i) * n_count + column],
            );
            want.check(&Call {
                op: if z.is_some() {
                    "aten.bmm.default"
                } else {
                    "aten.mm.default"
                },
                args: vec![Arg::input(F32, &a), arg(F32, given, &b)],
                output: F32,
                dims: [&lead[..], &[m, n]].concat(),
            });
        }
    }
}

#[test]
fn addmm() {
    let mut r = Random::new(3);
    let (m, k, n) = (6, 10, 7);
    let (a, b) = (random(F32, &[m, k], &mut r), random(F32, &[k, n], &mut r));
    for (dims, beta, alpha) in [
        (&[n][..], 1.0, 1.0),
        (&[m, n], 0.5, -2.0),
        (&[m, 1], 2.0, 1.0),
        (&[1, n], -1.0, 0.0),
        (&[], 1.0, 1.0),
    ] {
        let added = random(F32, dims, &mut r);
        let strides = match dims {
            [_] | [1, _] => [0, 1],
            [_, 1] => [1, 0],
            [] => [0, 0],
            _ => [n as usize, 1],
        };
        let sizes = [1, m, k, n].map(|d| d as usize);
        let [_, _, k_count, n_count] = sizes;
        let want = product(
            sizes,
            |_, row, i| a.values[row * k_count + i],
            |_, i, column| b.values[i * n_count + column],
        )
        .plus(alpha, |at| {
            beta * added.values[at / n_count * strides[0] + at % n_count * strides[1]]
        });
        want.check(&Call {
            op: "aten.addmm.default",
            args: vec![
                Arg::input(F32, &added),
                Arg::input(F32, &a),
                Arg::Constant(b.clone()),
                Arg::Double(beta),
                Arg::Double(alpha),
            ],
            output: F32,
            dims: vec![m, n],
        });
    }
}

/// With beta 0 what is added is not read, as in PyTorch.
#[test]
fn beta_of_zero_hides_nan() {
    let ones = |dims: &[u32]| {
        Array::new(
            DType::F32,
            dims,
            &vec![1.0; dims.iter().product::<u32>() as usize],
        )
    };
    let nan = Array::new(DType::F32, &[2], &[f64::NAN; 2]);
    let call = Call {
        op: "aten.addmm.default",
        args: vec![
            Arg::input(F32, &nan),
            Arg::input(F32, &ones(&[2, 3])),
            Arg::Constant(ones(&[3, 2])),
            Arg::Int(0),
            Arg::Int(1),
        ],
        output: F32,
        dims: vec![2, 2],
    };
    if let Some(got) = call.run() {
        assert_eq!(got.values, [3.0; 4]);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let zeros = |dims: &[u32]| {
        Array::new(
            DType::F32,
            dims,
            &vec![0.0; dims.iter().product::<u32>() as usize],
        )
    };
    for (op, a, b) in [
        ("aten.mm.default", &[2, 3][..], &[4, 5][..]),
        ("aten.bmm.default", &[2, 2, 3], &[3, 3, 5]),
        ("aten.mm.default", &[2, 3], &[3]),
    ] {
        let call = Call {
            op,
            args: vec![Arg::input(F32, &zeros(a)), Arg::Constant(zeros(b))],
            output: F32,
            dims: vec![2, 5],
        };
        if let Some(failure) = call.refused() {
            assert!(
                failure.message.contains(&format!("{a:?}")),
                "{}",
                failure.message
            );
            assert!(
                failure.message.contains(&format!("{b:?}")),
                "{}",
                failure.message
            );
        }
    }
}

/// The kernel that GPUs take for few rows, run on this device.
#[test]
fn slices_of_k() {
    let Some(device) = kernels::device() else {
        return;
    };
    let mut r = Random::new(7);
    for (m, k, n) in [
        (1, 256, 1),
        (1, 257, 15),
        (2, 287, 16),
        (5, 300, 17),
        (8, 1000, 33),
    ] {
        let x = random(F32, &[m, k], &mut r);
        let w = random(F32, &[n, k], &mut r);
        let bias = random(F32, &[n], &mut r);
        let sizes = [1, m, k, n].map(|d| d as usize);
        let (k_count, n_count) = (sizes[2], sizes[3]);
        let want = product(
            sizes,
            |_, row, i| x.values[row * k_count + i],
            |_, i, column| w.values[column * k_count + i],
        )
        .plus(1.0, |at| bias.values[at % n_count]);
        let call = Call {
            op: "aten.linear.default",
            args: vec![Arg::input(F32, &x), Arg::Constant(w), Arg::Constant(bias)],
            output: F32,
            dims: vec![m, n],
        };
        let (graph, inputs) = call.graph();
        let (got, program) =
            kernels::run_as(&device, DeviceClass::Discrete, None, &graph, &inputs[0])
                .unwrap_or_else(|e| panic!("{m} x {k} x {n}: {e}"));
        let mut names = program.dispatches.iter().map(|d| d.shader.info().name);
        assert!(
            names.any(|n| n.starts_with("gemm_sliced")),
            "{m} x {k} x {n}"
        );
        want.compare(&call, &got);
    }
}
