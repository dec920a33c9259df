//! The GEMM that gathers its left operand, and the sum of its parts.

use super::super::tile::{eights, Sums, Tile, Units};
use super::{words_of, Operands};
use crate::base::error::Result;
use crate::core::program::{Access, BufferId};
use crate::core::shader::Shader;
use crate::core::tensor::{Tensor, CHANNEL_PACK};
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use std::ops::Range;

impl Operands<'_> {
    /// One dispatch that writes the output. Returns the number of dispatches.
    pub(super) fn implicit(
        &self,
        program: &mut ProgramBuilder<'_>,
        parts: u32,
        sums: Sums,
    ) -> Result<u32> {
        let pixels = 0..self.g.pixels_out();
        let mut desc = self.gather(program, parts, sums, &pixels)?;
        desc.bindings.extend(self.finished(Access::Write, &pixels));
        program.dispatch(desc)?;
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
            let mut desc = self.gather(program, parts, Sums::Parts, &tile)?;
            desc.bindings.push(Bind::whole(sums, Access::Write));
            program.dispatch(desc)?;
            self.add_parts(program, parts, sums, &tile)?;
            tile_count += 1;
            first = tile.end;
        }
        Ok((tile_count, 2 * tile_count))
    }

    /// The GEMM of `pixels`, whose left operand is gathered, or read from patches of the image where
    /// `pixels` are all; results are bound behind what is bound here.
    fn gather(
        &self,
        program: &ProgramBuilder<'_>,
        parts: u32,
        sums: Sums,
        pixels: &Range<u64>,
    ) -> Result<DispatchDesc> {
        let g = self.g;
        let packed = |channels: u32| u64::from(channels).next_multiple_of(CHANNEL_PACK.into());
        let element = self.x.element;
        let (tile, _) = Tile::choose(g, element, program.limits());
        if tile.units == Units::Patches {
            return self.patches(program, tile, parts, sums);
        }
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
        let mut spec = vec![tile.thread_m];
        spec.extend(self.finish_spec(sums));
        spec.extend([tile.tile_m, tile.tile_n4, tile.tile_k4, tile.thread_n4]);
        spec.push(vectors);
        spec.extend(lookup);
        if tile.units == Units::Matrices {
            let rows = g.group_out().next_multiple_of(CHANNEL_PACK) % 8 == 0;
            spec.extend([eights(g).into(), rows.into(), tile.buffers]);
        }
        let mut push = words_of(&[
            pixels.start,
            pixels.end,
            g.group_out().into(),
            g.k(),
            tile.steps(g).div_ceil(parts.into()),
            g.group_in().into(),
            packed(g.c_in),
            packed(g.c_out),
            g.groups.into(),
        ])?;
        push.extend(self.extents());
        push.push(g.k_channels().div_ceil(CHANNEL_PACK));
        push.extend([g.stride, g.padding, g.dilation].concat());
        push.extend(self.finish.push());
        let [x, y, _] = program.line(tile.tiles(g, pixels.end - pixels.start), 1)?;
        let z = match sums {
            Sums::Parts => g.groups * parts,
            Sums::Whole | Sums::Serial => g.groups,
        };
        Ok(DispatchDesc {
            shader: tile.shader(element, sums),
            local_size: [tile.local_size(), 1, 1],
            spec,
            push,
            bindings: vec![Bind::read(&self.x), Bind::read(&self.weight)],
            workgroups: [x, y, z],
        })
    }

    /// The specialization constants of what finishes sums: nothing for those of parts.
    pub(super) fn finish_spec(&self, sums: Sums) -> [u32; 4] {
        if sums == Sums::Parts {
            return [0; 4];
        }
        let [activation, residual, last] = self.finish.spec();
        [self.bias.is_some().into(), activation, residual, last]
    }

    /// Where finished `pixels` go, and what finishes them.
    pub(super) fn finished(&self, access: Access, pixels: &Range<u64>) -> [Bind; 4] {
        let row = self.c_out_packed() * self.y.element.size_bytes();
        let or_x = |tensor: &Option<Tensor>| Bind::read(tensor.as_ref().unwrap_or(&self.x));
        [
            Bind::range(self.y.buffer, access, pixels.start * row..pixels.end * row),
            or_x(&self.bias),
            or_x(&self.finish.slope),
            or_x(&self.finish.residual),
        ]
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
        let mut push = words_of(&[
            quads * pixels.start,
            count,
            parts.into(),
            quads,
            self.g.c_out.into(),
        ])?;
        push.extend(self.finish.push());
        let mut bindings = vec![Bind::whole(sums, Access::Read), Bind::read(&self.weight)];
        bindings.extend(self.finished(Access::Write, pixels));
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
        })
    }
}
