//! Convolutions and linear layers of 8-bit integers that stand for `scale * (integer - zero_point)`.
//!
//! Sums are exact in 32 bits and rounded once. The sums of weights that the exporter gives for
//! correcting zero points are not read: integers lose their zero point before they are multiplied.

use super::quantize::Affine;
use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::{DType, Element, Layout, Tensor, CHANNEL_PACK};
use crate::ops::support::builder::{dense_layout, LINE_LOCAL_SIZE};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, cuts, Axis, Moving, Piece, Pieces, Whole};
use crate::ops::support::planes::{channels_last, push, signed};
use crate::ops::support::window::view;
use crate::ops::support::{Args, Op};
use std::ops::Range;

/// Most products in a sum: as many of the largest as fit 32 bits.
const MAX_TERMS: u64 = i32::MAX as u64 / (255 * 128);

/// A call of one of the operators.
#[derive(Clone)]
pub struct QuantizedConv {
    form: Form,
    input: ValueId,
    from: Affine,
    weight: ValueId,
    /// Per output channel.
    weight_scales: ValueId,
    to: Affine,
    bias: Option<ValueId>,
    window: Window,
    /// Rows and columns of the result where the call is a piece of a larger one.
    given: [Option<u32>; 2],
    relu: bool,
    output: ValueId,
}

/// How weights lie; padded columns follow.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// `[output channel, (y, x, input channel of the group)]`.
    Rows,
    /// As rows, for the transposed convolution.
    Transposed,
    /// `[y, x, channel]`.
    Depthwise,
    /// `[output feature, input feature]`.
    Linear,
}

/// Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug)]
struct Window {
    kernel: [u32; 2],
    stride: [u32; 2],
    padding: [u32; 2],
    output_padding: [u32; 2],
    dilation: [u32; 2],
    groups: u32,
}

impl Op for QuantizedConv {
    const NAMES: &'static [&'static str] = &[
        "et_vk.q8ta_conv2d.default",
        "et_vk.q8ta_conv2d_dw.default",
        "et_vk.q8ta_conv2d_pw.default",
        "et_vk.q8ta_conv2d_transposed.default",
        "et_vk.q8ta_linear.default",
        "et_vk.q8ta_linear_gemv.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (form, len) = match args.op() {
            "et_vk.q8ta_conv2d_dw.default" => (Form::Depthwise, 16),
            "et_vk.q8ta_conv2d_transposed.default" => (Form::Transposed, 17),
            "et_vk.q8ta_linear.default" | "et_vk.q8ta_linear_gemv.default" => (Form::Linear, 11),
            _ => (Form::Rows, 16),
        };
        args.expect_len(len)?;
        let window = if form == Form::Linear {
            Window::POINT
        } else {
            // The transposed form has its output padding before the dilation.
            let shift = usize::from(form == Form::Transposed);
            Window {
                kernel: args.pair(9)?,
                stride: args.pair(10)?,
                padding: args.pair(11)?,
                output_padding: if shift == 1 { args.pair(12)? } else { [0; 2] },
                dilation: args.pair(12 + shift)?,
                groups: u32::try_from(args.int(13 + shift)?).unwrap_or(0),
            }
        };
        window.validate()?;
        Ok(Self {
            form,
            input: args.tensor(0)?,
            from: Affine::parse(args, 1)?,
            weight: args.tensor(3)?,
            weight_scales: args.tensor(5)?,
            to: Affine::parse(args, 6)?,
            bias: args.optional_tensor(8)?,
            window,
            given: [None; 2],
            relu: match args.optional_string(len - 2)? {
                None | Some("none") => false,
                Some("relu") => true,
                Some(other) => return Err(Error::unsupported(format!("activation {other:?}"))),
            },
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        // The bound of the sums below counts on it.
        if !(-128..=127).contains(&self.from.zero_point) {
            return Err(Error::unsupported(format!("{:?}", self.from)));
        }
        let types = [self.input, self.weight, self.output].map(|id| program.graph().tensor(id));
        for spec in types {
            let dtype = spec?.dtype;
            if dtype != DType::I8 {
                return Err(Error::unsupported(format!("integers of type {dtype:?}")));
            }
        }
        if self.form != Form::Linear {
            let source = program.operand(self.input, Want::Any)?;
            let (dims, weights) = self.planes(program, &source)?;
            let target = program.output_any(self.output, &dims, dense_layout(&source))?;
            return self.emit(program, &source, &target, &weights);
        }
        let source = program.operand(self.input, Want::Dense(Layout::Contiguous))?;
        let Some((&features, outer)) = source.dims.split_last() else {
            return Err(Error::blob("a linear layer of a scalar"));
        };
        let rows = u32::try_from(outer.iter().map(|&d| u64::from(d)).product::<u64>())
            .map_err(|_| Error::unsupported(format!("rows of dims {:?}", source.dims)))?;
        let as_planes = |t: &Tensor, c: u32| {
            view(t, &[rows, c, 1, 1]).ok_or_else(|| Error::internal("rows of a dense tensor"))
        };
        let planes = as_planes(&source, features)?;
        let (dims, weights) = self.planes(program, &planes)?;
        let out = [outer, &[dims[1]]].concat();
        let target = program.output(self.output, &out, Layout::Contiguous)?;
        self.emit(program, &planes, &as_planes(&target, dims[1])?, &weights)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let source = program.dims(self.input)?;
        let channels = self.channels(program)?;
        let groups = self.window.groups;
        let (mut dims, mut axes) = (source.clone(), Vec::new());
        if self.form == Form::Linear {
            let last = dims.len().saturating_sub(1);
            dims[last] = channels;
            axes.extend((0..last).map(|d| cut_along(self, d, vec![(self.input, d)])));
            axes.push(self.outputs(last, [source[last], channels]));
        } else {
            let &[n, c, h, w] = source.as_slice() else {
                return Ok(None);
            };
            if groups == 0 || c % groups != 0 || channels % groups != 0 {
                return Ok(None);
            }
            dims = vec![n, channels, self.extent(0, h)?, self.extent(1, w)?];
            axes.push(cut_along(self, 0, vec![(self.input, 0)]));
            for (i, size) in [h, w].into_iter().enumerate() {
                axes.push(Axis {
                    result_dims: vec![2 + i],
                    unit: 1,
                    cut: vec![self.input],
                    piece: Box::new(move |range| {
                        let (op, slice) = self.piece(i, size, &range);
                        let cuts = cuts(&[(self.input, 2 + i)], &slice);
                        Ok(Piece { op, cuts })
                    }),
                });
            }
            axes.push(self.outputs(1, [c / groups, channels / groups]));
        }
        let result = match self.form {
            Form::Linear => Whole {
                id: self.output,
                dims,
                layout: Layout::Contiguous,
            },
            _ => Whole::like(program, self.input, self.output, dims)?,
        };
        Ok(Some(Pieces {
            results: vec![result],
            operands: vec![self.input, self.weight],
            axes,
        }))
    }
}

/// Weights and what they need to be read.
struct Weights {
    tensor: Tensor,
    scales: Tensor,
    bias: Option<Tensor>,
    /// Distance of output channels, and of kernel positions.
    steps: [u32; 2],
    /// Input and output channels of a group.
    group: [u32; 2],
}

impl QuantizedConv {
    /// Size of the result along height (0) or width (1) for planes of `size` there.
    fn extent(&self, i: usize, size: u32) -> Result<u32> {
        match self.given[i] {
            Some(given) => Ok(given),
            None => self.window.output(i, size, self.form == Form::Transposed),
        }
    }

    /// What makes rows (0) or columns (1) `range` of a result from a plane of `size` there, and the
    /// slice of the plane that it reads.
    fn piece(&self, i: usize, size: u32, range: &Range<u32>) -> (Self, Range<u32>) {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
            ..
        } = self.window;
        let moving = Moving {
            size,
            stride: stride[i],
            padding: padding[i],
            reach: u64::from(kernel[i] - 1) * u64::from(dilation[i]),
        };
        let (slice, padding) = match self.form {
            Form::Transposed => moving.scattered(range),
            _ => moving.slice(range),
        };
        let mut op = self.clone();
        op.window.padding[i] = padding;
        op.given[i] = Some(range.end - range.start);
        (op, slice)
    }

    /// Output channels of the whole call, from the parameters that it has one of for each.
    fn channels(&self, program: &mut ProgramBuilder<'_>) -> Result<u32> {
        let weight = program.dims(self.weight)?;
        Ok(match self.form {
            // Lanes may be padded.
            Form::Depthwise => program.dims(self.input)?.get(1).copied().unwrap_or(0),
            _ => weight.first().copied().unwrap_or(0),
        })
    }

    /// Blocks of output channels: of one group as many as there are, else whole groups.
    fn outputs(&self, dim: usize, group: [u32; 2]) -> Axis<'_, Self> {
        let weight_dim = if self.form == Form::Depthwise { 2 } else { 0 };
        let per_output = [
            Some((self.weight, weight_dim)),
            Some((self.weight_scales, 0)),
            self.bias.map(|id| (id, 0)),
        ];
        let per_output: Vec<(ValueId, usize)> = per_output.into_iter().flatten().collect();
        let alone = self.window.groups == 1;
        let mut cut: Vec<ValueId> = per_output.iter().map(|&(id, _)| id).collect();
        cut.extend([self.input].iter().filter(|_| !alone));
        Axis {
            result_dims: vec![dim],
            unit: if alone { CHANNEL_PACK } else { group[1] },
            cut,
            piece: Box::new(move |range| {
                let mut op = self.clone();
                let mut list = cuts(&per_output, &range);
                if !alone {
                    let first = range.start / group[1];
                    op.window.groups = (range.end - range.start) / group[1];
                    let inputs = first * group[0]..(first + op.window.groups) * group[0];
                    list.extend(cuts(&[(self.input, 1)], &inputs));
                }
                Ok(Piece { op, cuts: list })
            }),
        }
    }

    /// Dims of the result for planes of `source`, and the weights, checked against them.
    fn planes(
        &self,
        program: &mut ProgramBuilder<'_>,
        source: &Tensor,
    ) -> Result<([u32; 4], Weights)> {
        let dense = Want::Dense(Layout::Contiguous);
        let tensor = program.operand(self.weight, dense)?;
        let scales = program.operand(self.weight_scales, dense)?;
        let bias = self.bias.map(|id| program.operand(id, dense)).transpose()?;
        let wrong = || {
            Error::blob(format!(
                "{:?} {:?} of dims {:?} with weights of dims {:?}",
                self.form, self.window, source.dims, tensor.dims
            ))
        };
        let &[n, c, h, w] = source.dims.as_slice() else {
            return Err(wrong());
        };
        let Window { kernel, groups, .. } = self.window;
        let taps = u64::from(kernel[0]) * u64::from(kernel[1]);
        let (channels, steps) = match (self.form, tensor.dims.as_slice()) {
            (Form::Depthwise, &[ky, kx, lanes]) if [ky, kx] == kernel && groups == c => {
                if lanes < c {
                    return Err(wrong());
                }
                (c, [1, lanes])
            }
            (Form::Depthwise, _) => return Err(wrong()),
            (_, &[rows, columns]) => {
                if u64::from(columns) < taps * u64::from(c / groups) {
                    return Err(wrong());
                }
                (rows, [columns, c / groups])
            }
            _ => return Err(wrong()),
        };
        if c % groups != 0 || channels % groups != 0 || channels == 0 {
            return Err(wrong());
        }
        let group = [c / groups, channels / groups];
        if taps * u64::from(group[0]) > MAX_TERMS {
            return Err(Error::unsupported(format!(
                "sums of {taps} * {} products of integers",
                group[0]
            )));
        }
        let per_channel = [Some(&scales), bias.as_ref()];
        for t in per_channel.into_iter().flatten() {
            if t.numel() < u64::from(channels) || t.element == Element::I32 {
                return Err(wrong());
            }
        }
        let dims = [n, channels, self.extent(0, h)?, self.extent(1, w)?];
        let weights = Weights {
            tensor,
            scales,
            bias,
            steps,
            group,
        };
        Ok((dims, weights))
    }

    fn emit(
        &self,
        program: &mut ProgramBuilder<'_>,
        source: &Tensor,
        target: &Tensor,
        weights: &Weights,
    ) -> Result<()> {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
            ..
        } = self.window;
        let mut words = push(source, target)?;
        let pairs = [
            [source.dims[2], source.dims[3]],
            stride,
            padding,
            dilation,
            weights.steps,
            weights.group,
        ];
        for n in pairs.into_iter().flatten() {
            words.push(signed(n.into())?);
        }
        words.extend([self.from.zero_point, self.to.zero_point].map(|n| n as u32));
        words.extend([self.from.scale_bits(), self.to.inverse_bits()]);
        // Without a bias the scales stand in its place.
        let bias = weights.bias.as_ref().unwrap_or(&weights.scales);
        let half = [&weights.scales, bias]
            .iter()
            .any(|t| t.element == Element::F16);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::QuantizedConvHalf
            } else {
                Shader::QuantizedConvPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                channels_last(target),
                weights.scales.element as u32,
                bias.element as u32,
                kernel[0],
                kernel[1],
                u32::from(self.form == Form::Transposed),
                u32::from(weights.bias.is_some()),
                u32::from(self.relu),
            ],
            push: words,
            bindings: vec![
                Bind::read(source),
                Bind::read(&weights.tensor),
                Bind::read(&weights.scales),
                Bind::read(bias),
                Bind::write(target),
            ],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
    }
}

impl Window {
    /// A linear layer's.
    const POINT: Self = Self {
        kernel: [1; 2],
        stride: [1; 2],
        padding: [0; 2],
        output_padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
    };

    /// Bounds that keep every position in the kernel within 32 bits.
    fn validate(&self) -> Result<()> {
        let positive = [self.kernel, self.stride, self.dilation];
        let small = |n: &u32| *n <= 1 << 12;
        let fine = positive.as_flattened().iter().all(|n| *n > 0 && small(n))
            && self.padding.iter().chain(&self.output_padding).all(small)
            && self.groups > 0;
        if fine {
            return Ok(());
        }
        Err(Error::unsupported(format!("{self:?}")))
    }

    /// Size of the result along height (0) or width (1).
    fn output(&self, i: usize, size: u32, transposed: bool) -> Result<u32> {
        let [kernel, stride, padding, more, dilation] = [
            self.kernel[i],
            self.stride[i],
            self.padding[i],
            self.output_padding[i],
            self.dilation[i],
        ]
        .map(i64::from);
        let (size, reach) = (i64::from(size), dilation * (kernel - 1) + 1);
        let count = if transposed {
            (size - 1) * stride - 2 * padding + reach + more
        } else {
            (size + 2 * padding - reach).div_euclid(stride) + 1
        };
        u32::try_from(count)
            .ok()
            .filter(|&n| n > 0 && i32::try_from(i64::from(n) * stride).is_ok())
            .ok_or_else(|| Error::blob(format!("{self:?} over a size of {size}")))
    }
}
