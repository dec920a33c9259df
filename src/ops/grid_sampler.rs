//! Planes sampled at the positions of a grid.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::kernels::grid_sampler::{self, Padding};
use crate::core::tensor::Element;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, Pieces, Whole};
use crate::ops::support::planes::{channels_last, planes, window};
use crate::ops::support::words::signed;
use crate::ops::support::{Args, Op};

/// A call of `aten.grid_sampler_2d`.
#[derive(Clone)]
pub struct GridSampler {
    input: ValueId,
    grid: ValueId,
    /// The nearest element; else bilinear.
    nearest: bool,
    padding: Padding,
    corners: Corners,
    output: ValueId,
}

/// What -1 and 1 are.
#[derive(Clone, Copy, PartialEq)]
enum Corners {
    /// The outer edges of the corner pixels.
    Edges,
    /// The centres of the corner pixels.
    Centres,
}

impl Op for GridSampler {
    const NAMES: &'static [&'static str] = &["aten.grid_sampler_2d.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(6)?;
        let unknown = |i: usize, what: &str, n: i64| {
            Err(Error::unsupported(format!(
                "{what} mode {n} (argument {i})"
            )))
        };
        Ok(Self {
            input: args.tensor(0)?,
            grid: args.tensor(1)?,
            nearest: match args.int(2)? {
                0 => false,
                1 => true,
                n => return unknown(2, "interpolation", n),
            },
            padding: match args.int(3)? {
                0 => Padding::Zeros,
                1 => Padding::Border,
                2 => Padding::Reflection,
                n => return unknown(3, "padding", n),
            },
            corners: match args.bool(4)? {
                true => Corners::Centres,
                false => Corners::Edges,
            },
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let grid = program.operand(self.grid, Want::Any)?;
        let (&[n, c, h_in, w_in], &[n_grid, h_out, w_out, 2]) =
            (source.dims.as_slice(), grid.dims.as_slice())
        else {
            return Err(Error::blob(format!(
                "a grid of dims {:?} over dims {:?}",
                grid.dims, source.dims
            )));
        };
        let integers = source.element == Element::I32 || grid.element == Element::I32;
        if n != n_grid || h_in == 0 || w_in == 0 || integers {
            return Err(Error::unsupported(format!(
                "a grid of {:?} {:?} over {:?} {:?}",
                grid.dtype, grid.dims, source.dtype, source.dims
            )));
        }
        let dims = [n, c, h_out, w_out];
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        let tensors = [&source, &grid, &target];
        let half = tensors.iter().any(|t| t.element == Element::F16);
        let call = grid_sampler::Call {
            variant: grid_sampler::Variant::with_half(half),
            spec: grid_sampler::Spec {
                channels_last: channels_last(&target),
                source: source.element,
                target: target.element,
                grid: grid.element,
                nearest: self.nearest,
                padding: self.padding,
                align_corners: self.corners == Corners::Centres,
            },
            push: grid_sampler::Push {
                planes: planes(&source, &target)?,
                height_in: signed(h_in.into())?,
                width_in: signed(w_in.into())?,
                grid: window(&grid)?,
            },
            bindings: grid_sampler::Bindings {
                source: Bind::read(&source),
                grid: Bind::read(&grid),
                target: Bind::write(&target),
            },
        };
        program.dispatch_line(call, target.numel())
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let (source, grid) = (program.dims(self.input)?, program.dims(self.grid)?);
        let (&[n, c, ..], &[_, h_out, w_out, _]) = (source.as_slice(), grid.as_slice()) else {
            return Ok(None);
        };
        let dims = vec![n, c, h_out, w_out];
        Ok(Some(Pieces {
            results: vec![Whole::like(program, self.input, self.output, dims)?],
            operands: vec![self.input, self.grid],
            axes: vec![
                cut_along(self, 0, vec![(self.input, 0), (self.grid, 0)]),
                cut_along(self, 1, vec![(self.input, 1)]),
                cut_along(self, 2, vec![(self.grid, 1)]),
                cut_along(self, 3, vec![(self.grid, 2)]),
            ],
        }))
    }
}
