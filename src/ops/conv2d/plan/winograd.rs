//! Winograd's F(4x4, 3x3), one kernel that keeps its transforms in shared memory.
//!
//! Its sums round otherwise than all others, so weight, element type, device and the largest image
//! decide whether it is taken, never budget or the image's present size. That also means one form of
//! the weight for all input sizes. The budget decides where the sums of parts of the inputs lie.

use super::{Candidates, Choice};
use crate::core::conv::ConvGeometry;
use crate::core::conv::{ConvAlgorithm, WeightSource};
use crate::core::device::{DeviceClass, DeviceLimits};
use crate::core::kernels::conv2d_winograd::{Workgroup, POSITIONS, REGION};
use crate::core::tensor::{Element, CHANNEL_PACK, MAX_ELEMENTS};
use crate::ops::conv2d::tile::{even_parts, parts_ns, PROCESSORS};

/// With fewer inputs or outputs the transforms, whose work grows with `c_in + c_out`, take longer
/// than what the products save, which grows with `c_in * c_out`.
const WINOGRAD_MIN_CHANNELS: u32 = 32;

/// Of fewer multiply-adds at the largest image, an implicit GEMM takes as long with a weight a quarter
/// as large. On an H100 64 channels at 56x56, 128 at 28x28, 256 at 14x14 and 512 at 7x7, 2^27 each,
/// take 21 microseconds by it; 128 at 56x56 and 256 at 28x28, 2^29, take 1.5 times as long.
const WINOGRAD_MIN_MACS: u64 = 1 << 28;

/// A part of fewer quads of inputs was not measured.
const MIN_QUADS_PER_PART: u64 = 8;

/// Work of one workgroup and of one invocation of `conv2d_winograd.comp`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WinogradTile {
    /// Quads of output channels of a workgroup and of an invocation, products of an invocation, and quads
    /// of output channels whose products meet in shared memory together.
    size: Workgroup,
    /// What a workgroup takes that has a processor of an H100 to itself: for its first loads and its
    /// outputs, and for each quad of inputs.
    start_ns: u64,
    quad_ns: u64,
}

/// Largest first; the last needs the fewest invocations, and was timed only far enough to know that it
/// is slower than the second. Measured on an H100 against 8x4 tiles, and 2x to 4x as many sums per
/// invocation: tests/bench/README.md. The times are fitted to 20 layers of 32 to 512 channels.
const TILES: [WinogradTile; 3] = [
    WinogradTile {
        size: Workgroup {
            tile_n4: 16,
            thread_n4: 1,
            thread_positions: 3,
            pass_n4: 4,
        },
        start_ns: 12_000,
        quad_ns: 1950,
    },
    WinogradTile {
        size: Workgroup {
            tile_n4: 8,
            thread_n4: 2,
            thread_positions: 1,
            pass_n4: 4,
        },
        start_ns: 9200,
        quad_ns: 1300,
    },
    WinogradTile {
        size: Workgroup {
            tile_n4: 8,
            thread_n4: 1,
            thread_positions: 3,
            pass_n4: 2,
        },
        start_ns: 12_000,
        quad_ns: 1950,
    },
];

impl WinogradTile {
    /// The tile for the present size, which sets no rounding, and the parts that the inputs are
    /// summed in, whichever take the least time; `None` where no tile fits the device.
    pub(crate) fn choose(g: &ConvGeometry, limits: &DeviceLimits) -> Option<(Self, u32)> {
        let (tile, parts) = TILES
            .iter()
            .filter(|tile| tile.fits(limits))
            .flat_map(|tile| {
                even_parts(g, quads(g.c_in), MIN_QUADS_PER_PART).map(move |parts| (*tile, parts))
            })
            .filter(|&(_, parts)| parts <= limits.max_workgroup_count[2].into())
            .min_by_key(|(tile, parts)| tile.time_ns(g, *parts))?;
        Some((tile, u32::try_from(parts).unwrap_or(1)))
    }

    /// Predicted time of the convolution with its inputs in `parts`.
    fn time_ns(&self, g: &ConvGeometry, parts: u64) -> u64 {
        let rounds = self
            .workgroups(g)
            .saturating_mul(parts)
            .div_ceil(PROCESSORS);
        let quads = quads(g.c_in).div_ceil(parts);
        let round_ns = self
            .start_ns
            .saturating_add(self.quad_ns.saturating_mul(quads));
        rounds
            .saturating_mul(round_ns)
            .saturating_add(parts_ns(g, parts))
    }

    fn fits(&self, limits: &DeviceLimits) -> bool {
        self.local_size() <= limits.max_workgroup_invocations
            && self.local_size() <= limits.max_workgroup_size[0]
            && self.size.shared_bytes() <= limits.max_shared_memory_bytes.into()
    }

    /// Workgroups of one part.
    pub(crate) fn workgroups(&self, g: &ConvGeometry) -> u64 {
        let blocks = g.c_out.div_ceil(self.size.tile_n4 * CHANNEL_PACK);
        regions(g)
            .map(u64::from)
            .into_iter()
            .fold(u64::from(g.n), u64::saturating_mul)
            .saturating_mul(blocks.into())
    }

    pub(crate) fn local_size(self) -> u32 {
        u32::try_from(self.size.threads()).unwrap_or(u32::MAX)
    }

    /// As the kernel is specialized for it.
    pub(crate) fn workgroup(self) -> Workgroup {
        self.size
    }
}

/// Regions of one image, `[height, width]`.
pub(crate) fn regions(g: &ConvGeometry) -> [u32; 2] {
    [g.h_out(), g.w_out()].map(|extent| extent.div_ceil(REGION))
}

fn quads(channels: u32) -> u64 {
    u64::from(channels).div_ceil(CHANNEL_PACK.into())
}

/// Quads of inputs in each part but the last.
pub(crate) fn quads_per_part(g: &ConvGeometry, parts: u32) -> u64 {
    quads(g.c_in).div_ceil(u64::from(parts).max(1))
}

impl Candidates<'_> {
    /// Where the planner takes it unasked. CPUs gain nothing: their vectors hold a few channels, and
    /// transforms take as many operations as they save. An invocation has 64 sums and more, which
    /// GPUs of phones may not have the registers for: it was measured on a large GPU only.
    pub(super) fn winograd_unasked(&self) -> bool {
        let g = self.geometry;
        let most_macs = match self.weight {
            WeightSource::Constant { most_outputs } => most_outputs.saturating_mul(g.k()),
            WeightSource::Computed => 0,
        };
        self.limits.class == DeviceClass::Discrete
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
        let weight = self.winograd_weight_elements();
        let most = MAX_ELEMENTS.min(self.limits.max_storage_buffer_range_bytes / 4);
        if weight > most {
            return Err(format!("its weight would have {weight} elements"));
        }
        let Some((_, parts)) = WinogradTile::choose(g, self.limits) else {
            return Err("its workgroups exceed the device".into());
        };
        let sums_bytes = match parts {
            1 => Some(0),
            _ => self.sums_bytes(parts, g.pixels_out()),
        };
        let most = self.most_bytes();
        let most = most.min(self.limits.max_storage_buffer_range_bytes);
        let together = sums_bytes.is_some_and(|bytes| bytes <= most);
        let how = match (parts, together) {
            (1, _) => "one kernel".into(),
            (_, true) => format!("{parts} parts of the inputs"),
            (_, false) => format!("{parts} parts of the inputs in turn: the budget holds no sums"),
        };
        let reason = format!("3x3 in tiles of 4x4: Winograd, {how}");
        Ok((ConvAlgorithm::Winograd { parts, together }, reason))
    }

    pub(super) fn winograd_weight_elements(&self) -> u64 {
        let packed = |channels| quads(channels).saturating_mul(CHANNEL_PACK.into());
        let positions = u64::from(POSITIONS);
        packed(self.geometry.c_in)
            .saturating_mul(packed(self.geometry.c_out))
            .saturating_mul(positions)
    }
}
