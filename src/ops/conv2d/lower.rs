//! A plan becomes dispatches. Nothing is decided here.

mod implicit;
mod patches;
mod winograd;

use super::tile::{DepthwiseTile, Sums};
use super::{weights, Conv2d};
use crate::base::error::{Error, Result};
use crate::core::conv::{tiles, ConvAlgorithm, ConvGeometry, ConvPlan, ConvReport};
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::program::{Access, BufferId};
use crate::core::shader::Shader;
use crate::core::tensor::{Element, Layout, Tensor, CHANNEL_PACK};
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::gemm::{self, finish, packed, Bias, Finish, Gemm, Matrix};
use std::ops::Range;

/// Output positions per invocation of the direct kernel: each weight that is read serves so many.
const PIXELS: u32 = 4;

/// Operands of one convolution in the form that its kernels read.
struct Operands<'a> {
    g: &'a ConvGeometry,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    finish: Finish,
    y: Tensor,
}

impl Conv2d {
    /// Emits the convolution as `plan` says, whoever made it.
    pub fn lower_as(
        &self,
        g: &ConvGeometry,
        plan: &ConvPlan,
        program: &mut ProgramBuilder<'_>,
    ) -> Result<()> {
        let packed = Layout::ChannelsPacked;
        let x = program.operand(self.input, Want::Dense(packed))?;
        let (form, weight_dims) = match plan.algorithm {
            ConvAlgorithm::Depthwise => (weights::depthwise(g)?, [g.c_out, 1]),
            _ if g.transposed => (weights::grouped(g)?, [g.c_in, g.group_out()]),
            _ => (weights::grouped(g)?, [g.c_out, g.group_in()]),
        };
        let weight_dims = [weight_dims[0], weight_dims[1], g.kernel[0], g.kernel[1]];
        let weight = packed::prepare(program, self.weight, &weight_dims, &form, x.dtype)?;
        let bias = match self.bias {
            Some(bias) => Some(finish::vector(program, bias, g.c_out)?),
            None => None,
        };
        let (h_out, w_out) = (g.h_out(), g.w_out());
        let dims = match x.dims.len() {
            3 => vec![g.n, g.c_out, w_out],
            _ => vec![g.n, g.c_out, h_out, w_out],
        };
        let y = program.output(self.output, &dims, packed)?;
        let finish = Finish::prepare(program, &self.steps, g.c_out, &dims, packed)?;
        let operands = Operands {
            g,
            x,
            weight,
            bias,
            finish,
            y,
        };
        let (tile_count, dispatch_count) = match plan.algorithm {
            _ if g.n == 0 => (0, 0),
            ConvAlgorithm::Pointwise => (1, operands.pointwise(program)?),
            ConvAlgorithm::Depthwise => (1, operands.depthwise(program)?),
            ConvAlgorithm::Direct => (1, operands.direct(program)?),
            ConvAlgorithm::Implicit { parts: 1, .. } => {
                (1, operands.implicit(program, 1, Sums::Whole)?)
            }
            ConvAlgorithm::Implicit {
                parts,
                pixels_tile: 0,
            } => (1, operands.implicit(program, parts, Sums::Serial)?),
            ConvAlgorithm::Implicit { parts, pixels_tile } => {
                operands.implicit_parts(program, parts, pixels_tile, plan.workspace_bytes)?
            }
            ConvAlgorithm::Winograd { parts, together } => {
                let how = (parts, together);
                operands.winograd(program, self.weight, how, plan.workspace_bytes)?
            }
            ConvAlgorithm::Im2col {
                h_out_tile,
                w_out_tile,
                image,
            } => {
                let buffer = match image {
                    None => program.workspace(plan.workspace_bytes)?,
                    Some(image) => program.workspace_image(image, plan.workspace_bytes)?,
                };
                let scratch = Scratch { buffer, image };
                operands.im2col(program, [h_out_tile, w_out_tile], &scratch)?
            }
        };
        program.report(ConvReport {
            node: program.node_id(),
            geometry: *g,
            output: [h_out, w_out],
            algorithm: plan.algorithm,
            tile_count,
            dispatch_count,
            workspace_bytes: plan.workspace_bytes,
            moved_bytes: plan.moved_bytes,
            reason: plan.reason.clone(),
        });
        Ok(())
    }
}

/// What holds the columns of one tile after the other.
struct Scratch {
    buffer: BufferId,
    image: Option<ImageShape>,
}

impl Scratch {
    fn im2col(&self, half: bool) -> Shader {
        use ImageDimensions::{Three, Two};
        match (self.image.map(|image| image.dimensions), half) {
            (None, false) => Shader::Im2colF32,
            (None, true) => Shader::Im2colF16,
            (Some(Two), false) => Shader::Im2colTexture2dF32,
            (Some(Two), true) => Shader::Im2colTexture2dF16,
            (Some(Three), false) => Shader::Im2colTexture3dF32,
            (Some(Three), true) => Shader::Im2colTexture3dF16,
        }
    }
}

/// Output pixels of one image that are computed together; whole rows, or a part of one row: either
/// way neighbours in memory.
struct Tile {
    image: u32,
    rows: (u32, u32),
    columns: (u32, u32),
}

impl Operands<'_> {
    fn half(&self) -> bool {
        self.x.element == Element::F16
    }

    fn c_in_packed(&self) -> u64 {
        u64::from(self.g.c_in).next_multiple_of(CHANNEL_PACK.into())
    }

    fn c_out_packed(&self) -> u64 {
        u64::from(self.g.c_out).next_multiple_of(CHANNEL_PACK.into())
    }

    /// The GEMM of `m` pixels from pixel `first` of the output on.
    fn gemm(
        &self,
        program: &mut ProgramBuilder<'_>,
        a: Matrix,
        k: u64,
        pixels: Range<u64>,
    ) -> Result<u32> {
        let g = self.g;
        let row = self.c_out_packed();
        let size = self.y.element.size_bytes();
        let weight_row = u64::from(g.group_out()).next_multiple_of(CHANNEL_PACK.into());
        let one_group = g.groups == 1;
        let between_groups = |n: u64| if one_group { 0 } else { n };
        let bias = self
            .bias
            .clone()
            .map(|tensor| Bias::per_column(tensor, g.group_out()));
        let bytes = |from: &Tensor| 0..from.numel().saturating_mul(size);
        gemm::emit(
            program,
            &Gemm {
                m: pixels.end - pixels.start,
                n: g.group_out(),
                k,
                batch: g.groups,
                rows_in_all: g.pixels_out(),
                // Budgets and algorithms must not set rounding.
                sliced: false,
                a,
                b: Matrix {
                    buffer: self.weight.buffer,
                    offset: 0,
                    row: weight_row,
                    z: between_groups(g.k().saturating_mul(weight_row)),
                    range_bytes: bytes(&self.weight),
                },
                c: Matrix {
                    buffer: self.y.buffer,
                    offset: pixels.start * row,
                    row,
                    z: between_groups(u64::from(g.group_out())),
                    range_bytes: pixels.start * row * size..pixels.end * row * size,
                },
                padded_columns: one_group,
                element: self.x.element,
                alpha: 1.0,
                bias: bias.as_ref(),
                finish: &self.finish,
            },
        )
    }

    fn pointwise(&self, program: &mut ProgramBuilder<'_>) -> Result<u32> {
        let (g, row) = (self.g, self.c_in_packed());
        let pixels = g.pixels_out();
        let a = Matrix {
            buffer: self.x.buffer,
            offset: 0,
            row,
            z: if g.groups == 1 {
                0
            } else {
                u64::from(g.group_in())
            },
            range_bytes: 0..pixels * row * self.x.element.size_bytes(),
        };
        self.gemm(program, a, u64::from(g.group_in()), 0..pixels)
    }

    fn im2col(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: [u32; 2],
        scratch: &Scratch,
    ) -> Result<(u32, u32)> {
        let (h_out, w_out) = (self.g.h_out(), self.g.w_out());
        let [h_tile, w_tile] = tile;
        if w_tile < w_out && h_tile > 1 {
            return Err(Error::internal(format!(
                "a tile of {h_tile} x {w_tile} of {w_out} columns is not contiguous"
            )));
        }
        let (mut tile_count, mut dispatch_count) = (0, 0);
        for image in 0..self.g.n {
            for rows in tiles(h_out, h_tile) {
                for columns in tiles(w_out, w_tile) {
                    let tile = Tile {
                        image,
                        rows,
                        columns,
                    };
                    dispatch_count += self.im2col_tile(program, scratch, &tile)?;
                    tile_count += 1;
                }
            }
        }
        Ok((tile_count, dispatch_count))
    }

    /// Builds the columns of `tile` in `scratch`, then multiplies them.
    fn im2col_tile(
        &self,
        program: &mut ProgramBuilder<'_>,
        scratch: &Scratch,
        tile: &Tile,
    ) -> Result<u32> {
        let g = self.g;
        let size = self.x.element.size_bytes();
        let pixels = u64::from(tile.rows.1) * u64::from(tile.columns.1);
        let row = g.k().next_multiple_of(CHANNEL_PACK.into());
        let group = row.saturating_mul(pixels);
        let elements = group.saturating_mul(g.groups.into());
        let aligned = g.group_in() % CHANNEL_PACK == 0 || g.groups == 1;
        let vectors = g.k_channels() % CHANNEL_PACK == 0 && aligned;
        let image = u64::from(g.h_in) * u64::from(g.w_in) * self.c_in_packed();
        let image = u64::from(tile.image) * image..(u64::from(tile.image) + 1) * image;
        let count = elements / u64::from(CHANNEL_PACK);
        let words = [
            count,
            pixels,
            tile.columns.1.into(),
            tile.rows.0.into(),
            tile.columns.0.into(),
            row / u64::from(CHANNEL_PACK),
            g.taps(),
            g.kernel[1].into(),
            g.k_channels().into(),
            g.group_in().into(),
            image.start,
            self.c_in_packed(),
            g.h_in.into(),
            g.w_in.into(),
        ];
        let mut push = words_of(&words)?;
        push.extend([g.stride, g.padding, g.dilation].concat());
        program.dispatch(DispatchDesc {
            shader: scratch.im2col(self.half()),
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![u32::from(vectors)],
            push,
            bindings: vec![
                Bind::range(
                    self.x.buffer,
                    Access::Read,
                    image.start * size..image.end * size,
                ),
                match scratch.image {
                    None => Bind::range(scratch.buffer, Access::Write, 0..elements * size),
                    Some(_) => Bind::whole(scratch.buffer, Access::Write),
                },
            ],
            workgroups: program.line(count, LINE_LOCAL_SIZE)?,
        })?;
        // Of an image: rows of columns along y before z goes on, and between groups.
        let (row, group, range_bytes) = match scratch.image.map(|image| image.dimensions) {
            None => (row, group, 0..elements * size),
            Some(ImageDimensions::Two) => (pixels, pixels, 0..u64::MAX),
            Some(ImageDimensions::Three) => {
                (tile.columns.1.into(), tile.rows.1.into(), 0..u64::MAX)
            }
        };
        let a = Matrix {
            buffer: scratch.buffer,
            offset: 0,
            row,
            z: if g.groups == 1 { 0 } else { group },
            range_bytes,
        };
        let (h_out, w_out) = (u64::from(g.h_out()), u64::from(g.w_out()));
        let first = (u64::from(tile.image) * h_out + u64::from(tile.rows.0)) * w_out
            + u64::from(tile.columns.0);
        Ok(1 + self.gemm(program, a, g.k(), first..first + pixels)?)
    }

    fn direct(&self, program: &mut ProgramBuilder<'_>) -> Result<u32> {
        let g = self.g;
        let step = if g.transposed { g.stride[1] } else { 1 };
        // Strips of PIXELS positions, `step` apart, interleaved.
        let block = u64::from(PIXELS) * u64::from(step);
        let strips = u64::from(g.w_out()).div_ceil(block) * u64::from(step);
        let one_group = g.groups == 1;
        let channels = if !(one_group || g.group_out() % CHANNEL_PACK == 0) {
            0
        } else if g.k_channels() % CHANNEL_PACK == 0
            && (one_group || g.group_in() % CHANNEL_PACK == 0)
        {
            2
        } else {
            1
        };
        let mut push = words_of(&[
            g.c_out.into(),
            strips,
            g.group_in().into(),
            g.group_out().into(),
            g.k_channels().into(),
            u64::from(g.group_out()).next_multiple_of(CHANNEL_PACK.into()),
            self.c_in_packed(),
        ])?;
        push.extend(self.sizes());
        self.strips(
            program,
            strips,
            push,
            [Shader::Conv2dDirectF32, Shader::Conv2dDirectF16],
            PIXELS,
            &[channels, u32::from(g.transposed)],
        )
    }

    fn depthwise(&self, program: &mut ProgramBuilder<'_>) -> Result<u32> {
        let tile = DepthwiseTile::choose(self.g, program.limits());
        let strips = u64::from(self.g.w_out().div_ceil(tile.pixels));
        let mut push = words_of(&[self.g.c_out.into(), strips])?;
        push.extend(self.sizes());
        self.strips(
            program,
            strips,
            push,
            [Shader::Conv2dDepthwiseF32, Shader::Conv2dDepthwiseF16],
            tile.pixels,
            &tile.sizes,
        )
    }

    /// `h_in, w_in, h_out, w_out, kernel`.
    fn extents(&self) -> Vec<u32> {
        let g = self.g;
        [[g.h_in, g.w_in], [g.h_out(), g.w_out()], g.kernel].concat()
    }

    /// [`Operands::extents`] and `stride, padding, dilation`.
    fn sizes(&self) -> Vec<u32> {
        let g = self.g;
        let mut sizes = self.extents();
        sizes.extend([g.stride, g.padding, g.dilation].concat());
        sizes
    }

    /// One dispatch over all strips of all rows and quads of channels.
    fn strips(
        &self,
        program: &mut ProgramBuilder<'_>,
        strips: u64,
        mut push: Vec<u32>,
        [f32_shader, f16_shader]: [Shader; 2],
        pixels: u32,
        more_spec: &[u32],
    ) -> Result<u32> {
        let g = self.g;
        let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
        let rows = u64::from(g.n) * u64::from(g.h_out());
        let count = strips.saturating_mul(quads).saturating_mul(rows);
        push.insert(0, gemm::word(count)?);
        push.extend(self.finish.push());
        let mut spec = vec![pixels, u32::from(self.bias.is_some())];
        spec.extend(self.finish.spec());
        spec.extend(more_spec);
        // Absent operands show the input in their place and are never read.
        let or_x = |tensor: &Option<Tensor>| Bind::read(tensor.as_ref().unwrap_or(&self.x));
        program.dispatch(DispatchDesc {
            shader: if self.half() { f16_shader } else { f32_shader },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec,
            push,
            bindings: vec![
                Bind::read(&self.x),
                Bind::read(&self.weight),
                Bind::write(&self.y),
                or_x(&self.bias),
                or_x(&self.finish.slope),
                or_x(&self.finish.residual),
            ],
            workgroups: program.line(count, LINE_LOCAL_SIZE)?,
        })?;
        Ok(1)
    }
}

fn words_of(numbers: &[u64]) -> Result<Vec<u32>> {
    numbers.iter().map(|&n| gemm::word(n)).collect()
}
