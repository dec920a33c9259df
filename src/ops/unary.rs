//! Functions of one element: one kernel, the function is a specialization constant.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::Element;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::ops::support::elementwise::{narrow, Elementwise, Scalar, LOCAL_SIZE};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel.
const MAX_RANK: usize = 8;

/// Functions of the kernel; the numbers are those of `unary.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum UnaryFunction {
    Abs = 0,
    Neg = 1,
    Cos = 2,
    Sin = 3,
    Tan = 4,
    Exp = 5,
    Sqrt = 6,
    Rsqrt = 7,
    Tanh = 8,
    Sigmoid = 9,
    Round = 10,
    Log10 = 11,
    Log = 12,
    Log2 = 13,
    Relu = 14,
    Clamp = 15,
    Gelu = 16,
    GeluTanh = 17,
    Hardshrink = 18,
    Hardswish = 19,
    Hardsigmoid = 20,
    LeakyRelu = 21,
    Silu = 22,
    Ceil = 23,
    Floor = 24,
    Trunc = 25,
    BitwiseNot = 26,
    LogicalNot = 27,
    Reciprocal = 28,
    Erf = 29,
    Sign = 30,
    Square = 31,
    IsNan = 32,
    IsInf = 33,
}

use UnaryFunction as F;

impl UnaryFunction {
    /// Whether a result for integers is computed in integers.
    fn keeps_integers(self) -> bool {
        matches!(
            self,
            F::Abs
                | F::Neg
                | F::Round
                | F::Relu
                | F::Clamp
                | F::Ceil
                | F::Floor
                | F::Trunc
                | F::BitwiseNot
                | F::LogicalNot
                | F::Sign
                | F::Square
                | F::IsNan
                | F::IsInf
        )
    }
}

/// The function of each operator name.
const FUNCTIONS: &[(&str, UnaryFunction)] = &[
    ("aten.abs.default", F::Abs),
    ("aten.neg.default", F::Neg),
    ("aten.cos.default", F::Cos),
    ("aten.sin.default", F::Sin),
    ("aten.tan.default", F::Tan),
    ("aten.exp.default", F::Exp),
    ("aten.sqrt.default", F::Sqrt),
    ("aten.rsqrt.default", F::Rsqrt),
    ("aten.tanh.default", F::Tanh),
    ("aten.sigmoid.default", F::Sigmoid),
    ("aten.round.default", F::Round),
    ("aten.log10.default", F::Log10),
    ("aten.log.default", F::Log),
    ("aten.log2.default", F::Log2),
    ("aten.relu.default", F::Relu),
    ("aten.relu6.default", F::Clamp),
    ("aten.gelu.default", F::Gelu),
    ("aten.hardshrink.default", F::Hardshrink),
    ("aten.hardswish.default", F::Hardswish),
    ("aten.hardsigmoid.default", F::Hardsigmoid),
    ("aten.hardtanh.default", F::Clamp),
    ("aten.clamp.default", F::Clamp),
    ("aten.leaky_relu.default", F::LeakyRelu),
    ("aten.silu.default", F::Silu),
    ("aten.ceil.default", F::Ceil),
    ("aten.floor.default", F::Floor),
    ("aten.trunc.default", F::Trunc),
    ("aten.bitwise_not.default", F::BitwiseNot),
    ("aten.logical_not.default", F::LogicalNot),
    ("aten.reciprocal.default", F::Reciprocal),
    ("aten.erf.default", F::Erf),
    ("aten.sign.default", F::Sign),
    ("aten.square.default", F::Square),
    ("aten.isnan.default", F::IsNan),
    ("aten.isinf.default", F::IsInf),
];

const fn names() -> [&'static str; FUNCTIONS.len()] {
    let mut names = [""; FUNCTIONS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = FUNCTIONS[i].0;
        i += 1;
    }
    names
}

/// A call of a function of one element.
#[derive(Clone)]
pub struct Unary {
    function: UnaryFunction,
    /// Lower and upper bound, or the single parameter first.
    parameters: [Option<Scalar>; 2],
    input: ValueId,
    output: ValueId,
}

impl Op for Unary {
    const NAMES: &'static [&'static str] = &names();

    fn parse(args: &Args<'_>) -> Result<Self> {
        let name = args.op();
        let mut function = FUNCTIONS
            .iter()
            .find(|(n, _)| *n == name)
            .map(|&(_, function)| function)
            .ok_or_else(|| Error::internal(format!("{name} is not in the table")))?;
        // The trailing parameters may be absent where the schema has defaults.
        let given = |i: usize, default: f64| -> Result<Option<Scalar>> {
            if i + 1 < args.len() {
                return Scalar::parse(args, i).map(Some);
            }
            Ok(Some(Scalar::Double(default)))
        };
        let parameters = match function {
            F::Clamp if name == "aten.relu6.default" => {
                [Some(Scalar::Int(0)), Some(Scalar::Int(6))]
            }
            F::Clamp if name == "aten.hardtanh.default" => [given(1, -1.0)?, given(2, 1.0)?],
            F::Clamp => [Scalar::optional(args, 1)?, Scalar::optional(args, 2)?],
            F::Hardshrink => [given(1, 0.5)?, None],
            F::LeakyRelu => [given(1, 0.01)?, None],
            _ => [None, None],
        };
        if function == F::Gelu && args.len() > 2 {
            function = match args.optional_string(1)? {
                None | Some("none") => F::Gelu,
                Some("tanh") => F::GeluTanh,
                Some(other) => {
                    return Err(Error::unsupported(format!(
                        "gelu approximated as {other:?}"
                    )))
                }
            };
        }
        Ok(Self {
            function,
            parameters,
            input: args.tensor(0)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let call = Elementwise::new(program, &[self.input], self.output, MAX_RANK)?;
        let (source, target) = (&call.operands[0], &call.target);
        let integers = source.element == Element::I32 && target.element == Element::I32;
        if integers && !self.function.keeps_integers() {
            return Err(Error::unsupported(format!(
                "{:?} of {:?} into {:?}",
                self.function, source.dtype, target.dtype
            )));
        }
        if self.function == F::BitwiseNot && !integers {
            return Err(Error::unsupported(format!("~ of {:?}", source.dtype)));
        }
        let [low, high] = self.parameters;
        let parameters = if integers {
            [
                low.map_or(i32::MIN, Scalar::ceil_i32) as u32,
                high.map_or(i32::MAX, Scalar::floor_i32) as u32,
            ]
        } else {
            [
                low.unwrap_or(Scalar::Double(f64::NEG_INFINITY))
                    .float_bits(),
                high.unwrap_or(Scalar::Double(f64::INFINITY)).float_bits(),
            ]
        };
        let half = source.element == Element::F16 || target.element == Element::F16;
        let mut push = call.strided.push(MAX_RANK)?;
        push.extend(parameters);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::UnaryHalf
            } else {
                Shader::UnaryPlain
            },
            local_size: [LOCAL_SIZE, 1, 1],
            spec: vec![
                call.strided.rank() as u32,
                source.element as u32,
                target.element as u32,
                narrow(target.dtype),
                self.function as u32,
            ],
            workgroups: program.line(call.strided.count(), LOCAL_SIZE)?,
            push,
            bindings: vec![Bind::read(source), Bind::write(target)],
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let dims = program.dims(self.input)?;
        let result = Whole::like(program, self.input, self.output, dims)?;
        pointwise(self, program, &[self.input], result).map(Some)
    }
}
