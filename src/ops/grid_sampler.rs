//! Planes sampled at the positions of a grid.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::Element;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, Pieces, Whole};
use crate::ops::support::planes::{channels_last, push, signed};
use crate::ops::support::{Args, Op};

/// A call of `aten.grid_sampler_2d`.
#[derive(Clone)]
pub struct GridSampler {
    input: ValueId,
    grid: ValueId,
    /// 0 bilinear, 1 nearest.
    interpolation: u32,
    /// 0 zeros, 1 border, 2 reflection.
    padding: u32,
    corners: Corners,
    output: ValueId,
}

/// What -1 and 1 are.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Corners {
    /// The outer edges of the corner pixels.
    Edges = 0,
    /// The centres of the corner pixels.
    Centres = 1,
}

impl Op for GridSampler {
    const NAMES: &'static [&'static str] = &["aten.grid_sampler_2d.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(6)?;
        let mode = |i: usize, what: &str, limit: u32| {
            let n = args.int(i)?;
            u32::try_from(n)
                .ok()
                .filter(|&n| n <= limit)
                .ok_or_else(|| Error::unsupported(format!("{what} mode {n} (argument {i})")))
        };
        Ok(Self {
            input: args.tensor(0)?,
            grid: args.tensor(1)?,
            interpolation: mode(2, "interpolation", 1)?,
            padding: mode(3, "padding", 2)?,
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
        let mut words = push(&source, &target)?;
        words.extend([
            signed(h_in.into())?,
            signed(w_in.into())?,
            signed(grid.offset)?,
        ]);
        for &stride in &grid.strides {
            words.push(signed(stride)?);
        }
        let tensors = [&source, &grid, &target];
        let half = tensors.iter().any(|t| t.element == Element::F16);
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::GridSamplerHalf
            } else {
                Shader::GridSamplerPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                channels_last(&target),
                source.element as u32,
                target.element as u32,
                grid.element as u32,
                self.interpolation,
                self.padding,
                self.corners as u32,
            ],
            push: words,
            bindings: vec![Bind::read(&source), Bind::read(&grid), Bind::write(&target)],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
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
