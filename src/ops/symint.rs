//! Arithmetic on symbolic integers. It happens at compile time: nothing is dispatched.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::{Args, Op};

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

impl Op for SymInt {
    const NAMES: &'static [&'static str] = &["add", "floordiv", "mul", "sub", "sym_size.int"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        let source = if args.op() == "sym_size.int" {
            Source::Size {
                tensor: args.tensor(0)?,
                dim: args.int(1)?,
            }
        } else {
            Source::Number(compute(args.op(), args.int(0)?, args.int(1)?)?)
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
}

/// As Python computes it: a quotient is rounded down.
pub fn compute(op: &str, a: i64, b: i64) -> Result<i64> {
    let result = match op {
        "add" => a.checked_add(b),
        "sub" => a.checked_sub(b),
        "mul" => a.checked_mul(b),
        _ => a.checked_div_euclid(b).map(|q| {
            // Euclid rounds away from negative infinity for a negative divisor with a remainder.
            if b < 0 && a.rem_euclid(b) != 0 {
                q - 1
            } else {
                q
            }
        }),
    };
    result.ok_or_else(|| Error::blob(format!("{op} of {a} and {b} has no 64-bit result")))
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
            assert_eq!(compute("floordiv", a, b), Ok(want), "{a} // {b}");
        }
        assert!(compute("floordiv", 1, 0).is_err());
        assert!(compute("floordiv", i64::MIN, -1).is_err());
        assert!(compute("mul", i64::MAX, 2).is_err());
        assert_eq!(compute("sub", 3, 5), Ok(-2));
        assert_eq!(compute("add", 3, 5), Ok(8));
    }
}
