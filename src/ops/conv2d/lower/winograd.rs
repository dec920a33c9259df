//! Winograd's F(4x4, 3x3): one kernel, for all inputs or for parts of them.

use super::summing::Summing;
use super::Operands;
use crate::base::error::Result;
use crate::core::conv::WinogradTile;
use crate::core::kernels::conv2d_winograd::{self, TURN_FIRST, TURN_LAST};
use crate::core::kernels::conv2d_winograd_part;
use crate::core::program::{Access, BufferId};
use crate::core::tensor::Tensor;
use crate::core::words::{signed, unsigned};
use crate::ops::conv2d::tiles::{quads, quads_per_part, winograd_regions};
use crate::ops::support::builder::{Bind, Grid, ProgramBuilder};

/// What a dispatch sums, in quads of inputs.
struct Inputs {
    first4: u64,
    last4: u64,
    /// Of each part of the dispatch.
    part4: u64,
    /// [`TURN_FIRST`] and [`TURN_LAST`].
    turn: u32,
}

impl Operands<'_> {
    /// `u` is the weight's products; [`Operands::weight`] is the weight as it is. Parts in turn are added
    /// where the output lies. Returns the numbers of tiles and dispatches.
    pub(super) fn winograd(
        &self,
        program: &mut ProgramBuilder<'_>,
        u: &Tensor,
        tile: WinogradTile,
        summing: Summing,
    ) -> Result<(u32, u32)> {
        let all = Inputs {
            first4: 0,
            last4: quads(self.g.c_in),
            part4: quads_per_part(self.g, summing.parts()),
            turn: TURN_FIRST | TURN_LAST,
        };
        match summing {
            Summing::Whole => {
                let finished = self.winograd_operands(u, Access::Write);
                let variant = conv2d_winograd::Variant::F32;
                self.winograd_whole(program, tile, variant, &all, finished)?;
                Ok((1, 1))
            }
            Summing::Parts { parts, buffer } => {
                self.winograd_parts(program, u, tile, &all, parts, buffer)?;
                self.add_parts(program, parts, buffer, &(0..self.g.pixels_out()))?;
                Ok((1, 2))
            }
            Summing::Serial { parts } => {
                self.winograd_serial(program, u, tile, &all, parts)?;
                Ok((1, parts))
            }
        }
    }

    /// One part of the inputs after the other.
    fn winograd_serial(
        &self,
        program: &mut ProgramBuilder<'_>,
        u: &Tensor,
        tile: WinogradTile,
        all: &Inputs,
        parts: u32,
    ) -> Result<()> {
        let part4 = all.part4;
        for part in 0..u64::from(parts) {
            let (mut turn, mut access) = (0, Access::ReadWrite);
            if part == 0 {
                (turn, access) = (TURN_FIRST, Access::Write);
            }
            if part + 1 == parts.into() {
                turn |= TURN_LAST;
            }
            let inputs = Inputs {
                first4: part * part4,
                last4: all.last4.min((part + 1) * part4),
                part4,
                turn,
            };
            let operands = self.winograd_operands(u, access);
            let variant = conv2d_winograd::Variant::TurnF32;
            self.winograd_whole(program, tile, variant, &inputs, operands)?;
        }
        Ok(())
    }

    /// The sums of `inputs`, with their epilogue.
    fn winograd_whole(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: WinogradTile,
        variant: conv2d_winograd::Variant,
        inputs: &Inputs,
        bindings: conv2d_winograd::Bindings<Bind>,
    ) -> Result<()> {
        let call = conv2d_winograd::Call {
            variant,
            spec: self.winograd_spec(tile, Summing::Whole),
            push: self.winograd_push(tile, inputs)?,
            bindings,
        };
        let grid = self.winograd_grid(program, tile, 1)?;
        program.dispatch(call, grid)
    }

    /// The sums of parts of the inputs side by side, in the workspace `buffer`.
    fn winograd_parts(
        &self,
        program: &mut ProgramBuilder<'_>,
        u: &Tensor,
        tile: WinogradTile,
        inputs: &Inputs,
        parts: u32,
        buffer: BufferId,
    ) -> Result<()> {
        let summing = Summing::Parts { parts, buffer };
        let call = conv2d_winograd_part::Call {
            variant: conv2d_winograd_part::Variant::F32,
            spec: self.winograd_spec(tile, summing),
            push: self.winograd_push(tile, inputs)?,
            bindings: conv2d_winograd_part::Bindings {
                x: Bind::read(&self.x),
                u: Bind::read(u),
                parts: Bind::whole(buffer, Access::Write),
                weight: Bind::read(&self.weight),
            },
        };
        let grid = self.winograd_grid(program, tile, parts)?;
        program.dispatch(call, grid)
    }

    fn winograd_spec(&self, tile: WinogradTile, summing: Summing) -> conv2d_winograd::Spec {
        conv2d_winograd::Spec {
            pixels: 1,
            epilogue_steps: self.steps(summing),
            tile_n4: tile.tile_n4,
            thread_n4: tile.thread_n4,
            thread_positions: tile.thread_positions,
            pass_n4: tile.pass_n4,
        }
    }

    fn winograd_push(&self, tile: WinogradTile, inputs: &Inputs) -> Result<conv2d_winograd::Push> {
        let g = self.g;
        let [regions_h, regions_w] = winograd_regions(g);
        Ok(conv2d_winograd::Push {
            tiles: unsigned(tile.workgroups(g))?,
            c_in: g.c_in,
            c_out: g.c_out,
            regions_h,
            regions_w,
            h_in: signed(g.h_in.into())?,
            w_in: signed(g.w_in.into())?,
            h_out: g.h_out(),
            w_out: g.w_out(),
            padding_h: signed(g.padding[0].into())?,
            padding_w: signed(g.padding[1].into())?,
            first4: unsigned(inputs.first4)?,
            last4: unsigned(inputs.last4)?,
            part4: unsigned(inputs.part4)?,
            part_size: unsigned(g.pixels_out() * self.c_out_packed())?,
            k_channels: g.k_channels(),
            turn: inputs.turn,
            parameters: self.epilogue.parameters(),
        })
    }

    fn winograd_grid(
        &self,
        program: &ProgramBuilder<'_>,
        tile: WinogradTile,
        parts: u32,
    ) -> Result<Grid> {
        let [x, y, _] = program.line(tile.workgroups(self.g), 1)?;
        Ok(Grid {
            local_size: [tile.local_size(), 1, 1],
            workgroups: [x, y, parts],
        })
    }

    /// The output, the operands of its epilogue, and the weight in both forms.
    fn winograd_operands(&self, u: &Tensor, access: Access) -> conv2d_winograd::Bindings<Bind> {
        let operands = self.epilogue_operands(access, &(0..self.g.pixels_out()));
        conv2d_winograd::Bindings {
            x: operands.x,
            u: Bind::read(u),
            y: operands.y,
            bias: operands.bias,
            slope: operands.slope,
            residual: operands.residual,
            weight: operands.weight,
        }
    }
}
