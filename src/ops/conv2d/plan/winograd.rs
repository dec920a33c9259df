//! Winograd's F(4x4, 3x3), in chunks of tiles whose transforms fit the budget.
//!
//! Its sums round otherwise than all others, so weight, element type, kind of device and the largest
//! image decide whether it is taken, never budget or the image's present size. That also means one
//! form of the weight for all input sizes. The budget decides how many tiles go together; where it holds too few, a kernel
//! that needs no workspace computes the same bits.

use super::{Candidates, Choice, ConvAlgorithm, WeightSource, MAX_TILES, WORKSPACE_ALIGN_BYTES};
use crate::constant::WINOGRAD_POSITIONS;
use crate::ops::conv2d::ConvGeometry;
use crate::tensor::{DeviceClass, DeviceLimits, Element, CHANNEL_PACK, MAX_ELEMENTS};
use std::ops::Range;

/// With fewer inputs or outputs the transforms, whose work grows with `c_in + c_out`, take longer
/// than what the products save, which grows with `c_in * c_out`.
const WINOGRAD_MIN_CHANNELS: u32 = 32;

/// Of fewer multiply-adds at the largest image, three dispatches and a weight four times as large
/// take longer than one of an implicit GEMM. On an H200: 64 channels at 56x56, 128 at 28x28, 256 at
/// 14x14 and 512 at 7x7, 2^27 each, do; 128 at 56x56 and 256 at 28x28, 2^29, take two thirds.
const WINOGRAD_MIN_MACS: u64 = 1 << 28;

/// The kernel without workspace transforms the input once for every four outputs. Chunks of fewer
/// tiles than this take longer still, unless there are few of them: three dispatches of little work
/// for each.
const MIN_CHUNK_TILES: u64 = 16;
const FEW_CHUNKS: u64 = 16;

/// Outputs of a tile in each direction.
const TILE: u32 = 4;

/// Where a chunk's transforms lie in the workspace.
pub(crate) struct WinogradSpace {
    /// Of the input: `[tile][36][c_in padded to 4]`.
    pub(crate) v_bytes: Range<u64>,
    /// Of the output: `[tile][36][c_out padded to 4]`.
    pub(crate) m_bytes: Range<u64>,
}

impl WinogradSpace {
    /// For `tiles` tiles; `None` when that overflows.
    pub(crate) fn new(g: &ConvGeometry, limits: &DeviceLimits, tiles: u64) -> Option<Self> {
        let align = descriptor_align(limits);
        let of = |channels| tiles.checked_mul(row(channels))?.checked_mul(4);
        let v_end = of(g.c_in)?;
        let m_start = v_end.checked_next_multiple_of(align)?;
        let m_end = m_start
            .checked_add(of(g.c_out)?)?
            .checked_next_multiple_of(WORKSPACE_ALIGN_BYTES)?;
        Some(Self {
            v_bytes: 0..v_end,
            m_bytes: m_start..m_end,
        })
    }
}

fn descriptor_align(limits: &DeviceLimits) -> u64 {
    limits
        .storage_buffer_alignment_bytes
        .max(WORKSPACE_ALIGN_BYTES)
}

/// Tiles of one image, `[height, width]`.
pub(crate) fn winograd_tiles(g: &ConvGeometry) -> [u32; 2] {
    [g.h_out(), g.w_out()].map(|extent| extent.div_ceil(TILE))
}

/// Elements of all positions of a tile.
fn row(channels: u32) -> u64 {
    let padded = u64::from(channels).next_multiple_of(CHANNEL_PACK.into());
    padded * u64::from(WINOGRAD_POSITIONS)
}

fn tiles_in_all(g: &ConvGeometry) -> u64 {
    let [h, w] = winograd_tiles(g).map(u64::from);
    h.saturating_mul(w).saturating_mul(g.n.into())
}

impl Candidates<'_> {
    /// Where the planner takes it unasked. CPUs gain nothing: their vectors hold a few channels,
    /// and transforms take as many operations as they save.
    pub(super) fn winograd_unasked(&self) -> bool {
        let g = self.geometry;
        let most_macs = match self.weight {
            WeightSource::Constant { most_outputs } => most_outputs.saturating_mul(g.k()),
            WeightSource::Computed => 0,
        };
        self.limits.class != DeviceClass::Cpu
            && g.c_in >= WINOGRAD_MIN_CHANNELS
            && g.c_out >= WINOGRAD_MIN_CHANNELS
            && most_macs >= WINOGRAD_MIN_MACS
    }

    pub(super) fn winograd(&self) -> Result<Choice, String> {
        let g = self.geometry;
        let plain = g.stride == [1, 1] && g.dilation == [1, 1] && g.groups == 1;
        if g.transposed || g.kernel != [3, 3] || !plain {
            return Err("not a plain 3x3 of stride 1".into());
        }
        if self.weight == WeightSource::Computed {
            return Err("its weight is computed".into());
        }
        if self.element != Element::F32 {
            return Err("fp16 would not hold its transforms".into());
        }
        if WINOGRAD_POSITIONS > self.limits.max_workgroup_count[2] {
            return Err(format!("{WINOGRAD_POSITIONS} groups exceed the device"));
        }
        let weight = self.winograd_weight_elements();
        let most = MAX_ELEMENTS.min(self.limits.max_storage_buffer_range_bytes / 4);
        if weight > most {
            return Err(format!("its weight would have {weight} elements"));
        }
        let all = tiles_in_all(g);
        let (tiles, how) = match self.winograd_chunk(all) {
            Ok(tiles) if tiles == all => (tiles, "no chunks".into()),
            Ok(tiles) => {
                let chunks = all.div_ceil(tiles.max(1));
                (tiles, format!("{chunks} chunks fit the budget"))
            }
            Err(why) => (0, format!("no workspace: {why}")),
        };
        let tiles = u32::try_from(tiles).unwrap_or(0);
        let reason = format!("3x3, {all} tiles of 4x4: Winograd, {how}");
        Ok((ConvAlgorithm::Winograd { tiles }, reason))
    }

    /// Most of `all` tiles that fit the budget together, in chunks of nearly equal size.
    fn winograd_chunk(&self, all: u64) -> Result<u64, String> {
        let g = self.geometry;
        let most = self.most_bytes();
        let range = self.limits.max_storage_buffer_range_bytes;
        let range = range.min(4 * MAX_ELEMENTS);
        let fits = |&tiles: &u64| {
            WinogradSpace::new(g, self.limits, tiles).is_some_and(|space| {
                let m_bytes = space.m_bytes.end - space.m_bytes.start;
                space.m_bytes.end <= most && space.v_bytes.end.max(m_bytes) <= range
            })
        };
        let tile = 4 * (row(g.c_in) + row(g.c_out));
        let largest = 4 * row(g.c_in).max(row(g.c_out));
        // Without alignment, and with the most of it.
        let above = all.min(most / tile).min(range / largest);
        let align = descriptor_align(self.limits) + WORKSPACE_ALIGN_BYTES;
        let below = above
            .saturating_sub(align.div_ceil(tile.min(largest)))
            .max(1);
        let Some(found) = (below..=above).rev().find(fits) else {
            return Err(format!("a tile takes {tile} bytes, the budget is {most}"));
        };
        let chunks = all.div_ceil(found);
        if chunks > MAX_TILES || found < MIN_CHUNK_TILES && chunks > FEW_CHUNKS {
            return Err(format!("the budget gives {chunks} chunks of {found} tiles"));
        }
        Ok(all.div_ceil(chunks))
    }

    pub(super) fn winograd_bytes(&self, tiles: u32) -> Option<u64> {
        match tiles {
            0 => Some(0),
            _ => Some(
                WinogradSpace::new(self.geometry, self.limits, tiles.into())?
                    .m_bytes
                    .end,
            ),
        }
    }

    pub(super) fn winograd_weight_elements(&self) -> u64 {
        let inputs = u64::from(self.geometry.c_in).next_multiple_of(CHANNEL_PACK.into());
        inputs.saturating_mul(row(self.geometry.c_out))
    }

    /// Elements that transforms write and read.
    pub(super) fn winograd_transforms(&self, tiles: u32) -> u64 {
        let g = self.geometry;
        match tiles {
            0 => 0,
            _ => tiles_in_all(g)
                .saturating_mul(row(g.c_in) + row(g.c_out))
                .saturating_mul(2),
        }
    }
}
