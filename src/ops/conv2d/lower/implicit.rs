//! The GEMM that gathers its left operand, and the sum of its parts.

use super::summing::Summing;
use super::Operands;
use crate::base::error::Result;
use crate::core::conv::{ImplicitTile, Units};
use crate::core::kernels::lib::{self, Vectors};
use crate::core::kernels::{conv2d_implicit, conv2d_implicit_part};
use crate::core::kernels::{conv2d_matrix, conv2d_matrix_part, conv2d_parts};
use crate::core::program::{Access, BufferId};
use crate::core::tensor::CHANNEL_PACK;
use crate::core::words::unsigned;
use crate::ops::conv2d::tiles::eights;
use crate::ops::support::builder::{Bind, Grid, ProgramBuilder};
use crate::ops::support::gemm::epilogue::NO_EPILOGUE;
use std::ops::Range;

impl Operands<'_> {
    /// One tile of `pixels_tile` outputs after the other: their sums, and where these are of parts side
    /// by side, the sum of those. Returns the numbers of tiles and dispatches.
    pub(super) fn implicit(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: ImplicitTile,
        summing: Summing,
        pixels_tile: u64,
    ) -> Result<(u32, u32)> {
        let all = self.g.pixels_out();
        let (mut tile_count, mut dispatch_count) = (0, 0);
        let mut first = 0;
        while first < all {
            let pixels = first..all.min(first.saturating_add(pixels_tile));
            self.sum(program, tile, summing, &pixels)?;
            dispatch_count += 1;
            if let Summing::Parts { parts, buffer } = summing {
                self.add_parts(program, parts, buffer, &pixels)?;
                dispatch_count += 1;
            }
            tile_count += 1;
            first = pixels.end;
        }
        Ok((tile_count, dispatch_count))
    }

    /// The GEMM of `pixels`, whose left operand is gathered, or read from patches of the image where
    /// `pixels` are all.
    fn sum(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: ImplicitTile,
        summing: Summing,
        pixels: &Range<u64>,
    ) -> Result<()> {
        let g = self.g;
        if tile.units == Units::Patches {
            return self.patches(program, tile, summing);
        }
        let push = self.gather(tile, summing.parts(), pixels)?;
        let [x, y, _] = program.line(tile.tiles(g, pixels.end - pixels.start), 1)?;
        let grid = Grid {
            local_size: [tile.local_size(), 1, 1],
            workgroups: [x, y, g.groups * summing.side_by_side()],
        };
        match tile.units {
            Units::Matrices => self.by_matrices(program, tile, push, summing, grid),
            _ => self.by_invocations(program, tile, push, summing, grid),
        }
    }

    fn gather(&self, tile: ImplicitTile, parts: u32, pixels: &Range<u64>) -> Result<lib::Gather> {
        let g = self.g;
        Ok(lib::Gather {
            pixel_first: unsigned(pixels.start)?,
            pixel_end: unsigned(pixels.end)?,
            columns: g.group_out(),
            k: unsigned(g.k())?,
            k_part: unsigned(tile.steps(g).div_ceil(parts.into()))?,
            group_in: g.group_in(),
            pixel_in: unsigned(self.c_in_packed())?,
            pixel_out: unsigned(self.c_out_packed())?,
            groups: g.groups,
            quads_k: g.k_channels().div_ceil(CHANNEL_PACK),
            window: self.window()?,
            parameters: self.epilogue.parameters(),
        })
    }

    /// How K's channels lie, and the divisors by which they are looked up: `k_channels, kernel_w`.
    fn lookup(&self) -> (Vectors, [u32; 2]) {
        let g = self.g;
        let fours = [CHANNEL_PACK, 1];
        match g.k_channels() % CHANNEL_PACK == 0 {
            true if g.group_in() % CHANNEL_PACK == 0 => (Vectors::Whole, fours),
            true if g.groups == 1 => (Vectors::Padded, fours),
            _ => (Vectors::None, [g.k_channels(), g.kernel[1]]),
        }
    }

    /// The steps on the sums of a dispatch.
    pub(super) fn steps(&self, summing: Summing) -> lib::EpilogueSteps {
        match summing {
            Summing::Parts { .. } => NO_EPILOGUE,
            Summing::Whole | Summing::Serial { .. } => self.epilogue.steps(self.bias.is_some()),
        }
    }

    fn by_invocations(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: ImplicitTile,
        push: lib::Gather,
        summing: Summing,
        grid: Grid,
    ) -> Result<()> {
        use conv2d_implicit::Variant;
        let (vectors, [k_channels, kernel_w]) = self.lookup();
        let spec = conv2d_implicit::Spec {
            pixels: tile.thread_m,
            epilogue_steps: self.steps(summing),
            tile_m: tile.tile_m,
            tile_n4: tile.tile_n4,
            tile_k4: tile.tile_k4,
            thread_n4: tile.thread_n4,
            vectors,
            k_channels,
            kernel_w,
        };
        let variant = match (summing, self.half()) {
            (Summing::Parts { buffer, .. }, half) => {
                let call = conv2d_implicit_part::Call {
                    variant: conv2d_implicit_part::Variant::with_half(half),
                    spec,
                    push,
                    bindings: self.part_operands(buffer),
                };
                return program.dispatch(call, grid);
            }
            (Summing::Whole, false) => Variant::F32,
            (Summing::Whole, true) => Variant::F16,
            (Summing::Serial { .. }, false) => Variant::SerialF32,
            (Summing::Serial { .. }, true) => Variant::SerialF16,
        };
        let pixels = push.pixel_first.into()..push.pixel_end.into();
        let call = conv2d_implicit::Call {
            variant,
            spec,
            push,
            bindings: self.epilogue_operands(Access::Write, &pixels),
        };
        program.dispatch(call, grid)
    }

    fn by_matrices(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: ImplicitTile,
        push: lib::Gather,
        summing: Summing,
        grid: Grid,
    ) -> Result<()> {
        let (vectors, [k_channels, kernel_w]) = self.lookup();
        let spec = conv2d_matrix::Spec {
            pixels: tile.thread_m,
            epilogue_steps: self.steps(summing),
            tile_m: tile.tile_m,
            tile_n4: tile.tile_n4,
            tile_k4: tile.tile_k4,
            matrices_n: tile.thread_n4,
            vectors,
            k_channels,
            kernel_w,
            eights_a: eights(self.g),
            eights_b: self.g.group_out().next_multiple_of(CHANNEL_PACK) % 8 == 0,
            buffers: tile.buffers,
        };
        let variant = match summing {
            Summing::Parts { buffer, .. } => {
                let call = conv2d_matrix_part::Call {
                    variant: conv2d_matrix_part::Variant::F16,
                    spec,
                    push,
                    bindings: self.part_operands(buffer),
                };
                return program.dispatch(call, grid);
            }
            Summing::Whole => conv2d_matrix::Variant::F16,
            Summing::Serial { .. } => conv2d_matrix::Variant::SerialF16,
        };
        let pixels = push.pixel_first.into()..push.pixel_end.into();
        let call = conv2d_matrix::Call {
            variant,
            spec,
            push,
            bindings: self.epilogue_operands(Access::Write, &pixels),
        };
        program.dispatch(call, grid)
    }

    /// The operands of kernels that leave the sums of parts in the workspace `sums`.
    pub(super) fn part_operands(&self, sums: BufferId) -> lib::ConvPartOperands<Bind> {
        lib::ConvPartOperands {
            x: Bind::read(&self.x),
            weight: Bind::read(&self.weight),
            parts: Bind::whole(sums, Access::Write),
        }
    }

    /// Adds the sums of `parts` parts of `pixels` in the order of the parts, and does their epilogue.
    pub(super) fn add_parts(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        sums: BufferId,
        pixels: &Range<u64>,
    ) -> Result<()> {
        let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
        let count = quads * (pixels.end - pixels.start);
        let operands = self.epilogue_operands(Access::Write, pixels);
        let call = conv2d_parts::Call {
            variant: conv2d_parts::Variant::with_half(self.half()),
            spec: conv2d_parts::Spec {
                pixels: 1,
                epilogue_steps: self.epilogue.steps(self.bias.is_some()),
            },
            push: conv2d_parts::Push {
                first: unsigned(quads * pixels.start)?,
                count: unsigned(count)?,
                part_count: parts,
                quads: unsigned(quads)?,
                channels: self.g.c_out,
                parameters: self.epilogue.parameters(),
            },
            bindings: conv2d_parts::Bindings {
                parts: Bind::whole(sums, Access::Read),
                weight: operands.weight,
                y: operands.y,
                bias: operands.bias,
                slope: operands.slope,
                residual: operands.residual,
            },
        };
        program.dispatch_line(call, count)
    }
}
