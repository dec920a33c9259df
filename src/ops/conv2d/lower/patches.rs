//! The GEMM whose left operand is read from patches of the image in shared memory.

use super::summing::Summing;
use super::Operands;
use crate::base::error::Result;
use crate::core::conv::ImplicitTile;
use crate::core::kernels::{conv2d_patch, conv2d_patch_part};
use crate::core::program::Access;
use crate::core::tensor::CHANNEL_PACK;
use crate::core::words::unsigned;
use crate::ops::conv2d::tiles::eights;
use crate::ops::support::builder::{Grid, ProgramBuilder};

impl Operands<'_> {
    /// All outputs by `tile`, whose units are patches.
    pub(super) fn patches(
        &self,
        program: &mut ProgramBuilder<'_>,
        tile: ImplicitTile,
        summing: Summing,
    ) -> Result<()> {
        let g = self.g;
        let [patch_h, patch_w] = tile.patch(g);
        let spec = conv2d_patch::Spec {
            pixels: tile.thread_m,
            epilogue_steps: self.steps(summing),
            tile_h: tile.rows(),
            tile_n4: tile.tile_n4,
            block4: tile.tile_k4,
            matrices_n: tile.thread_n4,
            patch_h,
            patch_w,
            eights_a: eights(g),
            eights_b: self.c_out_packed() % 8 == 0,
            buffers: tile.buffers,
        };
        let push = self.patch(tile, summing.parts())?;
        let [x, y, _] = program.line(tile.tiles(g, g.pixels_out()), 1)?;
        let grid = Grid {
            local_size: [tile.local_size(), 1, 1],
            workgroups: [x, y, summing.side_by_side()],
        };
        let variant = match summing {
            Summing::Parts { buffer, .. } => {
                let call = conv2d_patch_part::Call {
                    variant: conv2d_patch_part::Variant::F16,
                    spec,
                    push,
                    bindings: self.part_operands(buffer),
                };
                return program.dispatch(call, grid);
            }
            Summing::Whole => conv2d_patch::Variant::F16,
            Summing::Serial { .. } => conv2d_patch::Variant::SerialF16,
        };
        let call = conv2d_patch::Call {
            variant,
            spec,
            push,
            bindings: self.epilogue_operands(Access::Write, &(0..g.pixels_out())),
        };
        program.dispatch(call, grid)
    }

    fn patch(&self, tile: ImplicitTile, parts: u32) -> Result<conv2d_patch::Push> {
        let g = self.g;
        let [regions_h, regions_w] = tile.regions(g);
        let [kernel_h, kernel_w] = g.kernel;
        let [padding_h, padding_w] = g.padding;
        let [dilation_h, dilation_w] = g.dilation;
        Ok(conv2d_patch::Push {
            regions_h,
            regions_w,
            columns: g.c_out,
            c_in: g.c_in,
            h_in: g.h_in,
            w_in: g.w_in,
            h_out: g.h_out(),
            w_out: g.w_out(),
            kernel_h,
            kernel_w,
            padding_h,
            padding_w,
            dilation_h,
            dilation_w,
            blocks: unsigned(tile.steps(g))?,
            blocks_part: unsigned(tile.steps(g).div_ceil(parts.into()))?,
            part_quads: unsigned(g.elements_out() / u64::from(CHANNEL_PACK))?,
            parameters: self.epilogue.parameters(),
        })
    }
}
