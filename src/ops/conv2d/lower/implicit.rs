//! The GEMM that gathers its left operand, and the sum of its parts.

use super::super::tile::Tile;
use super::{words_of, Operands};
use crate::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::error::Result;
use crate::ops::copy::LINE_LOCAL_SIZE;
use crate::program::Access;
use crate::shader::Shader;
use crate::tensor::{Tensor, CHANNEL_PACK};

impl Operands<'_> {
    /// Returns the number of dispatches.
    pub(super) fn implicit(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        workspace_bytes: u64,
    ) -> Result<u32> {
        let g = self.g;
        let tile = Tile::choose(g, self.x.element, program.limits());
        let aligned = g.group_in() % CHANNEL_PACK == 0;
        let vectors = match g.k_channels() % CHANNEL_PACK == 0 {
            true if aligned => 1,
            true if g.groups == 1 => 2,
            _ => 0,
        };
        let lookup = match vectors {
            0 => [g.k_channels(), g.kernel[1]],
            _ => [CHANNEL_PACK, 1],
        };
        let mut finish = vec![0; 4];
        if parts == 1 {
            finish = vec![u32::from(self.bias.is_some())];
            finish.extend(self.finish.spec());
        }
        let mut spec = vec![tile.thread_m];
        spec.extend(finish);
        spec.extend([tile.tile_m, tile.tile_n4, tile.tile_k4, tile.thread_n4]);
        spec.push(vectors);
        spec.extend(lookup);
        let mut push = words_of(&[
            g.pixels_out(),
            g.group_out().into(),
            g.k(),
            tile.steps(g).div_ceil(parts.into()),
            g.group_in().into(),
            self.c_in_packed(),
            self.c_out_packed(),
            g.groups.into(),
            g.h_in.into(),
            g.w_in.into(),
            g.h_out().into(),
            g.w_out().into(),
            g.kernel[0].into(),
            g.kernel[1].into(),
            u64::from(g.k_channels().div_ceil(CHANNEL_PACK)),
        ])?;
        push.extend([g.stride, g.padding, g.dilation].concat());
        push.extend(self.finish.push());
        let or_x = |tensor: &Option<Tensor>| Bind::read(tensor.as_ref().unwrap_or(&self.x));
        let [x, y, _] = program.line(tile.tiles(g), 1)?;
        let mut desc = DispatchDesc {
            shader: tile.shader(self.x.element, parts),
            local_size: [tile.local_size(), 1, 1],
            spec,
            push,
            bindings: vec![Bind::read(&self.x), Bind::read(&self.weight)],
            workgroups: [x, y, g.groups * parts],
        };
        let finished = [
            Bind::write(&self.y),
            or_x(&self.bias),
            or_x(&self.finish.slope),
            or_x(&self.finish.residual),
        ];
        if parts == 1 {
            desc.bindings.extend(finished);
            program.dispatch(desc)?;
            return Ok(1);
        }
        let sums = program.workspace(workspace_bytes)?;
        desc.bindings.push(Bind::whole(sums, Access::Write));
        program.dispatch(desc)?;
        let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
        let count = quads * g.pixels_out();
        let mut push = words_of(&[count, parts.into(), quads, g.c_out.into()])?;
        push.extend(self.finish.push());
        let mut bindings = vec![Bind::whole(sums, Access::Read), Bind::read(&self.weight)];
        bindings.extend(finished);
        let mut spec = vec![1, u32::from(self.bias.is_some())];
        spec.extend(self.finish.spec());
        program.dispatch(DispatchDesc {
            shader: if self.half() {
                Shader::Conv2dPartsF16
            } else {
                Shader::Conv2dPartsF32
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec,
            push,
            bindings,
            workgroups: program.line(count, LINE_LOCAL_SIZE)?,
        })?;
        Ok(2)
    }
}
