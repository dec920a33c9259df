//! Functions of two elements, broadcast: arithmetic, comparisons, logic. Either may be a number.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::{DType, Element};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::ops::support::elementwise::{narrow, wrapped, Elementwise, Scalar, LOCAL_SIZE};
use crate::ops::support::pieces::{pointwise, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel: push constants hold no more.
const MAX_RANK: usize = 6;

/// Functions of the kernel; the numbers are those of `binary.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum BinaryFunction {
    Add = 0,
    Sub = 1,
    Mul = 2,
    Div = 3,
    DivFloor = 4,
    DivTrunc = 5,
    Minimum = 6,
    Maximum = 7,
    Pow = 8,
    Remainder = 9,
    Fmod = 10,
    Eq = 11,
    Ne = 12,
    Lt = 13,
    Le = 14,
    Gt = 15,
    Ge = 16,
    LogicalAnd = 17,
    LogicalOr = 18,
    LogicalXor = 19,
    BitwiseAnd = 20,
    BitwiseOr = 21,
    BitwiseXor = 22,
    Prelu = 23,
}

use BinaryFunction as F;

impl BinaryFunction {
    fn gives_bool(self) -> bool {
        (F::Eq as u32..=F::LogicalXor as u32).contains(&(self as u32))
    }

    fn needs_integers(self) -> bool {
        matches!(self, F::BitwiseAnd | F::BitwiseOr | F::BitwiseXor)
    }
}

/// What follows the two operands in the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    Nothing,
    /// A factor of the second operand.
    Alpha,
    /// How a quotient is rounded.
    Rounding,
    /// A factor; and the operands are exchanged.
    Reversed,
}

const FUNCTIONS: &[(&str, BinaryFunction, Extra)] = &[
    ("aten.add.Tensor", F::Add, Extra::Alpha),
    ("aten.add.Scalar", F::Add, Extra::Alpha),
    ("aten.sub.Tensor", F::Sub, Extra::Alpha),
    ("aten.sub.Scalar", F::Sub, Extra::Alpha),
    ("aten.rsub.Tensor", F::Sub, Extra::Reversed),
    ("aten.rsub.Scalar", F::Sub, Extra::Reversed),
    ("aten.mul.Tensor", F::Mul, Extra::Nothing),
    ("aten.mul.Scalar", F::Mul, Extra::Nothing),
    ("aten.div.Tensor", F::Div, Extra::Nothing),
    ("aten.div.Scalar", F::Div, Extra::Nothing),
    ("aten.div.Tensor_mode", F::Div, Extra::Rounding),
    ("aten.div.Scalar_mode", F::Div, Extra::Rounding),
    ("aten.floor_divide.default", F::DivFloor, Extra::Nothing),
    ("aten.minimum.default", F::Minimum, Extra::Nothing),
    ("aten.maximum.default", F::Maximum, Extra::Nothing),
    ("aten.pow.Tensor_Tensor", F::Pow, Extra::Nothing),
    ("aten.pow.Tensor_Scalar", F::Pow, Extra::Nothing),
    ("aten.pow.Scalar", F::Pow, Extra::Nothing),
    ("aten.remainder.Tensor", F::Remainder, Extra::Nothing),
    ("aten.remainder.Scalar", F::Remainder, Extra::Nothing),
    ("aten.fmod.Tensor", F::Fmod, Extra::Nothing),
    ("aten.fmod.Scalar", F::Fmod, Extra::Nothing),
    ("aten.eq.Tensor", F::Eq, Extra::Nothing),
    ("aten.eq.Scalar", F::Eq, Extra::Nothing),
    ("aten.ne.Tensor", F::Ne, Extra::Nothing),
    ("aten.ne.Scalar", F::Ne, Extra::Nothing),
    ("aten.lt.Tensor", F::Lt, Extra::Nothing),
    ("aten.lt.Scalar", F::Lt, Extra::Nothing),
    ("aten.le.Tensor", F::Le, Extra::Nothing),
    ("aten.le.Scalar", F::Le, Extra::Nothing),
    ("aten.gt.Tensor", F::Gt, Extra::Nothing),
    ("aten.gt.Scalar", F::Gt, Extra::Nothing),
    ("aten.ge.Tensor", F::Ge, Extra::Nothing),
    ("aten.ge.Scalar", F::Ge, Extra::Nothing),
    ("aten.logical_and.default", F::LogicalAnd, Extra::Nothing),
    ("aten.logical_or.default", F::LogicalOr, Extra::Nothing),
    ("aten.logical_xor.default", F::LogicalXor, Extra::Nothing),
    ("aten.bitwise_and.Tensor", F::BitwiseAnd, Extra::Nothing),
    ("aten.bitwise_and.Scalar", F::BitwiseAnd, Extra::Nothing),
    ("aten.bitwise_or.Tensor", F::BitwiseOr, Extra::Nothing),
    ("aten.bitwise_or.Scalar", F::BitwiseOr, Extra::Nothing),
    ("aten.bitwise_xor.Tensor", F::BitwiseXor, Extra::Nothing),
    ("aten.bitwise_xor.Scalar", F::BitwiseXor, Extra::Nothing),
    ("etvk.prelu.default", F::Prelu, Extra::Nothing),
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operand {
    Tensor(ValueId),
    Number(Scalar),
}

impl Operand {
    fn parse(args: &Args<'_>, i: usize) -> Result<Self> {
        match args.tensor(i) {
            Ok(id) => Ok(Self::Tensor(id)),
            Err(_) => Scalar::parse(args, i).map(Self::Number),
        }
    }
}

/// A call of a function of two elements.
#[derive(Clone)]
pub struct Binary {
    function: BinaryFunction,
    left: Operand,
    right: Operand,
    alpha: Scalar,
    output: ValueId,
}

impl Op for Binary {
    const NAMES: &'static [&'static str] = &names();

    fn parse(args: &Args<'_>) -> Result<Self> {
        let name = args.op();
        let &(_, mut function, extra) = FUNCTIONS
            .iter()
            .find(|(n, ..)| *n == name)
            .ok_or_else(|| Error::internal(format!("{name} is not in the table")))?;
        let mut left = Operand::parse(args, 0)?;
        let mut right = Operand::parse(args, 1)?;
        let mut alpha = Scalar::Int(1);
        match extra {
            Extra::Nothing => {}
            Extra::Alpha | Extra::Reversed => {
                if args.len() > 3 {
                    alpha = Scalar::parse(args, 2)?;
                }
                if extra == Extra::Reversed {
                    std::mem::swap(&mut left, &mut right);
                }
            }
            Extra::Rounding => {
                function = match args.optional_string(2)? {
                    None => F::Div,
                    Some("floor") => F::DivFloor,
                    Some("trunc") => F::DivTrunc,
                    Some(other) => {
                        return Err(Error::unsupported(format!("division rounded to {other:?}")))
                    }
                }
            }
        }
        // The square is so common, and exact as a product.
        let two = [Scalar::Int(2), Scalar::Double(2.0)].map(Operand::Number);
        if function == F::Pow && two.contains(&right) {
            (function, right) = (F::Mul, left);
        }
        Ok(Self {
            function,
            left,
            right,
            alpha,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let (ids, number) = match (self.left, self.right) {
            (Operand::Tensor(a), Operand::Tensor(b)) => ([a, b], None),
            (Operand::Tensor(a), Operand::Number(n)) => ([a, a], Some((2, n))),
            (Operand::Number(n), Operand::Tensor(b)) => ([b, b], Some((1, n))),
            (Operand::Number(_), Operand::Number(_)) => {
                return Err(Error::blob("neither operand is a tensor"))
            }
        };
        let call = Elementwise::new(program, &ids, self.output, MAX_RANK)?;
        let [left, right] = [&call.operands[0], &call.operands[1]];
        let target = &call.target;
        let integers = self.in_integers(
            left.element == Element::I32 && right.element == Element::I32,
            target.element == Element::I32,
            number.map(|(_, n)| n),
        );
        if self.function.needs_integers() && !integers {
            return Err(Error::unsupported(format!(
                "{:?} of {:?} and {:?}",
                self.function, left.dtype, right.dtype
            )));
        }
        let number_is_left = number.is_some_and(|(which, _)| which == 1);
        let dtype = if number_is_left { right } else { left }.dtype;
        let low_byte = |n: i64| match dtype {
            DType::U8 => Some(i32::from(n as u8)),
            DType::I8 => Some(i32::from(n as i8)),
            _ => None,
        };
        let bits = |n: Scalar| match n.integer() {
            // PyTorch converts the number to the tensor's type first, by its low bits.
            Some(n) if integers && low_byte(n).is_some() => {
                let low = low_byte(n).unwrap_or_default();
                match self.function {
                    F::Pow if !number_is_left && i64::from(low) != n => Err(Error::unsupported(
                        format!("the power {n}, which {dtype:?} does not hold"),
                    )),
                    _ => Ok(low as u32),
                }
            }
            // To 32 bits too, but the exporter does not say whether these were 64 bits.
            Some(n) if integers && self.function.gives_bool() => i32::try_from(n)
                .map(|n| n as u32)
                .map_err(|_| Error::unsupported(format!("a comparison of integers with {n}"))),
            Some(n) if integers => Ok(wrapped(n)),
            _ => Ok(n.float_bits()),
        };
        let tensors = [left, right, target];
        let half = tensors.iter().any(|t| t.element == Element::F16);
        let mut push = call.strided.push(MAX_RANK)?;
        push.push(bits(number.map_or(Scalar::Int(0), |(_, n)| n))?);
        push.push(bits(self.alpha)?);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::BinaryHalf
            } else {
                Shader::BinaryPlain
            },
            local_size: [LOCAL_SIZE, 1, 1],
            spec: vec![
                call.strided.rank() as u32,
                left.element as u32,
                right.element as u32,
                target.element as u32,
                narrow(target.dtype),
                self.function as u32,
                u32::from(integers),
                number.map_or(0, |(which, _)| which),
            ],
            workgroups: program.line(call.strided.count(), LOCAL_SIZE)?,
            push,
            bindings: vec![Bind::read(left), Bind::read(right), Bind::write(target)],
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let tensor = |operand| match operand {
            Operand::Tensor(id) => Some(id),
            Operand::Number(_) => None,
        };
        let operands = [self.left, self.right].into_iter().filter_map(tensor);
        let operands: Vec<ValueId> = operands.collect();
        let result = Whole::broadcast(program, &operands, self.output)?;
        pointwise(self, program, &operands, result).map(Some)
    }
}

impl Binary {
    /// Whether the kernel computes in integers: PyTorch's promotion of what is left when tensors
    /// have the exporter's types.
    fn in_integers(&self, operands: bool, result: bool, number: Option<Scalar>) -> bool {
        operands
            && (result || self.function.gives_bool())
            && !matches!(self.function, F::Div | F::Prelu)
            && number.is_none_or(|n| n.integer().is_some())
            && self.alpha.integer().is_some()
    }
}
