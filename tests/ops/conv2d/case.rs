//! One convolution: its graph, its inputs, its f64 reference, and how far a result may be off.

use crate::blob::{Conv, GraphBuilder};
use crate::random::Random;
use crate::reference::Array;
use crate::run::{etvk_convolution, plain, Loaded, Typed, FORCED_HALF};
use etvk::core::graph::{Value, ValueId};
use etvk::core::tensor::DType;

/// Of `etvk_conv_algorithm`.
pub(super) const IM2COL: u32 = 3;
pub(super) const WINOGRAD: u32 = 5;

/// What can hold columns besides a buffer, as the option `scratch_storage` names it.
pub(super) const IMAGES: [&str; 2] = ["texture2d", "texture3d"];

/// Why a convolution is done as it is.
pub(super) fn reason(report: &etvk_convolution) -> String {
    let bytes = report.reason.iter().map(|&c| c as u8);
    let bytes: Vec<u8> = bytes.take_while(|&b| b != 0).collect();
    String::from_utf8(bytes).expect("UTF-8")
}

/// A convolution with random operands. The default is 3x3 with bias.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// `[n, c_in, h, w]`; `h` is 1 when `one_d`.
    pub(super) x: [u32; 4],
    pub(super) c_out: u32,
    pub(super) kernel: [u32; 2],
    pub(super) conv: Conv,
    pub(super) bias: bool,
    /// Input, weight and output without their height, lists of one element.
    pub(super) one_d: bool,
    /// Lists of one element for both directions, where both are equal.
    pub(super) short_lists: bool,
    /// Weight and bias are graph inputs.
    pub(super) computed_weight: bool,
    pub(super) half: bool,
    pub(super) seed: u64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            x: [1, 8, 9, 11],
            c_out: 8,
            kernel: [3, 3],
            conv: Conv {
                padding: [1, 1],
                ..Conv::default()
            },
            bias: true,
            one_d: false,
            short_lists: false,
            computed_weight: false,
            half: false,
            seed: 1,
        }
    }
}

/// What the reference says.
pub(super) struct Want {
    pub(super) dims: Vec<u32>,
    pub(super) values: Vec<f64>,
    /// Per element: the sum of magnitudes of what is added.
    pub(super) magnitudes: Vec<f64>,
}

pub(super) struct Operands {
    pub(super) x: Array,
    pub(super) weight: Array,
    pub(super) bias: Option<Array>,
}

impl Case {
    pub(super) fn weight_dims(&self) -> [u32; 4] {
        let [kh, kw] = self.kernel;
        let groups = self.conv.groups;
        if self.conv.transposed {
            [self.x[1], self.c_out / groups, kh, kw]
        } else {
            [self.c_out, self.x[1] / groups, kh, kw]
        }
    }

    fn dtype(&self) -> DType {
        if self.half {
            DType::F16
        } else {
            DType::F32
        }
    }

    pub(super) fn operands(&self) -> Operands {
        let mut random = Random::new(self.seed);
        let mut array = |dims: &[u32]| {
            let count = dims.iter().map(|&d| d as usize).product();
            Array::new(self.dtype(), dims, &random.floats(count, -1.0, 1.0))
        };
        Operands {
            x: array(&self.x),
            weight: array(&self.weight_dims()),
            bias: self.bias.then(|| array(&[self.c_out])),
        }
    }

    /// Number of products in one output, at most.
    pub(super) fn k(&self) -> u32 {
        self.x[1] / self.conv.groups * self.kernel[0] * self.kernel[1]
    }

    fn squeezed(&self, dims: &[u32]) -> Vec<u32> {
        if self.one_d {
            vec![dims[0], dims[1], dims[3]]
        } else {
            dims.to_vec()
        }
    }

    pub(super) fn graph(&self, operands: &Operands) -> (GraphBuilder, Vec<Array>) {
        let mut graph = GraphBuilder::new();
        let typed = if self.half {
            FORCED_HALF
        } else {
            plain(DType::F32)
        };
        let mut inputs = Vec::new();
        let host = |array: &Array, dims: &[u32]| Array::new(typed.host, dims, &array.values);
        let mut input = |graph: &mut GraphBuilder, array: &Array, dims: &[u32]| {
            let id = graph.staged(typed.graph, typed.host, dims);
            graph.graph.inputs.push(id);
            inputs.push(host(array, dims));
            id
        };
        let x = input(&mut graph, &operands.x, &self.squeezed(&self.x));
        let weight_dims = self.squeezed(&self.weight_dims());
        let (weight, bias) = if self.computed_weight {
            let weight = input(&mut graph, &operands.weight, &weight_dims);
            let bias = operands.bias.as_ref();
            (weight, bias.map(|b| input(&mut graph, b, &b.dims)))
        } else {
            let mut constant =
                |array: &Array, dims: &[u32]| graph.constant(array.dtype, dims, &array.bytes());
            let weight = constant(&operands.weight, &weight_dims);
            let bias = operands.bias.as_ref();
            (weight, bias.map(|b| constant(b, &b.dims)))
        };
        let out = self.node(&mut graph, [x, weight], bias, typed);
        graph.output(out);
        (graph, inputs)
    }

    /// The call; gives its output.
    pub(super) fn node(
        &self,
        graph: &mut GraphBuilder,
        [x, weight]: [ValueId; 2],
        bias: Option<ValueId>,
        typed: Typed,
    ) -> ValueId {
        let conv = &self.conv;
        let mut args = vec![x, weight, bias.unwrap_or_else(|| graph.none())];
        let mut list = |graph: &mut GraphBuilder, [h, w]: [u32; 2]| {
            let short = self.one_d || self.short_lists && h == w;
            let both = [i64::from(h), i64::from(w)];
            args.push(graph.ints(if short { &both[1..] } else { &both }));
        };
        list(graph, conv.stride);
        list(graph, conv.padding);
        list(graph, conv.dilation);
        args.push(graph.bool(conv.transposed));
        let both = conv.output_padding.map(i64::from);
        args.push(graph.ints(if self.one_d { &both[1..] } else { &both }));
        args.push(graph.int(conv.groups.into()));
        args.extend(conv.clamp.iter().flatten().map(|&bound| {
            // Whole numbers arrive as integers, f64's greatest number means no bound.
            if bound.fract() == 0.0 && bound.abs() < 1e6 {
                graph.value(Value::Int(bound as i64))
            } else {
                graph.double(bound)
            }
        }));
        let dims = conv.output_dims(&self.x, &self.weight_dims());
        let out = graph.staged(typed.graph, typed.host, &self.squeezed(&dims));
        args.push(out);
        let op = match conv.clamp {
            Some(_) => "et_vk.conv_with_clamp.default",
            None => "aten.convolution.default",
        };
        graph.node(op, &args);
        out
    }

    /// Straight from the definition, scattering for transposed convolutions.
    pub(super) fn reference(&self, operands: &Operands) -> Want {
        let (x, w) = (&operands.x.values, &operands.weight.values);
        let [n, c_in, h_in, w_in] = self.x.map(|d| d as usize);
        let dims = self.conv.output_dims(&self.x, &self.weight_dims());
        let [_, c_out, h_out, w_out] = [0, 1, 2, 3].map(|i| dims[i] as usize);
        let groups = self.conv.groups as usize;
        let (group_in, group_out) = (c_in / groups, c_out / groups);
        let [kh, kw] = self.kernel.map(|d| d as usize);
        let numbers = |pair: [u32; 2]| pair.map(i64::from);
        let (stride, padding) = (numbers(self.conv.stride), numbers(self.conv.padding));
        let dilation = numbers(self.conv.dilation);
        let mut values = vec![0f64; n * c_out * h_out * w_out];
        let mut magnitudes = values.clone();
        // Where (large image position, tap) meets the small image, or nothing.
        let meet = |at: usize, tap: usize, d: usize, size: usize| -> Option<usize> {
            let far = at as i64 * stride[d] - padding[d] + tap as i64 * dilation[d];
            usize::try_from(far).ok().filter(|&p| p < size)
        };
        for image in 0..n {
            for o in 0..c_out {
                let group = o / group_out;
                for i in 0..group_in {
                    let c = group * group_in + i;
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let tap = if self.conv.transposed {
                                (c * group_out + o % group_out, ky, kx)
                            } else {
                                (o * group_in + i, ky, kx)
                            };
                            let weight = w[(tap.0 * kh + tap.1) * kw + tap.2];
                            let mut add = |yi: [usize; 2], xi: [usize; 2]| {
                                let from = ((image * c_in + c) * h_in + xi[0]) * w_in + xi[1];
                                let to = ((image * c_out + o) * h_out + yi[0]) * w_out + yi[1];
                                values[to] += x[from] * weight;
                                magnitudes[to] += (x[from] * weight).abs();
                            };
                            if self.conv.transposed {
                                for hi in 0..h_in {
                                    let Some(ho) = meet(hi, ky, 0, h_out) else {
                                        continue;
                                    };
                                    for wi in 0..w_in {
                                        let Some(wo) = meet(wi, kx, 1, w_out) else {
                                            continue;
                                        };
                                        add([ho, wo], [hi, wi]);
                                    }
                                }
                            } else {
                                for ho in 0..h_out {
                                    let Some(hi) = meet(ho, ky, 0, h_in) else {
                                        continue;
                                    };
                                    for wo in 0..w_out {
                                        let Some(wi) = meet(wo, kx, 1, w_in) else {
                                            continue;
                                        };
                                        add([ho, wo], [hi, wi]);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        let plane = h_out * w_out;
        for (at, (value, magnitude)) in values.iter_mut().zip(&mut magnitudes).enumerate() {
            if let Some(bias) = &operands.bias {
                let b = bias.values[at / plane % c_out];
                *value += b;
                *magnitude += b.abs();
            }
            if let Some([low, high]) = self.conv.clamp {
                if !value.is_nan() {
                    *value = value.max(low).min(high);
                }
            }
        }
        Want {
            dims: self.squeezed(&dims),
            values,
            magnitudes,
        }
    }

    /// Runs it; `None` without a device.
    pub(super) fn run(
        &self,
        operands: &Operands,
        options: &[(&str, &str)],
    ) -> Option<(Array, etvk_convolution)> {
        let (graph, inputs) = self.graph(operands);
        let result = Loaded::with_options(&graph, options)?.and_then(|loaded| {
            let mut outputs = loaded.run(&inputs)?;
            Ok((outputs.remove(0), loaded.convolutions()?[0]))
        });
        Some(result.unwrap_or_else(|e| panic!("{options:?}: {}\n{self:?}", e.message)))
    }

    /// Runs it with `algorithm` asked for and compares with the reference.
    pub(super) fn check(&self, algorithm: &str) {
        let operands = self.operands();
        let mut want = self.reference(&operands);
        let Some((got, report)) = self.run(&operands, &[("conv_algorithm", algorithm)]) else {
            return;
        };
        if report.algorithm == WINOGRAD {
            // Errors are of the size of the tile's largest sums; transforms more than double them
            // where K is as short as 9.
            let largest = want.magnitudes.iter().copied().fold(0.0, f64::max);
            want.magnitudes.fill(3.0 * largest);
        }
        self.compare(algorithm, &got, &want);
        if algorithm == "im2col" && report.algorithm == IM2COL {
            self.check_storages(&operands, &got);
        }
    }

    /// Columns in images give the bits `want` that a buffer gave.
    fn check_storages(&self, operands: &Operands, want: &Array) {
        for storage in IMAGES {
            let options = [("conv_algorithm", "im2col"), ("scratch_storage", storage)];
            let (got, report) = self.run(operands, &options).expect("ran before");
            let reason = reason(&report);
            let used = format!("columns in {storage} as asked");
            assert!(reason.contains(&used), "{reason}: {self:?}");
            assert!(got == *want, "{storage} changes bits: {self:?}");
        }
    }

    /// A chain of K fused multiply-adds errs by at most K units of 2^-24 of the magnitudes' sum;
    /// bias and scale add two. fp16 results are rounded once more, by half a unit of 2^-10, or
    /// twice that where the device truncates.
    pub(super) fn compare(&self, what: &str, got: &Array, want: &Want) {
        assert_eq!(got.dims, want.dims, "{what}: {self:?}");
        let unit = f64::from(self.k() + 2) * 2f64.powi(-24);
        let half = if self.half { 2f64.powi(-10) } else { 0.0 };
        for (at, &w) in want.values.iter().enumerate() {
            let g = got.values[at];
            let allowed = unit * want.magnitudes[at] + half * w.abs() + 1e-30;
            let same = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= allowed;
            assert!(
                same,
                "{what}: element {at} of {:?} is {g:e}, expected {w:e}, off by {:.1} times what \
                 is allowed\n{self:?}",
                got.dims,
                (g - w).abs() / allowed
            );
        }
    }
}
