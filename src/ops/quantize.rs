//! Integers that stand for `scale * (integer - zero_point)`: made from numbers, turned into numbers,
//! and the element-wise operators between them.

use super::pixel_shuffle;
use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::ops::support::elementwise::{Elementwise, LOCAL_SIZE};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel: push constants hold no more.
const MAX_RANK: usize = 5;

/// What an integer stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Distance of neighbours.
    pub scale: f64,
    /// The integer of 0.
    pub zero_point: i32,
}

impl Affine {
    /// Numbers as they are.
    const PLAIN: Self = Self {
        scale: 1.0,
        zero_point: 0,
    };

    /// Arguments `i` and `i + 1`.
    pub fn parse(args: &Args<'_>, i: usize) -> Result<Self> {
        Self::new(args.number(i)?, args.int(i + 1)?)
    }

    fn new(scale: f64, zero_point: i64) -> Result<Self> {
        let (given, inverse) = (scale as f32, (1.0 / scale) as f32);
        let zero = i32::try_from(zero_point)
            .ok()
            .filter(|z| z.unsigned_abs() < 1 << 15);
        match zero {
            // Neither it nor its inverse may leave the range of floats.
            Some(zero_point) if given > 0.0 && given.is_normal() && inverse.is_normal() => {
                Ok(Self { scale, zero_point })
            }
            _ => Err(Error::unsupported(format!(
                "quantization by {scale} with zero point {zero_point}"
            ))),
        }
    }

    /// The bits of what kernels multiply by to make integers.
    pub fn inverse_bits(self) -> u32 {
        ((1.0 / self.scale) as f32).to_bits()
    }

    /// The bits of what kernels multiply by to make numbers.
    pub fn scale_bits(self) -> u32 {
        (self.scale as f32).to_bits()
    }

    /// Whether every 8-bit integer stays as it is when it comes to stand for a number of `to`.
    fn keeps(self, to: Self) -> bool {
        self.zero_point == to.zero_point && (self.scale / to.scale - 1.0).abs() < 1e-3
    }
}

/// A call of one of the operators.
#[derive(Clone)]
pub struct Quantize {
    form: Form,
    inputs: Vec<ValueId>,
    from: [Affine; 2],
    to: Affine,
    /// Range of the resulting integers.
    range: [i32; 2],
    output: ValueId,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Quantize,
    Dequantize,
    Add,
    Relu,
    /// With the factor.
    PixelShuffle(u32),
}

/// The range of 8-bit integers, which the fused operators have.
const BYTE: [i32; 2] = [-128, 127];

impl Op for Quantize {
    const NAMES: &'static [&'static str] = &[
        "et_vk.q8ta_add.default",
        "et_vk.q8ta_pixel_shuffle.default",
        "et_vk.q8ta_relu.default",
        "quantized_decomposed.dequantize_per_tensor.default",
        "quantized_decomposed.quantize_per_tensor.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (plain, mut inputs) = (Affine::PLAIN, vec![args.tensor(0)?]);
        let (form, from, to, range) = match args.op() {
            "quantized_decomposed.quantize_per_tensor.default" => {
                args.expect_len(7)?;
                let range = [quantum(args, 3)?, quantum(args, 4)?];
                let to = Affine::parse(args, 1)?;
                (Form::Quantize, [plain; 2], to, range)
            }
            "quantized_decomposed.dequantize_per_tensor.default" => {
                args.expect_len(8)?;
                let from = Affine::parse(args, 1)?;
                (Form::Dequantize, [from, plain], plain, BYTE)
            }
            "et_vk.q8ta_add.default" => {
                args.expect_len(10)?;
                inputs.push(args.tensor(1)?);
                // The second operand's factor goes with its scale.
                let mut from = [Affine::parse(args, 2)?, Affine::parse(args, 4)?];
                from[1].scale *= args.number(8)?;
                (Form::Add, from, Affine::parse(args, 6)?, BYTE)
            }
            "et_vk.q8ta_relu.default" => {
                args.expect_len(6)?;
                let from = [Affine::parse(args, 1)?, plain];
                (Form::Relu, from, Affine::parse(args, 3)?, BYTE)
            }
            _ => {
                args.expect_len(7)?;
                // The result's scale comes inverted.
                let to = Affine::new(1.0 / args.number(3)?, args.int(4)?)?;
                let factor = pixel_shuffle::factor(args, 5)?;
                let from = [Affine::parse(args, 1)?, plain];
                (Form::PixelShuffle(factor), from, to, BYTE)
            }
        };
        Ok(Self {
            form,
            inputs,
            from,
            to,
            range,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        self.check_types(program)?;
        if let Form::PixelShuffle(factor) = self.form {
            return self.shuffle(program, factor);
        }
        let call = Elementwise::new(program, &self.inputs, self.output, MAX_RANK)?;
        self.emit(program, &call.operands, &call.target)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        if matches!(self.form, Form::PixelShuffle(_)) {
            return Ok(None);
        }
        let result = Whole::broadcast(program, &self.inputs, self.output)?;
        pointwise(self, program, &self.inputs, result).map(Some)
    }
}

impl Quantize {
    fn check_types(&self, program: &ProgramBuilder<'_>) -> Result<()> {
        let graph = program.graph();
        let to = graph.tensor(self.output)?.dtype;
        let holds = match to {
            DType::I8 => Some(BYTE),
            DType::U8 => Some([0, 255]),
            // As far as floats count in ones.
            DType::I32 => Some([-(1 << 23), 1 << 23]),
            _ => None,
        };
        let makes_integers = self.form != Form::Dequantize;
        let fits = match holds {
            Some([low, high]) => makes_integers && low <= self.range[0] && self.range[1] <= high,
            None => !makes_integers && to.is_float(),
        };
        for &id in &self.inputs {
            let from = graph.tensor(id)?.dtype;
            let right = match self.form {
                Form::Quantize => from.is_float(),
                _ => matches!(from, DType::I8 | DType::U8 | DType::I32),
            };
            if !right || !fits || self.range[0] > self.range[1] {
                return Err(Error::unsupported(format!(
                    "{:?} of {from:?} into {to:?}, integers {:?}",
                    self.form, self.range
                )));
            }
        }
        Ok(())
    }

    /// The shuffle of integers as they are, and then what they become.
    fn shuffle(&self, program: &mut ProgramBuilder<'_>, factor: u32) -> Result<()> {
        let source = program.tensor(self.inputs[0])?;
        let dims = pixel_shuffle::shuffled_dims(&source, factor)?;
        let layout = dense_layout(&source);
        let target = program.output_any(self.output, &dims, layout)?;
        if self.from[0].keeps(self.to) {
            return pixel_shuffle::shuffle(program, &source, &target, factor);
        }
        let moved = program.temporary(source.dtype, &dims, layout)?;
        pixel_shuffle::shuffle(program, &source, &moved, factor)?;
        self.emit(program, &[moved], &target)
    }

    fn emit(
        &self,
        program: &mut ProgramBuilder<'_>,
        operands: &[Tensor],
        target: &Tensor,
    ) -> Result<()> {
        // The kernel has two operands: a single one stands in both places.
        let (Some(left), Some(right)) = (operands.first(), operands.last()) else {
            return Err(Error::internal("no operand"));
        };
        let windows = [left, right, target];
        let strided = Strided::new(&target.dims, &windows)?;
        let half = windows.iter().any(|t| t.element == Element::F16);
        let mut push = strided.push(MAX_RANK)?;
        for from in self.from {
            push.extend([from.scale_bits(), from.zero_point as u32]);
        }
        push.extend([self.to.inverse_bits(), self.to.zero_point as u32]);
        push.extend(self.range.map(|n| n as u32));
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::QuantizeHalf
            } else {
                Shader::QuantizePlain
            },
            local_size: [LOCAL_SIZE, 1, 1],
            spec: vec![
                strided.rank() as u32,
                left.element as u32,
                right.element as u32,
                target.element as u32,
                u32::from(self.form == Form::Add),
                u32::from(self.form == Form::Relu),
            ],
            workgroups: program.line(strided.count(), LOCAL_SIZE)?,
            push,
            bindings: vec![Bind::read(left), Bind::read(right), Bind::write(target)],
        })
    }
}

/// Argument `i`, an end of a range of integers.
fn quantum(args: &Args<'_>, i: usize) -> Result<i32> {
    let n = args.int(i)?;
    i32::try_from(n).map_err(|_| Error::unsupported(format!("integers up to {n}")))
}
