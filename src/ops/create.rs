//! Tensors made of numbers: full, zeros, ones, scalar_tensor, arange.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::tensor::Layout;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::elementwise::Scalar;
use crate::ops::support::fill::{emit_fill, emit_range};
use crate::ops::support::{Args, Known, Op};

/// What the sizes of a filled tensor are.
enum Sizes {
    Given(Vec<u32>),
    Of(ValueId),
}

/// A tensor filled with one number.
pub struct Full {
    sizes: Sizes,
    value: Scalar,
    output: ValueId,
}

impl Op for Full {
    const NAMES: &'static [&'static str] = &[
        "aten.full.default",
        "aten.full_like.default",
        "aten.ones.default",
        "aten.ones_like.default",
        "aten.scalar_tensor.default",
        "aten.zeros.default",
        "aten.zeros_like.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let value = match args.op() {
            "aten.full.default" | "aten.full_like.default" => Scalar::parse(args, 1)?,
            "aten.scalar_tensor.default" => Scalar::parse(args, 0)?,
            "aten.ones.default" | "aten.ones_like.default" => Scalar::Int(1),
            _ => Scalar::Int(0),
        };
        let sizes = match args.op() {
            "aten.scalar_tensor.default" => Sizes::Given(Vec::new()),
            op if !has_sizes(op) => Sizes::Of(args.tensor(0)?),
            _ => {
                let size = |n: i64| {
                    u32::try_from(n).map_err(|_| Error::blob(format!("a tensor of size {n}")))
                };
                let sizes = args.ints(0)?.into_iter().map(size);
                Sizes::Given(sizes.collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            sizes,
            value,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let dims = match &self.sizes {
            Sizes::Given(dims) => dims.clone(),
            Sizes::Of(id) => program.dims(*id)?,
        };
        let target = program.output_any(self.output, &dims, Layout::Contiguous)?;
        emit_fill(program, &target, self.value)
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        if !has_sizes(args.op()) {
            return None;
        }
        known.set_sizes(args.id(0).ok()?, args.output().ok()?)
    }
}

/// Whether an operator of [`Full`] takes sizes, as its first argument.
fn has_sizes(op: &str) -> bool {
    op != "aten.scalar_tensor.default" && !op.ends_with("_like.default")
}

/// Numbers at equal distances.
pub struct Arange {
    start: Scalar,
    step: Scalar,
    count: u32,
    output: ValueId,
}

impl Op for Arange {
    const NAMES: &'static [&'static str] = &["aten.arange.start_step"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let start = Scalar::optional(args, 0)?.unwrap_or(Scalar::Int(0));
        let end = Scalar::parse(args, 1)?;
        let step = if args.len() > 3 {
            Scalar::optional(args, 2)?.unwrap_or(Scalar::Int(1))
        } else {
            Scalar::Int(1)
        };
        Ok(Self {
            start,
            step,
            count: arange_count(start, end, step)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let target = program.output_any(self.output, &[self.count], Layout::Contiguous)?;
        emit_range(program, &target, [self.start, self.step])
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let count = i64::from(*known.dims(args.output().ok()?)?.first()?);
        let start = known.number_or(args.id(0).ok()?, 0)?;
        let step = match args.len() {
            ..=3 => 1,
            _ => known.number_or(args.id(2).ok()?, 1)?,
        };
        known.set(
            args.id(1).ok()?,
            count.checked_mul(step)?.checked_add(start),
        );
        Some(())
    }
}

/// Number of elements from `start` by `step` before `end`.
fn arange_count(start: Scalar, end: Scalar, step: Scalar) -> Result<u32> {
    let refuse = || {
        Error::blob(format!(
            "arange from {start:?} to {end:?} by {step:?} is not a range"
        ))
    };
    if let (Some(start), Some(end), Some(step)) = (start.integer(), end.integer(), step.integer()) {
        let distance = i128::from(end) - i128::from(start);
        let step = i128::from(step);
        if step == 0 || distance.signum() * step.signum() < 0 {
            return Err(refuse());
        }
        let count = (distance + step - step.signum()) / step;
        return u32::try_from(count).map_err(|_| refuse());
    }
    let count = ((end.double() - start.double()) / step.double()).ceil();
    if !(0.0..=f64::from(u32::MAX)).contains(&count) {
        return Err(refuse());
    }
    Ok(count as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_ranges() {
        use Scalar::{Double as D, Int as I};
        let count = |a, b, c| arange_count(a, b, c).ok();
        assert_eq!(count(I(-1), I(17), I(1)), Some(18));
        assert_eq!(count(I(0), I(10), I(3)), Some(4));
        assert_eq!(count(I(0), I(9), I(3)), Some(3));
        assert_eq!(count(I(5), I(-5), I(-4)), Some(3));
        assert_eq!(count(I(2), I(2), I(1)), Some(0));
        assert_eq!(count(D(0.0), D(1.0), D(0.25)), Some(4));
        assert_eq!(count(D(0.0), D(1.0), D(0.3)), Some(4));
        assert_eq!(count(I(0), I(5), I(0)), None);
        assert_eq!(count(I(0), I(5), I(-1)), None);
        assert_eq!(count(I(i64::MIN), I(i64::MAX), I(1)), None);
        assert_eq!(count(D(0.0), D(f64::NAN), D(1.0)), None);
        assert_eq!(count(D(0.0), D(1.5), D(0.0)), None);
    }
}
