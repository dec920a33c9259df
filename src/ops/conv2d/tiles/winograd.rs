//! Tiles of Winograd's F(4x4, 3x3), one kernel that keeps its transforms in shared memory.

use crate::core::conv::{ConvGeometry, WinogradTile};
use crate::core::device::DeviceLimits;
use crate::core::kernels::conv2d_winograd::{Workgroup, POSITIONS, REGION};
use crate::core::tensor::CHANNEL_PACK;

/// Most quads of output channels of a workgroup.
const MAX_N4: u32 = 64;

impl WinogradTile {
    /// Why the kernel cannot take this tile on a device with `limits`.
    pub(in crate::ops::conv2d) fn check(self, limits: &DeviceLimits) -> Result<(), String> {
        let Self {
            tile_n4,
            thread_n4,
            thread_positions,
            pass_n4,
        } = self;
        let none = [tile_n4, thread_n4, thread_positions, pass_n4].contains(&0);
        let whole = !none
            && tile_n4 <= MAX_N4
            && POSITIONS % thread_positions == 0
            && tile_n4 % pass_n4 == 0
            && pass_n4 % thread_n4 == 0;
        if !whole {
            return Err(format!("no kernel is made for a {self:?}"));
        }
        limits.fits_workgroup(self.local_size(), self.workgroup().shared_bytes())
    }

    /// Workgroups of one part.
    pub(in crate::ops::conv2d) fn workgroups(self, g: &ConvGeometry) -> u64 {
        let blocks = g.c_out.div_ceil(self.tile_n4 * CHANNEL_PACK);
        regions(g)
            .map(u64::from)
            .into_iter()
            .fold(u64::from(g.n), u64::saturating_mul)
            .saturating_mul(blocks.into())
    }

    /// Invocations of a workgroup.
    pub(in crate::ops::conv2d) fn local_size(self) -> u32 {
        u32::try_from(self.workgroup().threads()).unwrap_or(u32::MAX)
    }

    fn workgroup(self) -> Workgroup {
        Workgroup {
            tile_n4: self.tile_n4,
            thread_n4: self.thread_n4,
            thread_positions: self.thread_positions,
            pass_n4: self.pass_n4,
        }
    }
}

/// Regions of one image, `[height, width]`.
pub(in crate::ops::conv2d) fn regions(g: &ConvGeometry) -> [u32; 2] {
    [g.h_out(), g.w_out()].map(|extent| extent.div_ceil(REGION))
}

/// Quads of inputs in each part but the last.
pub(in crate::ops::conv2d) fn quads_per_part(g: &ConvGeometry, parts: u32) -> u64 {
    quads(g.c_in).div_ceil(u64::from(parts).max(1))
}

/// Elements of the transformed weight.
pub(in crate::ops::conv2d) fn weight_elements(g: &ConvGeometry) -> u64 {
    let packed = |channels| quads(channels).saturating_mul(CHANNEL_PACK.into());
    packed(g.c_in)
        .saturating_mul(packed(g.c_out))
        .saturating_mul(POSITIONS.into())
}

/// Quads of channels.
pub(in crate::ops::conv2d) fn quads(channels: u32) -> u64 {
    u64::from(channels).div_ceil(CHANNEL_PACK.into())
}
