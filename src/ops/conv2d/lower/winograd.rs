//! Winograd's F(4x4, 3x3): transforms around a batched GEMM, chunk by chunk, or one kernel.

use super::super::plan::{tiles, winograd_tiles, WinogradSpace};
use super::super::tile::Sums;
use super::super::weights;
use super::implicit::Gathered;
use super::{words_of, ConvGeometry, Operands};
use crate::builder::{Bind, DispatchDesc, ProgramBuilder};
use crate::constant::WINOGRAD_POSITIONS;
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::ops::copy::LINE_LOCAL_SIZE;
use crate::ops::gemm::Finish;
use crate::program::Access;
use crate::shader::Shader;
use crate::tensor::{Tensor, CHANNEL_PACK};

impl Operands<'_> {
    /// In chunks of `chunk` tiles; without workspace when that is 0. The constant `weight` is the
    /// one that [`Operands::weight`] holds as it is. Returns the numbers of chunks and dispatches.
    pub(super) fn winograd(
        &self,
        program: &mut ProgramBuilder<'_>,
        weight: ValueId,
        chunk: u32,
    ) -> Result<(u32, u32)> {
        let g = self.g;
        let u = weights::winograd(program, weight, g)?;
        let per_image = winograd_tiles(g).map(u64::from);
        let all = per_image[0] * per_image[1] * u64::from(g.n);
        let all = u32::try_from(all).map_err(|_| Error::internal("too many tiles"))?;
        if chunk == 0 {
            let quads = self.c_out_packed() / u64::from(CHANNEL_PACK);
            let mut desc = self.winograd_tiles(program, (0, all), quads)?;
            desc.shader = Shader::Conv2dWinogradSerialF32;
            desc.bindings = self.winograd_finish(Bind::read(&u)).into();
            program.dispatch(desc)?;
            return Ok((1, 1));
        }
        let space = WinogradSpace::new(g, program.limits(), chunk.into())
            .ok_or_else(|| Error::internal("Winograd's transforms overflow"))?;
        let v = program.workspace_part(space.v_bytes)?;
        let m = program.workspace_part(space.m_bytes)?;
        let position_bytes = 4 * u64::from(WINOGRAD_POSITIONS);
        let bytes = |tiles: u32, channels: u64| 0..u64::from(tiles) * channels * position_bytes;
        let (c_in, c_out) = (self.c_in_packed(), self.c_out_packed());
        let mut count = 0;
        for (first, tiles) in tiles(all, chunk) {
            let (v_bytes, m_bytes) = (bytes(tiles, c_in), bytes(tiles, c_out));
            let v_bind = |access| Bind::range(v, access, v_bytes.clone());
            let m_bind = |access| Bind::range(m, access, m_bytes.clone());
            let mut input = self.winograd_tiles(program, (first, tiles), c_in)?;
            input.shader = Shader::Conv2dWinogradInputF32;
            input.spec = Vec::new();
            input.bindings = vec![Bind::read(&self.x), v_bind(Access::Write)];
            program.dispatch(input)?;
            self.winograd_products(
                program,
                tiles,
                v_bind(Access::Read),
                &u,
                m_bind(Access::Write),
            )?;
            let mut output = self.winograd_tiles(program, (first, tiles), c_out)?;
            output.bindings = self.winograd_finish(m_bind(Access::Read)).into();
            program.dispatch(output)?;
            count += 1;
        }
        Ok((count, 3 * count))
    }

    /// `M[tile][36][c_out] = V[tile][36][c_in] U[36][c_in][c_out]`: a 1x1 convolution of an image
    /// of one row, a group per position. Never in parts: that would be another order of sums.
    fn winograd_products(
        &self,
        program: &mut ProgramBuilder<'_>,
        tiles: u32,
        v: Bind,
        u: &Tensor,
        m: Bind,
    ) -> Result<()> {
        let channels = |packed: u64| {
            u32::try_from(packed * u64::from(WINOGRAD_POSITIONS))
                .map_err(|_| Error::unsupported("Winograd's channels exceed 32 bits"))
        };
        let geometry = ConvGeometry {
            n: 1,
            c_in: channels(self.c_in_packed())?,
            h_in: 1,
            w_in: tiles,
            c_out: channels(self.c_out_packed())?,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            output_padding: [0, 0],
            groups: WINOGRAD_POSITIONS,
            transposed: false,
        };
        let gathered = Gathered {
            g: &geometry,
            element: self.x.element,
            may_split: false,
            x: v.clone(),
            weight: Bind::read(u),
            bias: false,
            finish: &Finish::default(),
        };
        let mut desc = gathered.gemm(program, 1, Sums::Whole, &(0..tiles.into()))?;
        desc.bindings.extend([m, v.clone(), v.clone(), v]);
        program.dispatch(desc)
    }

    /// A dispatch over `count` tiles from `first` on, of `each` invocations, and what follows sums.
    fn winograd_tiles(
        &self,
        program: &ProgramBuilder<'_>,
        (first, count): (u32, u32),
        each: u64,
    ) -> Result<DispatchDesc> {
        let g = self.g;
        let invocations = each.saturating_mul(count.into());
        let [tiles_h, tiles_w] = winograd_tiles(g);
        let mut push = words_of(&[
            first.into(),
            invocations,
            g.c_in.into(),
            g.c_out.into(),
            tiles_h.into(),
            tiles_w.into(),
            g.h_in.into(),
            g.w_in.into(),
            g.h_out().into(),
            g.w_out().into(),
            g.padding[0].into(),
            g.padding[1].into(),
            g.k_channels().into(),
        ])?;
        push.extend(self.finish.push());
        let mut spec = vec![1, u32::from(self.bias.is_some())];
        spec.extend(self.finish.spec());
        Ok(DispatchDesc {
            shader: Shader::Conv2dWinogradF32,
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec,
            push,
            bindings: Vec::new(),
            workgroups: program.line(invocations, LINE_LOCAL_SIZE)?,
        })
    }

    /// The image, `products`, what finishes them, and the weight as it was.
    fn winograd_finish(&self, products: Bind) -> [Bind; 7] {
        let [y, bias, slope, residual] = self.finished(&(0..self.g.pixels_out()));
        let (x, weight) = (Bind::read(&self.x), Bind::read(&self.weight));
        [x, products, y, bias, slope, residual, weight]
    }
}
