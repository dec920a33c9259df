//! The GEMM whose left operand is read from patches of the image in shared memory.

use super::super::tile::{eights, Sums, Tile};
use super::{words_of, Operands};
use crate::base::error::Result;
use crate::core::tensor::CHANNEL_PACK;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};

impl Operands<'_> {
    /// All outputs by `tile`, whose units are patches; results are bound behind what is bound here.
    pub(super) fn patches(
        &self,
        program: &ProgramBuilder<'_>,
        tile: Tile,
        parts: u32,
        sums: Sums,
    ) -> Result<DispatchDesc> {
        let g = self.g;
        let mut spec = vec![tile.thread_m];
        spec.extend(self.finish_spec(sums));
        spec.extend([tile.rows(), tile.tile_n4, tile.tile_k4, tile.thread_n4]);
        spec.extend(tile.patch(g));
        let aligned = self.c_out_packed() % 8 == 0;
        spec.extend([eights(g).into(), aligned.into(), tile.buffers]);
        let [regions_h, regions_w] = tile.regions(g);
        let mut push = vec![regions_h, regions_w, g.c_out, g.c_in];
        push.extend(self.extents());
        push.extend([g.padding, g.dilation].concat());
        push.extend(words_of(&[
            tile.steps(g),
            tile.steps(g).div_ceil(parts.into()),
            g.elements_out() / u64::from(CHANNEL_PACK),
        ])?);
        push.extend(self.finish.push());
        let [x, y, _] = program.line(tile.tiles(g, g.pixels_out()), 1)?;
        Ok(DispatchDesc {
            shader: tile.shader(self.x.element, sums),
            local_size: [tile.local_size(), 1, 1],
            spec,
            push,
            bindings: vec![Bind::read(&self.x), Bind::read(&self.weight)],
            workgroups: [x, y, if sums == Sums::Parts { parts } else { 1 }],
        })
    }
}
