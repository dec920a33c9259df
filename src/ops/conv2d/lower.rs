//! A plan becomes dispatches. Nothing is decided here: what a plan leaves open follows from the
//! geometry, and a plan that does not fit it is refused.

mod implicit;
mod patches;
mod summing;
mod winograd;

use super::plan;
use super::{weights, Conv2d};
use crate::base::error::{Error, Result};
use crate::core::conv::{
    tiles, ConvAlgorithm, ConvGeometry, ConvPlan, ConvReport, DepthwiseTile, Sums,
};
use crate::core::gemm::GemmKernel;
use crate::core::graph::ValueId;
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::kernels::{conv2d_depthwise, conv2d_direct, im2col, lib};
use crate::core::program::{Access, BufferId};
use crate::core::tensor::{Element, Layout, Tensor, CHANNEL_PACK};
use crate::core::words::{signed, unsigned};
use crate::ops::support::builder::{Bind, ProgramBuilder, Want};
use crate::ops::support::gemm::{self, epilogue, packed, Bias, Gemm, Matrix, PreparedEpilogue};
use std::ops::Range;
use summing::Summing;

/// Output positions per invocation of the direct kernel: each weight that is read serves so many.
const PIXELS: u32 = 4;

/// Operands of one convolution in the form that its kernels read.
struct Operands<'a> {
    g: &'a ConvGeometry,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    epilogue: PreparedEpilogue,
    y: Tensor,
}

impl Conv2d {
    /// Emits the convolution as `plan` says, whoever made it; fails where it is no plan for this
    /// convolution and device.
    pub fn lower_as(&self, plan: &ConvPlan, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let g = &self.geometry(program)?;
        plan::check(&self.problem(g, program)?, plan)?;
        let operands = self.operands(g, plan.algorithm, program)?;
        let (tile_count, dispatch_count) = match g.n {
            0 => (0, 0),
            _ => operands.emit(program, self.weight, plan)?,
        };
        program.report(ConvReport {
            node: program.node_id(),
            geometry: *g,
            output: [g.h_out(), g.w_out()],
            algorithm: plan.algorithm,
            tile_count,
            dispatch_count,
            workspace_bytes: plan.workspace_bytes,
            moved_bytes: plan.moved_bytes,
            reason: plan.reason.clone(),
        });
        Ok(())
    }

    /// Makes what the kernels of `algorithm` read and write.
    fn operands<'a>(
        &self,
        g: &'a ConvGeometry,
        algorithm: ConvAlgorithm,
        program: &mut ProgramBuilder<'_>,
    ) -> Result<Operands<'a>> {
        let packed = Layout::ChannelsPacked;
        let x = program.operand(self.input, Want::Dense(packed))?;
        let (form, weight_dims) = match algorithm {
            ConvAlgorithm::Depthwise { .. } => (weights::depthwise(g)?, [g.c_out, 1]),
            _ if g.transposed => (weights::grouped(g)?, [g.c_in, g.group_out()]),
            _ => (weights::grouped(g)?, [g.c_out, g.group_in()]),
        };
        let weight_dims = [weight_dims[0], weight_dims[1], g.kernel[0], g.kernel[1]];
        let weight = packed::prepare(program, self.weight, &weight_dims, &form, x.dtype)?;
        let bias = match self.bias {
            Some(bias) => Some(epilogue::vector(program, bias, g.c_out)?),
            None => None,
        };
        let (h_out, w_out) = (g.h_out(), g.w_out());
        let dims = match x.dims.len() {
            3 => vec![g.n, g.c_out, w_out],
            _ => vec![g.n, g.c_out, h_out, w_out],
        };
        let y = program.output(self.output, &dims, packed)?;
        let epilogue = self.epilogue.prepare(program, g.c_out, &dims, packed)?;
        Ok(Operands {
            g,
            x,
            weight,
            bias,
            epilogue,
            y,
        })
    }
}

/// What holds the columns of one tile after the other, and the kernel that reads them.
struct Columns {
    buffer: BufferId,
    image: Option<ImageShape>,
    kernel: GemmKernel,
}

impl Columns {
    fn im2col(&self, half: bool) -> im2col::Variant {
        use im2col::Variant;
        use ImageDimensions::{Three, Two};
        match (self.image.map(|image| image.dimensions), half) {
            (None, false) => Variant::F32,
            (None, true) => Variant::F16,
            (Some(Two), false) => Variant::Texture2dF32,
            (Some(Two), true) => Variant::Texture2dF16,
            (Some(Three), false) => Variant::Texture3dF32,
            (Some(Three), true) => Variant::Texture3dF16,
        }
    }
}

/// Output pixels of one image that are computed together; whole rows, or a part of one row: either
/// way neighbours in memory.
struct OutputTile {
    image: u32,
    rows: (u32, u32),
    columns: (u32, u32),
}

impl Operands<'_> {
    /// The dispatches of `plan`; `weight` is the value that [`Operands::weight`] holds in one form.
    /// Returns the numbers of tiles and dispatches.
    fn emit(
        &self,
        program: &mut ProgramBuilder<'_>,
        weight: ValueId,
        plan: &ConvPlan,
    ) -> Result<(u32, u32)> {
        let bytes = plan.workspace_bytes;
        match plan.algorithm {
            ConvAlgorithm::Pointwise { kernel } => Ok((1, self.pointwise(program, kernel)?)),
            ConvAlgorithm::Depthwise { tile } => Ok((1, self.depthwise(program, tile)?)),
            ConvAlgorithm::Direct => Ok((1, self.direct(program)?)),
            ConvAlgorithm::Implicit { tile, sums } => {
                let summing = Summing::new(program, sums, bytes)?;
                let pixels_tile = match sums {
                    Sums::Parts { pixels_tile, .. } => pixels_tile.into(),
                    Sums::Whole | Sums::Serial { .. } => self.g.pixels_out(),
                };
                self.implicit(program, tile, summing, pixels_tile)
            }
            ConvAlgorithm::Winograd { tile, sums } => {
                let u = weights::winograd(program, weight, self.g)?;
                let summing = Summing::new(program, sums, bytes)?;
                self.winograd(program, &u, tile, summing)
            }
            ConvAlgorithm::Im2col {
                kernel,
                h_out_tile,
                w_out_tile,
                image,
            } => {
                let buffer = match image {
                    None => program.workspace(bytes)?,
                    Some(image) => program.workspace_image(image, bytes)?,
                };
                let columns = Columns {
                    buffer,
                    image,
                    kernel,
                };
                self.im2col(program, [h_out_tile, w_out_tile], &columns)
            }
        }
    }

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
        kernel: GemmKernel,
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
                kernel,
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
                epilogue: &self.epilogue,
            },
        )
    }

    fn pointwise(&self, program: &mut ProgramBuilder<'_>, kernel: GemmKernel) -> Result<u32> {
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
        self.gemm(program, kernel, a, u64::from(g.group_in()), 0..pixels)
    }

    fn im2col(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: [u32; 2],
        columns: &Columns,
    ) -> Result<(u32, u32)> {
        let (h_out, w_out) = (self.g.h_out(), self.g.w_out());
        let [h_tile, w_tile] = tile;
        let (mut tile_count, mut dispatch_count) = (0, 0);
        for image in 0..self.g.n {
            for rows in tiles(h_out, h_tile) {
                for part_of_rows in tiles(w_out, w_tile) {
                    let tile = OutputTile {
                        image,
                        rows,
                        columns: part_of_rows,
                    };
                    dispatch_count += self.im2col_tile(program, columns, &tile)?;
                    tile_count += 1;
                }
            }
        }
        Ok((tile_count, dispatch_count))
    }

    /// Builds the columns of `tile` in `columns`, then multiplies them.
    fn im2col_tile(
        &self,
        program: &mut ProgramBuilder<'_>,
        columns: &Columns,
        tile: &OutputTile,
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
        let push = im2col::Push {
            count: unsigned(count)?,
            pixels: unsigned(pixels)?,
            w_tile: tile.columns.1,
            oh_offset: signed(tile.rows.0.into())?,
            ow_offset: signed(tile.columns.0.into())?,
            row4: unsigned(row / u64::from(CHANNEL_PACK))?,
            taps: unsigned(g.taps())?,
            k_channels: g.k_channels(),
            group_in: g.group_in(),
            x_offset: unsigned(image.start)?,
            x_pixel: unsigned(self.c_in_packed())?,
            window: self.window()?,
        };
        let call = im2col::Call {
            variant: columns.im2col(self.half()),
            spec: im2col::Spec { vectors },
            push,
            bindings: im2col::Bindings {
                x: Bind::range(
                    self.x.buffer,
                    Access::Read,
                    image.start * size..image.end * size,
                ),
                columns: match columns.image {
                    None => Bind::range(columns.buffer, Access::Write, 0..elements * size),
                    Some(_) => Bind::whole(columns.buffer, Access::Write),
                },
            },
        };
        program.dispatch_line(call, count)?;
        // Of an image: rows of columns along y before z goes on, and between groups.
        let (row, group, range_bytes) = match columns.image.map(|image| image.dimensions) {
            None => (row, group, 0..elements * size),
            Some(ImageDimensions::Two) => (pixels, pixels, 0..u64::MAX),
            Some(ImageDimensions::Three) => {
                (tile.columns.1.into(), tile.rows.1.into(), 0..u64::MAX)
            }
        };
        let a = Matrix {
            buffer: columns.buffer,
            offset: 0,
            row,
            z: if g.groups == 1 { 0 } else { group },
            range_bytes,
        };
        let (h_out, w_out) = (u64::from(g.h_out()), u64::from(g.w_out()));
        let first = (u64::from(tile.image) * h_out + u64::from(tile.rows.0)) * w_out
            + u64::from(tile.columns.0);
        Ok(1 + self.gemm(program, columns.kernel, a, g.k(), first..first + pixels)?)
    }

    fn direct(&self, program: &mut ProgramBuilder<'_>) -> Result<u32> {
        use conv2d_direct::Channels;
        let g = self.g;
        let step = if g.transposed { g.stride[1] } else { 1 };
        // Strips of PIXELS positions, `step` apart, interleaved.
        let block = u64::from(PIXELS) * u64::from(step);
        let strips = u64::from(g.w_out()).div_ceil(block) * u64::from(step);
        let one_group = g.groups == 1;
        let channels = if !(one_group || g.group_out() % CHANNEL_PACK == 0) {
            Channels::Mixed
        } else if g.k_channels() % CHANNEL_PACK == 0
            && (one_group || g.group_in() % CHANNEL_PACK == 0)
        {
            Channels::Quads
        } else {
            Channels::Single
        };
        let count = self.strips(strips);
        let call = conv2d_direct::Call {
            variant: conv2d_direct::Variant::with_half(self.half()),
            spec: conv2d_direct::Spec {
                pixels: PIXELS,
                epilogue_steps: self.epilogue.steps(self.bias.is_some()),
                channels,
                transposed: g.transposed,
            },
            push: conv2d_direct::Push {
                count: unsigned(count)?,
                c_out: g.c_out,
                strips: unsigned(strips)?,
                group_in: g.group_in(),
                group_out: g.group_out(),
                k_channels: g.k_channels(),
                weight_row: unsigned(
                    u64::from(g.group_out()).next_multiple_of(CHANNEL_PACK.into()),
                )?,
                x_pixel: unsigned(self.c_in_packed())?,
                window: self.window()?,
                parameters: self.epilogue.parameters(),
            },
            bindings: self.epilogue_operands(Access::Write, &(0..g.pixels_out())),
        };
        program.dispatch_line(call, count)?;
        Ok(1)
    }

    fn depthwise(&self, program: &mut ProgramBuilder<'_>, tile: DepthwiseTile) -> Result<u32> {
        let g = self.g;
        let [kernel_w, kernel_h, stride_w] = tile.sizes(g);
        let strips = u64::from(g.w_out().div_ceil(tile.pixels));
        let count = self.strips(strips);
        let call = conv2d_depthwise::Call {
            variant: conv2d_depthwise::Variant::with_half(self.half()),
            spec: conv2d_depthwise::Spec {
                pixels: tile.pixels,
                epilogue_steps: self.epilogue.steps(self.bias.is_some()),
                kernel_w,
                kernel_h,
                stride_w,
            },
            push: conv2d_depthwise::Push {
                count: unsigned(count)?,
                channels_out: g.c_out,
                strips: unsigned(strips)?,
                window: self.window()?,
                parameters: self.epilogue.parameters(),
            },
            bindings: self.epilogue_operands(Access::Write, &(0..g.pixels_out())),
        };
        program.dispatch_line(call, count)?;
        Ok(1)
    }

    /// Invocations for all strips of all rows and quads of channels.
    fn strips(&self, strips: u64) -> u64 {
        let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
        let rows = u64::from(self.g.n) * u64::from(self.g.h_out());
        strips.saturating_mul(quads).saturating_mul(rows)
    }

    fn window(&self) -> Result<lib::ConvWindow> {
        let g = self.g;
        let pair = |[h, w]: [u32; 2]| Ok::<_, Error>([signed(h.into())?, signed(w.into())?]);
        let [h_in, w_in] = pair([g.h_in, g.w_in])?;
        let [h_out, w_out] = pair([g.h_out(), g.w_out()])?;
        let [kernel_h, kernel_w] = pair(g.kernel)?;
        let [stride_h, stride_w] = pair(g.stride)?;
        let [padding_h, padding_w] = pair(g.padding)?;
        let [dilation_h, dilation_w] = pair(g.dilation)?;
        Ok(lib::ConvWindow {
            h_in,
            w_in,
            h_out,
            w_out,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            padding_h,
            padding_w,
            dilation_h,
            dilation_w,
        })
    }

    /// The operands of kernels that do the epilogue of `pixels`. Absent ones show the input in their place and are
    /// never read.
    fn epilogue_operands(&self, access: Access, pixels: &Range<u64>) -> lib::ConvOperands<Bind> {
        let row = self.c_out_packed() * self.y.element.size_bytes();
        let or_x = |tensor: &Option<Tensor>| Bind::read(tensor.as_ref().unwrap_or(&self.x));
        lib::ConvOperands {
            x: Bind::read(&self.x),
            weight: Bind::read(&self.weight),
            y: Bind::range(self.y.buffer, access, pixels.start * row..pixels.end * row),
            bias: or_x(&self.bias),
            slope: or_x(&self.epilogue.slope),
            residual: or_x(&self.epilogue.residual),
        }
    }
}
