//! The GEMM that gathers its left operand, and the sum of its parts.

use super::super::tile::{eights, Tile, Units};
use super::{Operands, Sums};
use crate::base::error::Result;
use crate::core::kernels::lib::{self, Vectors};
use crate::core::kernels::{conv2d_implicit, conv2d_implicit_part};
use crate::core::kernels::{conv2d_matrix, conv2d_matrix_part, conv2d_parts};
use crate::core::program::{Access, BufferId};
use crate::core::tensor::CHANNEL_PACK;
use crate::ops::support::builder::{Bind, Grid, ProgramBuilder};
use crate::ops::support::gemm::finish::UNFINISHED;
use crate::ops::support::words::unsigned;
use std::ops::Range;

impl Operands<'_> {
    /// One dispatch that writes the output. Returns the number of dispatches.
    pub(super) fn implicit(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        sums: Sums,
    ) -> Result<u32> {
        self.sum(program, parts, sums, &(0..self.g.pixels_out()))?;
        Ok(1)
    }

    /// The parts of K side by side into the workspace, then their sum, for `pixels_tile` outputs
    /// after the other. Returns the numbers of tiles and dispatches.
    pub(super) fn implicit_parts(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        pixels_tile: u32,
        workspace_bytes: u64,
    ) -> Result<(u32, u32)> {
        let sums = program.workspace(workspace_bytes)?;
        let pixels = self.g.pixels_out();
        let mut tile_count = 0;
        let mut first = 0;
        while first < pixels {
            let tile = first..pixels.min(first + u64::from(pixels_tile));
            self.sum(program, parts, Sums::Parts(sums), &tile)?;
            self.add_parts(program, parts, sums, &tile)?;
            tile_count += 1;
            first = tile.end;
        }
        Ok((tile_count, 2 * tile_count))
    }

    /// The GEMM of `pixels`, whose left operand is gathered, or read from patches of the image where
    /// `pixels` are all.
    fn sum(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        sums: Sums,
        pixels: &Range<u64>,
    ) -> Result<()> {
        let g = self.g;
        let (tile, _) = Tile::choose(g, self.x.element, program.limits());
        if tile.units == Units::Patches {
            return self.patches(program, tile, parts, sums);
        }
        let push = self.gather(tile, parts, pixels)?;
        let [x, y, _] = program.line(tile.tiles(g, pixels.end - pixels.start), 1)?;
        let z = match sums {
            Sums::Parts(_) => g.groups * parts,
            Sums::Whole | Sums::Serial => g.groups,
        };
        let grid = Grid {
            local_size: [tile.local_size(g), 1, 1],
            workgroups: [x, y, z],
        };
        match tile.units {
            Units::Matrices => self.by_matrices(program, tile, push, sums, grid),
            _ => self.by_invocations(program, tile, push, sums, grid),
        }
    }

    fn gather(&self, tile: Tile, parts: u32, pixels: &Range<u64>) -> Result<lib::Gather> {
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
            parameters: self.finish.parameters(),
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
    pub(super) fn steps(&self, sums: Sums) -> lib::EpilogueSteps {
        match sums {
            Sums::Parts(_) => UNFINISHED,
            Sums::Whole | Sums::Serial => self.finish.steps(self.bias.is_some()),
        }
    }

    fn by_invocations(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: Tile,
        push: lib::Gather,
        sums: Sums,
        grid: Grid,
    ) -> Result<()> {
        use conv2d_implicit::Variant;
        let (vectors, [k_channels, kernel_w]) = self.lookup();
        let spec = conv2d_implicit::Spec {
            pixels: tile.thread_m,
            epilogue_steps: self.steps(sums),
            tile_m: tile.tile_m,
            tile_n4: tile.tile_n4,
            tile_k4: tile.tile_k4,
            thread_n4: tile.thread_n4,
            vectors,
            k_channels,
            kernel_w,
        };
        let variant = match (sums, self.half()) {
            (Sums::Parts(sums), half) => {
                let call = conv2d_implicit_part::Call {
                    variant: conv2d_implicit_part::Variant::with_half(half),
                    spec,
                    push,
                    bindings: self.unfinished(sums),
                };
                return program.dispatch(call, grid);
            }
            (Sums::Whole, false) => Variant::F32,
            (Sums::Whole, true) => Variant::F16,
            (Sums::Serial, false) => Variant::SerialF32,
            (Sums::Serial, true) => Variant::SerialF16,
        };
        let pixels = push.pixel_first.into()..push.pixel_end.into();
        let call = conv2d_implicit::Call {
            variant,
            spec,
            push,
            bindings: self.finished(Access::Write, &pixels),
        };
        program.dispatch(call, grid)
    }

    fn by_matrices(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: Tile,
        push: lib::Gather,
        sums: Sums,
        grid: Grid,
    ) -> Result<()> {
        let (vectors, [k_channels, kernel_w]) = self.lookup();
        let spec = conv2d_matrix::Spec {
            pixels: tile.thread_m,
            epilogue_steps: self.steps(sums),
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
        let variant = match sums {
            Sums::Parts(sums) => {
                let call = conv2d_matrix_part::Call {
                    variant: conv2d_matrix_part::Variant::F16,
                    spec,
                    push,
                    bindings: self.unfinished(sums),
                };
                return program.dispatch(call, grid);
            }
            Sums::Whole => conv2d_matrix::Variant::F16,
            Sums::Serial => conv2d_matrix::Variant::SerialF16,
        };
        let pixels = push.pixel_first.into()..push.pixel_end.into();
        let call = conv2d_matrix::Call {
            variant,
            spec,
            push,
            bindings: self.finished(Access::Write, &pixels),
        };
        program.dispatch(call, grid)
    }

    /// The operands of kernels that leave the sums of parts in the workspace `sums`.
    pub(super) fn unfinished(&self, sums: BufferId) -> lib::ConvPartOperands<Bind> {
        lib::ConvPartOperands {
            x: Bind::read(&self.x),
            weight: Bind::read(&self.weight),
            parts: Bind::whole(sums, Access::Write),
        }
    }

    /// Adds the sums of `parts` parts of `pixels` in the order of the parts, and finishes them.
    pub(super) fn add_parts(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        sums: BufferId,
        pixels: &Range<u64>,
    ) -> Result<()> {
        let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
        let count = quads * (pixels.end - pixels.start);
        let finished = self.finished(Access::Write, pixels);
        let call = conv2d_parts::Call {
            variant: conv2d_parts::Variant::with_half(self.half()),
            spec: conv2d_parts::Spec {
                pixels: 1,
                epilogue_steps: self.finish.steps(self.bias.is_some()),
            },
            push: conv2d_parts::Push {
                first: unsigned(quads * pixels.start)?,
                count: unsigned(count)?,
                part_count: parts,
                quads: unsigned(quads)?,
                channels: self.g.c_out,
                parameters: self.finish.parameters(),
            },
            bindings: conv2d_parts::Bindings {
                parts: Bind::whole(sums, Access::Read),
                weight: finished.weight,
                y: finished.y,
                bias: finished.bias,
                slope: finished.slope,
                residual: finished.residual,
            },
        };
        program.dispatch_line(call, count)
    }
}
