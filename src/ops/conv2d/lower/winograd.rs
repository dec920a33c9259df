//! Winograd's F(4x4, 3x3): one kernel, for all inputs or for parts of them.

use super::super::plan::{quads_per_part, winograd_regions, WinogradTile};
use super::super::weights;
use super::{words_of, Operands};
use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::program::Access;
use crate::core::shader::Shader;
use crate::core::tensor::{Tensor, CHANNEL_PACK};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};

/// What a dispatch sums, in quads of inputs.
struct Inputs {
    first4: u64,
    last4: u64,
    /// Of each part of the dispatch.
    part4: u64,
    /// Bit 0: these are the first; bit 1: and the last.
    turn: u64,
}

impl Operands<'_> {
    /// In `parts` parts of the inputs, whose sums lie in the workspace `together` or are added where
    /// the output lies, one after the other. The constant `weight` is the one that
    /// [`Operands::weight`] holds as it is. Returns the numbers of tiles and dispatches.
    pub(super) fn winograd(
        &self,
        program: &mut ProgramBuilder<'_>,
        weight: ValueId,
        (parts, together): (u32, bool),
        workspace_bytes: u64,
    ) -> Result<(u32, u32)> {
        let u = weights::winograd(program, weight, self.g)?;
        let last4 = u64::from(self.g.c_in).div_ceil(CHANNEL_PACK.into());
        let part4 = quads_per_part(self.g, parts);
        let all = Inputs {
            first4: 0,
            last4,
            part4,
            turn: 3,
        };
        if parts == 1 {
            let mut desc = self.winograd_sums(program, &u, &all, 1)?;
            desc.bindings.extend(self.winograd_finish(Access::Write));
            program.dispatch(desc)?;
            return Ok((1, 1));
        }
        if together {
            let sums = program.workspace(workspace_bytes)?;
            let mut desc = self.winograd_sums(program, &u, &all, parts)?;
            desc.shader = Shader::Conv2dWinogradPartF32;
            desc.spec[1..5].fill(0);
            desc.bindings.push(Bind::whole(sums, Access::Write));
            desc.bindings.push(Bind::read(&self.weight));
            program.dispatch(desc)?;
            self.add_parts(program, parts, sums, &(0..self.g.pixels_out()))?;
            return Ok((1, 2));
        }
        for part in 0..u64::from(parts) {
            let inputs = Inputs {
                first4: part * part4,
                last4: last4.min((part + 1) * part4),
                part4,
                turn: u64::from(part == 0) + 2 * u64::from(part + 1 == parts.into()),
            };
            let mut desc = self.winograd_sums(program, &u, &inputs, 1)?;
            desc.shader = Shader::Conv2dWinogradTurnF32;
            let access = match part {
                0 => Access::Write,
                _ => Access::ReadWrite,
            };
            desc.bindings.extend(self.winograd_finish(access));
            program.dispatch(desc)?;
        }
        Ok((1, parts))
    }

    /// The sums of `inputs`, in `parts` parts side by side; results are bound behind what is bound here.
    fn winograd_sums(
        &self,
        program: &ProgramBuilder<'_>,
        u: &Tensor,
        inputs: &Inputs,
        parts: u32,
    ) -> Result<DispatchDesc> {
        let g = self.g;
        let (tile, _) = WinogradTile::choose(g, program.limits())
            .ok_or_else(|| Error::internal("Winograd's workgroups exceed the device"))?;
        let [regions_h, regions_w] = winograd_regions(g);
        let workgroups = tile.workgroups(g);
        let mut push = words_of(&[
            workgroups,
            g.c_in.into(),
            g.c_out.into(),
            regions_h.into(),
            regions_w.into(),
            g.h_in.into(),
            g.w_in.into(),
            g.h_out().into(),
            g.w_out().into(),
            g.padding[0].into(),
            g.padding[1].into(),
            inputs.first4,
            inputs.last4,
            inputs.part4,
            g.pixels_out() * self.c_out_packed(),
            g.k_channels().into(),
            inputs.turn,
        ])?;
        push.extend(self.finish.push());
        let mut spec = vec![1, u32::from(self.bias.is_some())];
        spec.extend(self.finish.spec());
        spec.extend(tile.spec());
        let [x, y, _] = program.line(workgroups, 1)?;
        Ok(DispatchDesc {
            shader: Shader::Conv2dWinogradF32,
            local_size: [tile.local_size(), 1, 1],
            spec,
            push,
            bindings: vec![Bind::read(&self.x), Bind::read(u)],
            workgroups: [x, y, parts],
        })
    }

    /// The output, what finishes it, and the weight as it was.
    fn winograd_finish(&self, access: Access) -> [Bind; 5] {
        let [y, bias, slope, residual] = self.finished(access, &(0..self.g.pixels_out()));
        [y, bias, slope, residual, Bind::read(&self.weight)]
    }
}
