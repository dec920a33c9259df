//! Convolutions and linear layers of 8-bit integers that stand for `scale * (integer - zero_point)`.
//!
//! Sums are exact in 32 bits and rounded once. The sums of weights that the exporter gives for
//! correcting zero points are not read: integers lose their zero point before they are multiplied.

use super::quantize::Affine;
use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::{DType, Element, Layout, Tensor};
use crate::ops::support::builder::{dense_layout, LINE_LOCAL_SIZE};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::planes::{channels_last, push, signed};
use crate::ops::support::window::view;
use crate::ops::support::{Args, Op};

/// Most products in a sum: as many of the largest as fit 32 bits.
const MAX_TERMS: u64 = i32::MAX as u64 / (255 * 128);

/// A call of one of the operators.
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
        let transposed = self.form == Form::Transposed;
        let out = |i: usize, size: u32| self.window.output(i, size, transposed);
        let dims = [n, channels, out(0, h)?, out(1, w)?];
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
