//! Tiles of the implicit GEMM.

use crate::core::conv::{ConvGeometry, ImplicitTile, Units};
use crate::core::device::DeviceLimits;
use crate::core::kernels::lib::MATRIX_SIDE;
use crate::core::kernels::{conv2d_implicit, conv2d_matrix, conv2d_patch};
use crate::core::tensor::{Element, CHANNEL_PACK};

/// Most of a tile along any side.
const MAX_SIDE: u32 = 256;

/// Whether eight neighbours in K are eight channels of one tap, aligned in the image.
pub(in crate::ops::conv2d) fn eights(g: &ConvGeometry) -> bool {
    g.k_channels() % 8 == 0 && g.group_in() % 8 == 0
}

impl ImplicitTile {
    /// Why the kernel cannot compute `g` in this tile on a device with `limits`.
    pub(in crate::ops::conv2d) fn check(
        self,
        g: &ConvGeometry,
        element: Element,
        limits: &DeviceLimits,
    ) -> Result<(), String> {
        if !self.is_whole() {
            return Err(format!("no kernel is made for a {self:?}"));
        }
        if self.units != Units::Invocations && !(element == Element::F16 && limits.matrix_16x16) {
            return Err(format!("no matrix units for {element:?}"));
        }
        // A patch's K is in blocks of channels: they lie in fours in the weight.
        let fours = g.k_channels() % CHANNEL_PACK == 0;
        if self.units == Units::Patches && !(g.groups == 1 && g.stride == [1, 1] && fours) {
            return Err("patches are of one group, of stride 1, of channels in fours".into());
        }
        limits.fits_workgroup(self.local_size(), self.shared_bytes(g))
    }

    /// Whether the kernel's loops come out even: each invocation loads equally many fours, or eights
    /// for matrices, of each row of K always the same.
    fn is_whole(self) -> bool {
        let Self {
            tile_m,
            tile_n4,
            tile_k4,
            thread_m,
            thread_n4,
            units,
            buffers,
        } = self;
        let sides = [tile_m, tile_n4, tile_k4, thread_m, thread_n4];
        if !sides.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return false;
        }
        let (unit_m, unit_n4, lane4) = match units {
            Units::Invocations => (thread_m, thread_n4, 1),
            Units::Matrices | Units::Patches => {
                (MATRIX_SIDE * thread_m, MATRIX_SIDE / 4 * thread_n4, 2)
            }
        };
        let threads = self.local_size();
        if tile_m % unit_m != 0 || tile_n4 % unit_n4 != 0 || threads == 0 || tile_k4 % lane4 != 0 {
            return false;
        }
        let loads_a = tile_m * tile_k4 % (threads * lane4) == 0;
        let loads_b = tile_k4 * 4 * tile_n4 % (threads * lane4) == 0;
        let lanes = threads % (tile_k4 / lane4) == 0;
        let steps = match units {
            Units::Invocations => buffers == 2 && loads_a,
            Units::Matrices => (1..=2).contains(&buffers) && loads_a && tile_k4 % 4 == 0,
            Units::Patches => (1..=2).contains(&buffers) && tile_k4 % 4 == 0,
        };
        steps && lanes && loads_b
    }

    /// Tiles of `pixels` outputs, of one group and one part of K. Patches take all pixels.
    pub(in crate::ops::conv2d) fn tiles(self, g: &ConvGeometry, pixels: u64) -> u64 {
        let columns4 = u64::from(g.group_out().div_ceil(4));
        let along_pixels = match self.units {
            Units::Invocations | Units::Matrices => pixels.div_ceil(self.tile_m.into()),
            Units::Patches => self
                .regions(g)
                .into_iter()
                .map(u64::from)
                .fold(g.n.into(), u64::saturating_mul),
        };
        along_pixels.saturating_mul(columns4.div_ceil(self.tile_n4.into()))
    }

    /// Workgroups of all outputs, of one part of K.
    pub(in crate::ops::conv2d) fn workgroups(self, g: &ConvGeometry) -> u64 {
        self.tiles(g, g.pixels_out())
            .saturating_mul(g.groups.into())
    }

    /// Rows of the image that a patch computes, [`MATRIX_SIDE`] columns wide.
    pub(in crate::ops::conv2d) fn rows(self) -> u32 {
        self.tile_m / MATRIX_SIDE
    }

    /// Patches of one image, `[height, width]`.
    pub(in crate::ops::conv2d) fn regions(self, g: &ConvGeometry) -> [u32; 2] {
        [
            g.h_out().div_ceil(self.rows()),
            g.w_out().div_ceil(MATRIX_SIDE),
        ]
    }

    /// What a patch sees of the image, `[height, width]`.
    pub(in crate::ops::conv2d) fn patch(self, g: &ConvGeometry) -> [u32; 2] {
        let reach = |d: usize| (g.kernel[d] - 1).saturating_mul(g.dilation[d]);
        [
            self.rows().saturating_add(reach(0)),
            MATRIX_SIDE.saturating_add(reach(1)),
        ]
    }

    fn positions(self, g: &ConvGeometry) -> u64 {
        let [h, w] = self.patch(g).map(u64::from);
        h.saturating_mul(w).min(1 << 32)
    }

    /// Loads of 16 bytes of each invocation that a patch takes.
    pub(in crate::ops::conv2d) fn patch_loads(self, g: &ConvGeometry) -> u64 {
        let loads = self.positions(g) * u64::from(self.tile_k4 / 2);
        loads.div_ceil(self.local_size().into())
    }

    /// K of a step: patches take a block of channels through all taps.
    pub(in crate::ops::conv2d) fn step_k(self, g: &ConvGeometry) -> u64 {
        let channels = u64::from(self.tile_k4) * 4;
        match self.units {
            Units::Invocations | Units::Matrices => channels,
            Units::Patches => channels.saturating_mul(g.taps()),
        }
    }

    /// Steps of K.
    pub(in crate::ops::conv2d) fn steps(self, g: &ConvGeometry) -> u64 {
        let k = match self.units {
            Units::Invocations | Units::Matrices => g.k(),
            Units::Patches => g.k_channels().into(),
        };
        k.div_ceil(u64::from(self.tile_k4) * 4)
    }

    /// Invocations of a workgroup.
    pub(in crate::ops::conv2d) fn local_size(self) -> u32 {
        let [threads, _] = self.workgroup([1; 2]);
        u32::try_from(threads).unwrap_or(u32::MAX)
    }

    /// Memory that a workgroup shares.
    pub(in crate::ops::conv2d) fn shared_bytes(self, g: &ConvGeometry) -> u64 {
        let [_, bytes] = self.workgroup(self.patch(g));
        bytes
    }

    /// Invocations of a workgroup that sees a patch of `[height, width]`, and bytes that they share.
    fn workgroup(self, [patch_h, patch_w]: [u32; 2]) -> [u64; 2] {
        let Self {
            tile_m,
            tile_n4,
            tile_k4,
            thread_m: pixels,
            thread_n4,
            units,
            buffers,
        } = self;
        match units {
            Units::Invocations => {
                let workgroup = conv2d_implicit::Workgroup {
                    pixels,
                    tile_m,
                    tile_n4,
                    tile_k4,
                    thread_n4,
                };
                [workgroup.threads(), workgroup.shared_bytes()]
            }
            Units::Matrices => {
                let workgroup = conv2d_matrix::Workgroup {
                    pixels,
                    tile_m,
                    tile_n4,
                    tile_k4,
                    matrices_n: thread_n4,
                    buffers,
                };
                [workgroup.threads(), workgroup.shared_bytes()]
            }
            Units::Patches => {
                let workgroup = conv2d_patch::Workgroup {
                    pixels,
                    tile_h: self.rows(),
                    tile_n4,
                    block4: tile_k4,
                    matrices_n: thread_n4,
                    patch_h,
                    patch_w,
                    buffers,
                };
                [workgroup.threads(), workgroup.shared_bytes()]
            }
        }
    }
}
