//! Winograd's F(4x4, 3x3): one kernel, for all inputs or for parts of them.

use super::super::plan::{quads_per_part, winograd_regions, WinogradTile};
use super::{Operands, Sums};
use crate::base::error::{Error, Result};
use crate::core::kernels::conv2d_winograd::{self, TURN_FIRST, TURN_LAST};
use crate::core::kernels::conv2d_winograd_part;
use crate::core::program::{Access, BufferId};
use crate::core::tensor::{Tensor, CHANNEL_PACK};
use crate::ops::support::builder::{Bind, Grid, ProgramBuilder};
use crate::ops::support::words::{signed, unsigned};

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
    /// In `parts` parts of the inputs, whose sums lie in the workspace `sums` or are added where the
    /// output lies, one after the other. `u` is the weight's products; [`Operands::weight`] is the
    /// weight as it is. Returns the numbers of tiles and dispatches.
    pub(super) fn winograd(
        &self,
        program: &mut ProgramBuilder<'_>,
        u: &Tensor,
        parts: u32,
        sums: Option<BufferId>,
    ) -> Result<(u32, u32)> {
        let last4 = u64::from(self.g.c_in).div_ceil(CHANNEL_PACK.into());
        let part4 = quads_per_part(self.g, parts);
        let all = Inputs {
            first4: 0,
            last4,
            part4,
            turn: TURN_FIRST | TURN_LAST,
        };
        if parts == 1 {
            let finished = self.winograd_operands(u, Access::Write);
            self.winograd_whole(program, conv2d_winograd::Variant::F32, &all, finished)?;
            return Ok((1, 1));
        }
        if let Some(sums) = sums {
            self.winograd_parts(program, u, &all, parts, sums)?;
            self.add_parts(program, parts, sums, &(0..self.g.pixels_out()))?;
            return Ok((1, 2));
        }
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
                last4: last4.min((part + 1) * part4),
                part4,
                turn,
            };
            let operands = self.winograd_operands(u, access);
            self.winograd_whole(
                program,
                conv2d_winograd::Variant::TurnF32,
                &inputs,
                operands,
            )?;
        }
        Ok((1, parts))
    }

    /// The sums of `inputs`, finished.
    fn winograd_whole(
        &self,
        program: &mut ProgramBuilder<'_>,
        variant: conv2d_winograd::Variant,
        inputs: &Inputs,
        bindings: conv2d_winograd::Bindings<Bind>,
    ) -> Result<()> {
        let tile = self.winograd_tile(program)?;
        let call = conv2d_winograd::Call {
            variant,
            spec: self.winograd_spec(tile, Sums::Whole),
            push: self.winograd_push(tile, inputs)?,
            bindings,
        };
        let grid = self.winograd_grid(program, tile, 1)?;
        program.dispatch(call, grid)
    }

    /// The sums of `parts` parts of the inputs side by side.
    fn winograd_parts(
        &self,
        program: &mut ProgramBuilder<'_>,
        u: &Tensor,
        inputs: &Inputs,
        parts: u32,
        sums: BufferId,
    ) -> Result<()> {
        let tile = self.winograd_tile(program)?;
        let call = conv2d_winograd_part::Call {
            variant: conv2d_winograd_part::Variant::F32,
            spec: self.winograd_spec(tile, Sums::Parts(sums)),
            push: self.winograd_push(tile, inputs)?,
            bindings: conv2d_winograd_part::Bindings {
                x: Bind::read(&self.x),
                u: Bind::read(u),
                parts: Bind::whole(sums, Access::Write),
                weight: Bind::read(&self.weight),
            },
        };
        let grid = self.winograd_grid(program, tile, parts)?;
        program.dispatch(call, grid)
    }

    fn winograd_tile(&self, program: &ProgramBuilder<'_>) -> Result<WinogradTile> {
        WinogradTile::choose(self.g, program.limits())
            .map(|(tile, _)| tile)
            .ok_or_else(|| Error::internal("Winograd's workgroups exceed the device"))
    }

    fn winograd_spec(&self, tile: WinogradTile, sums: Sums) -> conv2d_winograd::Spec {
        let size = tile.workgroup();
        conv2d_winograd::Spec {
            pixels: 1,
            epilogue_steps: self.steps(sums),
            tile_n4: size.tile_n4,
            thread_n4: size.thread_n4,
            thread_positions: size.thread_positions,
            pass_n4: size.pass_n4,
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
            parameters: self.finish.parameters(),
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

    /// The output, what finishes it, and the weight in both forms.
    fn winograd_operands(&self, u: &Tensor, access: Access) -> conv2d_winograd::Bindings<Bind> {
        let finished = self.finished(access, &(0..self.g.pixels_out()));
        conv2d_winograd::Bindings {
            x: finished.x,
            u: Bind::read(u),
            y: finished.y,
            bias: finished.bias,
            slope: finished.slope,
            residual: finished.residual,
            weight: finished.weight,
        }
    }
}
