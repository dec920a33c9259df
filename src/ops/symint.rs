//! Arithmetic on symbolic integers. It happens at compile time: nothing is dispatched.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::{Args, Known, Op};

enum Source {
    /// The size of a tensor's dim.
    Size { tensor: ValueId, dim: i64 },
    /// A number that is known already.
    Number(i64),
}

/// A symbolic integer and what it is computed from.
pub struct SymInt {
    source: Source,
    output: ValueId,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Add,
    Sub,
    Mul,
    FloorDiv,
}

impl Function {
    /// `None` is the size of a dim.
    fn of(args: &Args<'_>) -> Option<Self> {
        match args.op() {
            "add" => Some(Self::Add),
            "sub" => Some(Self::Sub),
            "mul" => Some(Self::Mul),
            "floordiv" => Some(Self::FloorDiv),
            _ => None,
        }
    }
}

impl Op for SymInt {
    const NAMES: &'static [&'static str] = &["add", "floordiv", "mul", "sub", "sym_size.int"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        let source = match Function::of(args) {
            Some(function) => Source::Number(compute(function, args.int(0)?, args.int(1)?)?),
            None => Source::Size {
                tensor: args.tensor(0)?,
                dim: args.int(1)?,
            },
        };
        Ok(Self {
            source,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let n = match self.source {
            Source::Number(n) => n,
            Source::Size { tensor, dim } => {
                let dims = program.dims(tensor)?;
                if dims.is_empty() {
                    return Err(Error::blob("the size of a dim of a 0-d tensor"));
                }
                i64::from(dims[wrap_dim(dim, dims.len())?])
            }
        };
        program.set_integer(self.output, n);
        Ok(())
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let (a, b, result) = (args.id(0).ok()?, args.id(1).ok()?, args.output().ok()?);
        let Some(function) = Function::of(args) else {
            let dims = known.dims(a)?;
            let dim = wrap_dim(known.number(b)?, dims.len()).ok()?;
            known.set(result, dims.get(dim).map(|&d| i64::from(d)));
            return Some(());
        };
        match (known.number(a), known.number(b), known.number(result)) {
            (Some(x), Some(y), None) => known.set(result, compute(function, x, y).ok()),
            (None, Some(y), Some(r)) => known.set(a, left_of(function, y, r)),
            (Some(x), None, Some(r)) => known.set(b, right_of(function, x, r)),
            _ => return None,
        }
        Some(())
    }

    fn make_up(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let neutral = match Function::of(args)? {
            Function::Add | Function::Sub => 0,
            Function::Mul => 1,
            Function::FloorDiv => return None,
        };
        args.expect_len(3).ok()?;
        let (a, b, result) = (args.id(0).ok()?, args.id(1).ok()?, args.output().ok()?);
        if a == b || known.number(a).is_some() || known.number(b).is_some() {
            return None;
        }
        known.set(a, Some(known.number(result)?));
        known.set(b, Some(neutral));
        known.number(a).map(|_| ())
    }
}

/// The first operand, of the second and the result; the largest, where several give it.
fn left_of(function: Function, b: i64, result: i64) -> Option<i64> {
    match function {
        Function::Add => result.checked_sub(b),
        Function::Sub => result.checked_add(b),
        Function::Mul => result.checked_div(b),
        Function::FloorDiv => result.checked_mul(b)?.checked_add(b.checked_sub(1)?),
    }
}

/// The second operand, of the first and the result.
fn right_of(function: Function, a: i64, result: i64) -> Option<i64> {
    match function {
        Function::Add => result.checked_sub(a),
        Function::Sub => a.checked_sub(result),
        Function::Mul => result.checked_div(a),
        Function::FloorDiv => None,
    }
}

/// As Python computes it: a quotient is rounded down.
fn compute(function: Function, a: i64, b: i64) -> Result<i64> {
    let result = match function {
        Function::Add => a.checked_add(b),
        Function::Sub => a.checked_sub(b),
        Function::Mul => a.checked_mul(b),
        Function::FloorDiv => a.checked_div_euclid(b).map(|q| {
            // Euclid rounds away from negative infinity for a negative divisor with a remainder.
            if b < 0 && a.rem_euclid(b) != 0 {
                q - 1
            } else {
                q
            }
        }),
    };
    result.ok_or_else(|| Error::blob(format!("{function:?} of {a} and {b} has no 64-bit result")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_round_down_as_in_python() {
        let cases = [
            (7, 2, 3),
            (-7, 2, -4),
            (7, -2, -4),
            (-7, -2, 3),
            (6, -3, -2),
            (0, -5, 0),
        ];
        for (a, b, want) in cases {
            assert_eq!(compute(Function::FloorDiv, a, b), Ok(want), "{a} // {b}");
        }
        assert!(compute(Function::FloorDiv, 1, 0).is_err());
        assert!(compute(Function::FloorDiv, i64::MIN, -1).is_err());
        assert!(compute(Function::Mul, i64::MAX, 2).is_err());
        assert_eq!(compute(Function::Sub, 3, 5), Ok(-2));
        assert_eq!(compute(Function::Add, 3, 5), Ok(8));
    }
}
