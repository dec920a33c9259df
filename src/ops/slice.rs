//! Parts of a tensor: slice, select, split, unfold. Emits nothing.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::{ProgramBuilder, Want};
use crate::ops::support::window::{existing_dim, select, slice};
use crate::ops::support::{Args, Known, Op};

/// A call of `aten.slice_copy`.
pub struct Slice {
    input: ValueId,
    dim: i64,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    output: ValueId,
}

impl Op for Slice {
    const NAMES: &'static [&'static str] = &["aten.slice_copy.Tensor"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(6)?;
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            start: args.optional_int(2)?,
            end: args.optional_int(3)?,
            step: args.int(4)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let d = existing_dim(self.dim, &source.dims)?;
        let size = i64::from(source.dims[d]);
        if self.step < 1 {
            return Err(Error::blob(format!("a slice with step {}", self.step)));
        }
        // As Python clamps: a negative bound counts from the end.
        let clamp = |at: i64| (if at < 0 { at + size } else { at }).clamp(0, size);
        let start = self.start.map_or(0, clamp);
        let end = self.end.map_or(size, clamp);
        let len = if end > start {
            (end - start - 1) / self.step + 1
        } else {
            0
        };
        let narrow = |n: i64| u32::try_from(n).map_err(|_| Error::internal("slice"));
        let window = slice(&source, d, narrow(start)?, narrow(len)?, self.step)?;
        program.bind(self.output, window)
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let dims = known.dims(args.output().ok()?)?;
        let dim = wrap_dim(known.number(args.id(1).ok()?)?, dims.len()).ok()?;
        let size = i64::from(*dims.get(dim)?);
        let start = known.number_or(args.id(2).ok()?, 0)?;
        let step = known.number(args.id(4).ok()?)?;
        let end = size.checked_mul(step)?.checked_add(start);
        known.set(args.id(3).ok()?, end.filter(|_| start >= 0));
        Some(())
    }
}

/// A call of `aten.select_copy`.
pub struct Select {
    input: ValueId,
    dim: i64,
    index: i64,
    output: ValueId,
}

impl Op for Select {
    const NAMES: &'static [&'static str] = &["aten.select_copy.int"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            index: args.int(2)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let d = existing_dim(self.dim, &source.dims)?;
        let size = i64::from(source.dims[d]);
        let index = self.index;
        let at = if index < 0 {
            index.saturating_add(size)
        } else {
            index
        };
        let at = u32::try_from(at)
            .ok()
            .filter(|&at| at < source.dims[d])
            .ok_or_else(|| Error::blob(format!("element {index} of dim {d} of {size}")))?;
        program.bind(self.output, select(&source, d, at)?)
    }
}

/// A call of `aten.split_with_sizes_copy`.
pub struct Split {
    input: ValueId,
    sizes: Vec<i64>,
    dim: i64,
    outputs: Vec<ValueId>,
}

impl Op for Split {
    const NAMES: &'static [&'static str] = &["aten.split_with_sizes_copy.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            sizes: args.ints(1)?,
            dim: args.int(2)?,
            outputs: args.outputs()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let d = existing_dim(self.dim, &source.dims)?;
        let size = source.dims[d];
        let wrong = || {
            Error::blob(format!(
                "sizes {:?} of dim {d} of {:?} for {} results",
                self.sizes,
                source.dims,
                self.outputs.len()
            ))
        };
        if self.sizes.len() != self.outputs.len() {
            return Err(wrong());
        }
        let mut start = 0u32;
        for (&len, &output) in self.sizes.iter().zip(&self.outputs) {
            let len = u32::try_from(len).map_err(|_| wrong())?;
            let end = start
                .checked_add(len)
                .filter(|&end| end <= size)
                .ok_or_else(wrong)?;
            program.bind(output, slice(&source, d, start, len, 1)?)?;
            start = end;
        }
        if start != size {
            return Err(wrong());
        }
        Ok(())
    }
}

/// A call of `aten.unfold_copy`: sliding parts of a dim, as a dim more.
pub struct Unfold {
    input: ValueId,
    dim: i64,
    size: i64,
    step: i64,
    output: ValueId,
}

impl Op for Unfold {
    const NAMES: &'static [&'static str] = &["aten.unfold_copy.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(5)?;
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            size: args.int(2)?,
            step: args.int(3)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        // From device memory: out of staging, parts that overlap would be copied twice.
        let source = program.operand(self.input, Want::Any)?;
        let d = existing_dim(self.dim, &source.dims)?;
        let wrong = || {
            Error::blob(format!(
                "parts of {}, {} apart, of dim {d} of {:?}",
                self.size, self.step, source.dims
            ))
        };
        let size = u32::try_from(self.size).map_err(|_| wrong())?;
        let room = source.dims[d].checked_sub(size).ok_or_else(wrong)?;
        if self.step < 1 {
            return Err(wrong());
        }
        let count = i64::from(room) / self.step + 1;
        let mut window = source.clone();
        window.dims[d] = u32::try_from(count).map_err(|_| wrong())?;
        if count > 1 {
            window.strides[d] = window.strides[d].saturating_mul(self.step);
        }
        window.dims.push(size);
        window.strides.push(source.strides[d]);
        program.bind(self.output, window)
    }
}
