//! Every scale is a power of two, so that the f64 reference is exact and ties are ties.

use super::fed::{element, made, Arg, Fed};
use super::random::Random;
use super::reference::{Array, EXACT};
use super::run::{plain, Typed};
use etvk::core::tensor::DType;
use etvk::core::tensor::DType::{F16, F32, I32, I8, U8};

const INTEGERS: Typed = plain(I8);
/// Of the input; the result's is 1.
const SCALE: f64 = 1.0 / 32.0;
/// Of the input and of the result.
const ZERO: [i64; 2] = [-7, 5];

/// Pairs are `[height, width]`; channels are those of the input and of the result.
#[derive(Clone, Copy, Debug)]
struct Conv {
    op: &'static str,
    channels: [u32; 2],
    plane: [u32; 2],
    kernel: [i64; 2],
    stride: [i64; 2],
    padding: [i64; 2],
    output_padding: [i64; 2],
    dilation: [i64; 2],
    groups: u32,
}

const fn conv(op: &'static str, channels: [u32; 2], kernel: i64, stride: i64, pad: i64) -> Conv {
    Conv {
        op,
        channels,
        plane: [9, 7],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [pad; 2],
        output_padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
    }
}

const GENERAL: &str = "et_vk.q8ta_conv2d.default";
const POINT: &str = "et_vk.q8ta_conv2d_pw.default";
const DEPTHWISE: &str = "et_vk.q8ta_conv2d_dw.default";
const TRANSPOSED: &str = "et_vk.q8ta_conv2d_transposed.default";

const CONVS: &[Conv] = &[
    conv(GENERAL, [3, 5], 3, 1, 1),
    conv(GENERAL, [7, 6], 5, 2, 2),
    Conv {
        kernel: [3, 2],
        stride: [1, 2],
        padding: [2, 0],
        dilation: [2, 3],
        groups: 3,
        ..conv(GENERAL, [6, 9], 0, 0, 0)
    },
    conv(POINT, [5, 11], 1, 1, 0),
    Conv {
        groups: 2,
        ..conv(POINT, [6, 8], 1, 1, 0)
    },
    Conv {
        groups: 8,
        ..conv(DEPTHWISE, [8, 8], 3, 2, 1)
    },
    Conv {
        groups: 4,
        dilation: [1, 2],
        ..conv(DEPTHWISE, [4, 4], 3, 1, 2)
    },
    conv(TRANSPOSED, [5, 3], 2, 2, 0),
    Conv {
        output_padding: [1, 0],
        groups: 2,
        ..conv(TRANSPOSED, [6, 4], 3, 2, 1)
    },
    Conv {
        kernel: [4, 3],
        stride: [3, 1],
        dilation: [1, 2],
        ..conv(TRANSPOSED, [4, 5], 0, 0, 1)
    },
];

impl Conv {
    fn output(&self, i: usize) -> u32 {
        let size = i64::from(self.plane[i]);
        let reach = self.dilation[i] * (self.kernel[i] - 1) + 1;
        let [stride, padding] = [self.stride[i], self.padding[i]];
        let count = match self.op {
            TRANSPOSED => (size - 1) * stride - 2 * padding + reach + self.output_padding[i],
            _ => (size + 2 * padding - reach) / stride + 1,
        };
        u32::try_from(count).expect("positive")
    }

    /// Where tap `k` of position `at` reads along height (0) or width (1), if inside.
    fn source(&self, i: usize, at: u32, k: i64) -> Option<u32> {
        let (at, k) = (i64::from(at), k * self.dilation[i]);
        let from = if self.op == TRANSPOSED {
            let from = at + self.padding[i] - k;
            (from % self.stride[i] == 0).then_some(from / self.stride[i])?
        } else {
            at * self.stride[i] - self.padding[i] + k
        };
        u32::try_from(from).ok().filter(|&y| y < self.plane[i])
    }

    /// Dims of the weights, with padded columns.
    fn weight_dims(&self) -> Vec<u32> {
        let [ky, kx] = self.kernel.map(|k| k as u32);
        match self.op {
            DEPTHWISE => vec![ky, kx, self.channels[1]],
            _ => {
                let columns = ky * kx * self.channels[0] / self.groups;
                vec![self.channels[1], columns.next_multiple_of(4)]
            }
        }
    }

    fn weight(&self, w: &Array, out: u32, [ky, kx]: [i64; 2], c: u32) -> f64 {
        let tap = (ky * self.kernel[1] + kx) as u32;
        match self.op {
            DEPTHWISE => element(w, &[ky as u32, kx as u32, out]),
            _ => element(w, &[out, tap * (self.channels[0] / self.groups) + c]),
        }
    }

    fn sum(&self, x: &Array, w: &Array, at: &[u32]) -> f64 {
        let group = [0, 1].map(|i| self.channels[i] / self.groups);
        let first = at[1] / group[1] * group[0];
        let mut sum = 0.0;
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                let place = (self.source(0, at[2], ky), self.source(1, at[3], kx));
                let (Some(y), Some(xx)) = place else { continue };
                for c in 0..group[0] {
                    let value = element(x, &[at[0], first + c, y, xx]) - ZERO[0] as f64;
                    sum += value * self.weight(w, at[1], [ky, kx], c);
                }
            }
        }
        sum
    }
}

/// The scale of weights of output channel `c`.
fn weight_scale(c: u32) -> f64 {
    0.5f64.powi(4 + c as i32 % 3)
}

fn bias(c: u32) -> f64 {
    f64::from(c) * 0.75 - 2.5
}

/// Arguments up to the bias. Per-channel constants are padded to whole fours.
fn leading(w: Array, channels: u32, typed: DType, with_bias: bool) -> Vec<Arg> {
    let padded = [channels.next_multiple_of(4)];
    let scales = made(typed, &padded, |i| weight_scale(i[0]));
    let mut args = vec![
        Arg::In(0),
        Arg::Double(SCALE),
        Arg::Int(ZERO[0]),
        Arg::Constant(w),
        // Sums of weights are not read.
        Arg::Constant(made(I32, &padded, |_| 12345.0)),
        Arg::Constant(scales),
        Arg::Double(1.0),
        Arg::Int(ZERO[1]),
    ];
    args.push(match with_bias {
        true => Arg::Constant(made(typed, &padded, |i| bias(i[0]))),
        false => Arg::None,
    });
    args
}

/// The resulting integer.
fn finish(sum: f64, c: u32, with_bias: bool, relu: bool) -> f64 {
    let value = sum * SCALE * weight_scale(c) + if with_bias { bias(c) } else { 0.0 };
    let value = if relu { value.max(0.0) } else { value };
    (value.round_ties_even() + ZERO[1] as f64).clamp(-128.0, 127.0)
}

fn bytes(dims: &[u32], seed: u64) -> Array {
    let count = dims.iter().map(|&d| d as usize).product();
    Array::new(I8, dims, &Random::new(seed).ints(count, -128, 127))
}

#[test]
fn convolutions_of_every_form() {
    for (k, conv) in CONVS.iter().enumerate() {
        for (batch, typed, with_bias, relu) in [(1, F32, true, false), (2, F16, k % 2 == 0, true)] {
            let x = bytes(&[batch, conv.channels[0], conv.plane[0], conv.plane[1]], 1);
            let w = bytes(&conv.weight_dims(), 2);
            let out = [batch, conv.channels[1], conv.output(0), conv.output(1)];
            let want = made(I8, &out, |i| {
                finish(conv.sum(&x, &w, i), i[1], with_bias, relu)
            });
            let mut args = leading(w, conv.channels[1], typed, with_bias);
            for pair in [conv.kernel, conv.stride, conv.padding] {
                args.push(Arg::Ints(pair.to_vec()));
            }
            if conv.op == TRANSPOSED {
                args.push(Arg::Ints(conv.output_padding.to_vec()));
            }
            args.push(Arg::Ints(conv.dilation.to_vec()));
            args.push(Arg::Int(conv.groups.into()));
            args.push(Arg::Text(if relu { "relu" } else { "none" }));
            let call = Fed::new(conv.op, &[(INTEGERS, &x)], args, INTEGERS, &out);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}

#[test]
fn linear_layers_of_any_rank() {
    let (inner, features) = (22u32, 7u32);
    for (rows, op) in [
        (&[5u32][..], "et_vk.q8ta_linear.default"),
        (&[2, 3], "et_vk.q8ta_linear.default"),
        (&[1], "et_vk.q8ta_linear_gemv.default"),
    ] {
        let x = bytes(&[rows, &[inner]].concat(), 3);
        let w = bytes(&[features, 24], 4);
        let out = [rows, &[features]].concat();
        let want = made(I8, &out, |i| {
            let (&c, row) = i.split_last().expect("rank");
            let sum = (0..inner).map(|k| {
                let value = element(&x, &[row, &[k]].concat()) - ZERO[0] as f64;
                value * element(&w, &[c, k])
            });
            finish(sum.sum(), c, true, false)
        });
        let mut args = leading(w, features, F32, true);
        args.push(Arg::Text("none"));
        let call = Fed::new(op, &[(INTEGERS, &x)], args, INTEGERS, &out);
        if call.check(&[&want], EXACT).is_none() {
            return;
        }
    }
}

#[test]
fn what_would_be_wrong_is_refused() {
    let refused = |typed: Typed, dims: &[u32], w: &[u32], activation: &'static str, word: &str| {
        let x = made(typed.host, dims, |_| 1.0);
        let mut args = leading(bytes(w, 1), w[0], F32, true);
        args.push(Arg::Text(activation));
        let mut out = dims.to_vec();
        *out.last_mut().expect("rank") = w[0];
        let op = "et_vk.q8ta_linear.default";
        let call = Fed::new(op, &[(typed, &x)], args, INTEGERS, &out);
        let Some(error) = call.refused() else { return };
        assert!(error.message.contains(word), "{}", error.message);
    };
    refused(INTEGERS, &[1, 8], &[4, 8], "gelu", "gelu");
    refused(plain(U8), &[1, 8], &[4, 8], "none", "U8");
    refused(INTEGERS, &[1, 9], &[4, 8], "none", "weights");
    refused(INTEGERS, &[1, 70000], &[1, 70000], "none", "70000");
}
