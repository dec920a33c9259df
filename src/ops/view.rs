//! The same elements under other dims: view, squeeze, unsqueeze.

use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::core::tensor::Layout;
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::{ProgramBuilder, Want};
use crate::ops::support::window::{insert, resolve_view, view, wrap_dims};
use crate::ops::support::{Args, Known, Op};

/// A call of `aten.view_copy`. Emits nothing where the strides allow the view, else a copy.
pub struct View {
    input: ValueId,
    sizes: Vec<i64>,
    output: ValueId,
}

impl Op for View {
    const NAMES: &'static [&'static str] = &["aten.view_copy.default", "aten.view.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        Ok(Self {
            input: args.tensor(0)?,
            sizes: args.ints(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let dims = resolve_view(&self.sizes, source.numel())?;
        if dims == source.dims {
            return program.alias(self.output, self.input);
        }
        if let Some(window) = view(&source, &dims) {
            return program.bind(self.output, window);
        }
        let mut dense = program.read(&source, Want::Dense(Layout::Contiguous))?;
        if let Some(window) = view(&dense, &dims) {
            dense = window;
        }
        program.bind(self.output, dense)
    }

    fn passes_on(&self) -> Option<ValueId> {
        Some(self.input)
    }

    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        known.set_sizes(args.id(1).ok()?, args.output().ok()?)
    }
}

/// A call of `aten.squeeze_copy`: dims of size 1 go away.
pub struct Squeeze {
    input: ValueId,
    /// `None` is all dims.
    dims: Option<Vec<i64>>,
    output: ValueId,
}

impl Op for Squeeze {
    const NAMES: &'static [&'static str] = &[
        "aten.squeeze_copy.dims",
        "aten.squeeze_copy.dim",
        "aten.squeeze_copy.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let all = args.op() == "aten.squeeze_copy.default";
        args.expect_len(if all { 2 } else { 3 })?;
        Ok(Self {
            input: args.tensor(0)?,
            dims: if all { None } else { Some(args.ints(1)?) },
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut window = program.tensor(self.input)?;
        // A dim that is 1 only for this input was not one to the exporter, and stays.
        let bound = &program.graph().tensor(self.input)?.dims;
        let rank = window.dims.len();
        let named = match &self.dims {
            Some(dims) => wrap_dims(dims, rank)?,
            None => (0..rank).collect(),
        };
        for d in (0..rank).rev() {
            if named.contains(&d) && window.dims[d] == 1 && bound.get(d) == Some(&1) {
                window.dims.remove(d);
                window.strides.remove(d);
            }
        }
        program.bind(self.output, window)
    }

    fn passes_on(&self) -> Option<ValueId> {
        Some(self.input)
    }
}

/// A call of `aten.unsqueeze_copy`: a dim of size 1 more.
pub struct Unsqueeze {
    input: ValueId,
    dim: i64,
    output: ValueId,
}

impl Op for Unsqueeze {
    const NAMES: &'static [&'static str] = &["aten.unsqueeze_copy.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        Ok(Self {
            input: args.tensor(0)?,
            dim: args.int(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let d = wrap_dim(self.dim, source.dims.len() + 1)?;
        program.bind(self.output, insert(&source, d, 1))
    }

    fn passes_on(&self) -> Option<ValueId> {
        Some(self.input)
    }
}
