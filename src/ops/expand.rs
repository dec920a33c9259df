//! Repeated elements: expand (a window) and repeat (a window where one dim of each pair is 1).

use crate::base::error::{Error, Result};
use crate::core::broadcast;
use crate::core::graph::ValueId;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{ProgramBuilder, Want};
use crate::ops::support::window::{insert, split, view};
use crate::ops::support::{Args, Known, Op};

/// A call of `aten.expand_copy`.
pub struct Expand {
    input: ValueId,
    sizes: Vec<i64>,
    output: ValueId,
}

impl Op for Expand {
    const NAMES: &'static [&'static str] = &["aten.expand_copy.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            sizes: args.ints(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        // From device memory: out of staging, each repetition would be copied.
        let source = program.operand(self.input, Want::Any)?;
        let lead = self.sizes.len().saturating_sub(source.dims.len());
        let mut dims = Vec::with_capacity(self.sizes.len());
        for (i, &size) in self.sizes.iter().enumerate() {
            let kept = i.checked_sub(lead).and_then(|i| source.dims.get(i));
            match (size, kept) {
                (-1, Some(&kept)) => dims.push(kept),
                _ => dims.push(u32::try_from(size).map_err(|_| {
                    Error::blob(format!("dims {:?} expand to {:?}", source.dims, self.sizes))
                })?),
            }
        }
        program.bind(self.output, broadcast::over(&source, &dims)?)
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        known.set_sizes(args.id(1).ok()?, args.output().ok()?)
    }
}

/// A call of `aten.repeat`.
pub struct Repeat {
    input: ValueId,
    repeats: Vec<i64>,
    output: ValueId,
}

impl Op for Repeat {
    const NAMES: &'static [&'static str] = &["aten.repeat.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        Ok(Self {
            input: args.tensor(0)?,
            repeats: args.ints(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let wrong = || Error::blob(format!("{:?} repeats of {:?}", self.repeats, source.dims));
        let lead = self
            .repeats
            .len()
            .checked_sub(source.dims.len())
            .ok_or_else(wrong)?;
        // Each dim as [repeat, size], the repeat with stride 0.
        let mut pairs = source.clone();
        let (mut dims, mut sizes) = (Vec::new(), Vec::new());
        for (i, &repeat) in self.repeats.iter().enumerate() {
            let repeat = u32::try_from(repeat).map_err(|_| wrong())?;
            if i < lead {
                pairs = insert(&pairs, 2 * i, 1);
            }
            let size = pairs.dims[2 * i];
            pairs = insert(&pairs, 2 * i, repeat);
            dims.push(repeat.checked_mul(size).ok_or_else(wrong)?);
            sizes.push([repeat, size]);
        }
        if let Some(window) = view(&pairs, &dims) {
            return program.bind(self.output, window);
        }
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        let mut parts = target.clone();
        for (i, pair) in sizes.iter().enumerate() {
            parts = split(&parts, 2 * i, pair)?;
        }
        program.copy(&pairs, &parts)
    }
}
