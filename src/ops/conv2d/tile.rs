//! Tiles of the implicit GEMM, and sizes that kernels are specialized for.

use crate::core::conv::ConvGeometry;
use crate::core::device::{DeviceClass, DeviceLimits};
use crate::core::kernels::lib::{MATRIX_SIDE, MATRIX_SUBGROUP};
use crate::core::kernels::{conv2d_implicit, conv2d_matrix, conv2d_patch};
use crate::core::tensor::{Element, CHANNEL_PACK};

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Invocations: `conv2d_implicit.comp`.
    Invocations,
    /// Matrix units, by the subgroup of 32: `conv2d_matrix.comp`.
    Matrices,
    /// The same, 16 columns of the image wide, whose inputs lie in shared memory until all taps
    /// have seen them: `conv2d_patch.comp`.
    Patches,
}

/// Work of one workgroup and of one invocation, or of one subgroup in matrices of 16x16. Numbers
/// that end in 4 count groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) tile_m: u32,
    pub(super) tile_n4: u32,
    pub(super) tile_k4: u32,
    pub(super) thread_m: u32,
    /// Columns in fours, or in matrices.
    pub(super) thread_n4: u32,
    pub(super) units: Units,
    /// Steps of K in shared memory: the second is filled while the first is multiplied.
    pub(super) buffers: u32,
    /// What a processor takes for [`ROUND_K`] of K with 1, 2, .. workgroups on it; as many as there are
    /// numbers fit it.
    round_ns: &'static [u64],
}

// How long a convolution takes, fitted to what an H100 took on 2026-11-26 for 60 layers, each in every
// tile. It is within a tenth of most of them; tests/bench/README.md has what came of it. Only
// comparisons count, so that other large GPUs choose well by it too.

/// Processors.
pub(super) const PROCESSORS: u64 = 132;

/// K that [`Tile::round_ns`] is for.
const ROUND_K: u64 = 64;

/// The dispatch.
const START_NS: u64 = 3000;

/// First loads and last stores, which no products hide; a patch is loaded whole.
const TURN_NS: u64 = 2000;
const PATCH_TURN_NS: u64 = 3500;

/// First loads that other subgroups do not hide: with one, and at most.
const ALONE_NS: u64 = 6000;
const MAX_ALONE_NS: u64 = 1500;

/// A patch is loaded by at most so many loads of 16 bytes per invocation: registers hold them.
const MAX_PATCH_LOADS: u64 = 12;

/// With fewer inputs a patch is a fraction of a block.
const MIN_PATCH_CHANNELS: u32 = 32;

/// The barrier before the parts of K are added, and the dispatch that adds them.
const PARTS_NS: u64 = 1500;

/// Bytes of sums of parts that are written and read in a microsecond.
const SUMS_BYTES_PER_US: u64 = 1_430_000;

/// Less is not worth a pipeline more: nets have many small layers, for which small tiles serve, and
/// large tiles take long to compile.
const PIPELINE_NS: u64 = 350;

/// More parts than this were not measured.
const MAX_PARTS: u64 = 16;

/// Sums of all parts stay within this, so that budgets down to it cost nothing. Measured on an H200:
/// more than 8 parts of 28x28x256 gain nothing, and two tiles of them take 1.4 times as long as one.
const MAX_SUMS_BYTES: u64 = 4 << 20;

/// Whether eight neighbours in K are eight channels of one tap, aligned in the image.
pub(super) fn eights(g: &ConvGeometry) -> bool {
    g.k_channels() % 8 == 0 && g.group_in() % 8 == 0
}

/// Bytes of the sums of one part.
fn sum_bytes(g: &ConvGeometry) -> u64 {
    g.elements_out().saturating_mul(4).max(1)
}

/// Numbers of parts that `steps` may be cut into: of at least `shortest` steps and all but the last
/// equally long, few enough for their sums.
pub(super) fn even_parts(g: &ConvGeometry, steps: u64, shortest: u64) -> impl Iterator<Item = u64> {
    let steps = steps.max(1);
    let most = MAX_PARTS
        .min(MAX_SUMS_BYTES / sum_bytes(g))
        .min(steps / shortest.max(1));
    (1..=most.max(1)).filter(move |&parts| steps.div_ceil(steps.div_ceil(parts)) == parts)
}

/// What adding the sums of `parts` takes.
pub(super) fn parts_ns(g: &ConvGeometry, parts: u64) -> u64 {
    match parts {
        0 | 1 => 0,
        _ => {
            let bytes = sum_bytes(g).saturating_mul(parts);
            PARTS_NS.saturating_add(bytes.saturating_mul(1000) / SUMS_BYTES_PER_US)
        }
    }
}

const fn tile(
    [tile_m, tile_n4, tile_k4]: [u32; 3],
    [thread_m, thread_n4]: [u32; 2],
    round_ns: &'static [u64],
) -> Tile {
    Tile {
        tile_m,
        tile_n4,
        tile_k4,
        thread_m,
        thread_n4,
        units: Units::Invocations,
        buffers: 2,
        round_ns,
    }
}

const fn matrices(buffers: u32, tile: Tile) -> Tile {
    Tile {
        units: Units::Matrices,
        buffers,
        ..tile
    }
}

const fn patches(buffers: u32, tile: Tile) -> Tile {
    Tile {
        units: Units::Patches,
        buffers,
        ..tile
    }
}

/// For fp16 on matrix units. Against them were measured 32 to 128 of K per step, one buffer and two,
/// 4 to 16 subgroups of 16x16 to 64x64 sums: two workgroups of 48 KiB fit a processor of an H100,
/// and what a second buffer gains one is less than what a third workgroup gains.
const MATRIX_TILES: [Tile; 11] = [
    patches(2, tile([128, 32, 8], [4, 4], &[1110, 1690])),
    patches(1, tile([128, 16, 16], [4, 2], &[560, 880])),
    patches(1, tile([128, 16, 16], [2, 2], &[480])),
    patches(1, tile([64, 16, 16], [2, 2], &[380, 590, 820])),
    patches(2, tile([64, 16, 8], [2, 2], &[420, 550, 850, 1130])),
    matrices(2, tile([128, 32, 8], [4, 4], &[1250, 2000])),
    matrices(1, tile([128, 16, 16], [2, 2], &[730, 1300])),
    matrices(1, tile([64, 16, 16], [2, 2], &[500, 760, 1060])),
    matrices(2, tile([32, 16, 16], [1, 2], &[330, 540, 735])),
    matrices(1, tile([128, 8, 8], [2, 2], &[670, 1100, 1650, 2300])),
    matrices(2, tile([32, 8, 16], [1, 1], &[250, 390, 560, 740])),
];

/// The last fits every device. Measured on an H200 against 128x64 to 256x64, 64x128 and 128x128
/// pixels by channels: none was faster than the first, which also needs the fewest registers of them.
const TILES: [Tile; 3] = [
    tile([64, 16, 4], [8, 1], &[2430, 4000, 5700]),
    tile([64, 8, 4], [4, 1], &[1800, 2700, 3800, 4800]),
    tile(
        [32, 8, 4],
        [4, 1],
        &[1400, 1500, 2420, 2740, 3530, 3870, 4450, 5050],
    ),
];

/// How the depthwise kernel is specialized.
pub(super) struct DepthwiseTile {
    /// Neighbours in a row of one invocation.
    pub(super) pixels: u32,
    /// `kernel_w, kernel_h, stride_w`; a first 0 leaves them open.
    pub(super) sizes: [u32; 3],
}

/// Up to so many invocations with one pixel each are not too many for a large GPU, and hide one another's
/// loads. On an H100 7x7 to 112x112 pixels of 32 to 960 channels take up to a third less than with four.
const ONE_PIXEL_MAX_INVOCATIONS: u64 = 1 << 17;

impl DepthwiseTile {
    /// CPUs compile unrolled loops for long and gain little.
    pub(super) fn choose(g: &ConvGeometry, limits: &DeviceLimits) -> Self {
        let gpu = limits.class != DeviceClass::Cpu;
        let common = g.kernel == [3, 3] || g.kernel == [5, 5];
        let plain = g.dilation == [1, 1] && g.stride[1] <= 2;
        let few = g.elements_out() / u64::from(CHANNEL_PACK) <= ONE_PIXEL_MAX_INVOCATIONS;
        let one = few && limits.class == DeviceClass::Discrete;
        Self {
            pixels: if one { 1 } else { 4 },
            sizes: match common && plain && gpu {
                true => [g.kernel[1], g.kernel[0], g.stride[1]],
                false => [0, 1, 1],
            },
        }
    }
}

impl Tile {
    /// The tile that takes the least time, or a smaller one that takes little more, and the parts of K
    /// that it is fastest in, side by side; none is empty.
    pub(super) fn choose(g: &ConvGeometry, element: Element, limits: &DeviceLimits) -> (Self, u32) {
        let matrices = match element == Element::F16 && limits.matrix_16x16 {
            true => MATRIX_TILES.as_slice(),
            false => &[],
        };
        // Of each tile, its best parts.
        let timed = |tile: &Self| {
            let parts = tile.parts(g);
            let timed = parts.map(|parts| (tile.time_ns(g, parts), parts));
            timed.min().map(|(time_ns, parts)| (*tile, time_ns, parts))
        };
        let best = |tiles: &[Self]| {
            let fitting = tiles.iter().filter(|tile| tile.fits(g, limits));
            let timed: Vec<_> = fitting.filter_map(timed).collect();
            let least_ns = timed.iter().map(|(_, time_ns, _)| *time_ns).min()?;
            let most_ns = least_ns.saturating_add(PIPELINE_NS);
            let found = timed.iter().rev().find(|timed| timed.1 <= most_ns);
            found.map(|&(tile, _, parts)| (tile, parts))
        };
        let (tile, parts) = best(matrices)
            .or_else(|| best(&TILES))
            .unwrap_or((TILES[TILES.len() - 1], 1));
        (tile, u32::try_from(parts).unwrap_or(1))
    }

    fn fits(&self, g: &ConvGeometry, limits: &DeviceLimits) -> bool {
        let columns8 = g.group_out().div_ceil(4).next_multiple_of(8);
        // What is gathered in pieces is gathered by as few tiles side by side as are worth it.
        let wide = |least: u32| eights(g) || self.tile_n4 >= columns8.min(least);
        let suits = match self.units {
            // The largest takes twice as long to compile as the others: 40 ms of MobileNetV2's load,
            // for half a microsecond of a K of 16.
            Units::Invocations => self.thread_m < 8 || g.k() >= ROUND_K,
            Units::Matrices => wide(16),
            Units::Patches => {
                let plain = g.groups == 1 && g.stride == [1, 1] && !g.transposed;
                let loads = self.positions(g) * u64::from(self.tile_k4 / 2);
                plain
                    && g.taps() > 1
                    && g.c_in >= MIN_PATCH_CHANNELS
                    && loads.div_ceil(self.local_size(g).into()) <= MAX_PATCH_LOADS
            }
        };
        suits
            && self.local_size(g) <= limits.max_workgroup_invocations
            && self.local_size(g) <= limits.max_workgroup_size[0]
            && self.workgroup(g).shared_bytes <= limits.max_shared_memory_bytes.into()
            && self.tile_n4 <= columns8
    }

    /// Predicted time of the convolution with K in `parts`.
    fn time_ns(&self, g: &ConvGeometry, parts: u64) -> u64 {
        let on_one = self.workgroups(g).saturating_mul(parts);
        let on_one = on_one.div_ceil(PROCESSORS).max(1);
        let most = self.round_ns.len() as u64;
        // More workgroups than fit go in turns, each as long as a full one.
        let turns = on_one.div_ceil(most);
        let together = if turns == 1 { on_one } else { most };
        let round_ns = self.round_ns[usize::try_from(together - 1).unwrap_or(0)];
        let k = self.steps(g).div_ceil(parts).saturating_mul(self.step_k(g));
        let products_ns = round_ns.saturating_mul(k) / ROUND_K;
        let turn_ns = match self.units {
            Units::Matrices if !eights(g) => products_ns.saturating_mul(2).saturating_add(TURN_NS),
            Units::Invocations | Units::Matrices => products_ns.saturating_add(TURN_NS),
            Units::Patches => products_ns.saturating_add(PATCH_TURN_NS),
        };
        let subgroups = together * u64::from(self.local_size(g).div_ceil(MATRIX_SUBGROUP));
        let alone_ns = MAX_ALONE_NS.min(ALONE_NS / subgroups.max(1));
        turns
            .saturating_mul(turn_ns)
            .saturating_add(START_NS + alone_ns)
            .saturating_add(parts_ns(g, parts))
    }

    /// Tiles of `pixels` outputs, of one group and one part of K. Patches take all pixels.
    pub(super) fn tiles(self, g: &ConvGeometry, pixels: u64) -> u64 {
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

    fn workgroups(self, g: &ConvGeometry) -> u64 {
        self.tiles(g, g.pixels_out())
            .saturating_mul(g.groups.into())
    }

    /// Rows of the image that a patch computes, 16 columns wide.
    pub(super) fn rows(self) -> u32 {
        self.tile_m / MATRIX_SIDE
    }

    /// Patches of one image, `[height, width]`.
    pub(super) fn regions(self, g: &ConvGeometry) -> [u32; 2] {
        [
            g.h_out().div_ceil(self.rows()),
            g.w_out().div_ceil(MATRIX_SIDE),
        ]
    }

    /// What a patch sees of the image, `[height, width]`.
    pub(super) fn patch(self, g: &ConvGeometry) -> [u32; 2] {
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

    /// K of a step: patches take a block of channels through all taps.
    fn step_k(self, g: &ConvGeometry) -> u64 {
        let channels = u64::from(self.tile_k4) * 4;
        match self.units {
            Units::Invocations | Units::Matrices => channels,
            Units::Patches => channels.saturating_mul(g.taps()),
        }
    }

    /// Steps of K.
    pub(super) fn steps(self, g: &ConvGeometry) -> u64 {
        let k = match self.units {
            Units::Invocations | Units::Matrices => g.k(),
            Units::Patches => g.k_channels().into(),
        };
        k.div_ceil(u64::from(self.tile_k4) * 4)
    }

    /// Numbers of parts that K may be cut into. Shorter ones were not measured.
    fn parts(&self, g: &ConvGeometry) -> impl Iterator<Item = u64> {
        let shortest_k: u64 = match self.units {
            Units::Invocations => 128,
            Units::Matrices | Units::Patches => 512,
        };
        even_parts(g, self.steps(g), shortest_k.div_ceil(self.step_k(g).max(1)))
    }

    /// Invocations of a workgroup.
    pub(super) fn local_size(self, g: &ConvGeometry) -> u32 {
        u32::try_from(self.workgroup(g).threads).unwrap_or(u32::MAX)
    }

    /// What the kernel makes of the tile.
    fn workgroup(self, g: &ConvGeometry) -> Workgroup {
        match self.units {
            Units::Invocations => {
                let size = conv2d_implicit::Workgroup {
                    pixels: self.thread_m,
                    tile_m: self.tile_m,
                    tile_n4: self.tile_n4,
                    tile_k4: self.tile_k4,
                    thread_n4: self.thread_n4,
                };
                Workgroup {
                    threads: size.threads(),
                    shared_bytes: size.shared_bytes(),
                }
            }
            Units::Matrices => {
                let size = conv2d_matrix::Workgroup {
                    pixels: self.thread_m,
                    tile_m: self.tile_m,
                    tile_n4: self.tile_n4,
                    tile_k4: self.tile_k4,
                    matrices_n: self.thread_n4,
                    buffers: self.buffers,
                };
                Workgroup {
                    threads: size.threads(),
                    shared_bytes: size.shared_bytes(),
                }
            }
            Units::Patches => {
                let [patch_h, patch_w] = self.patch(g);
                let size = conv2d_patch::Workgroup {
                    pixels: self.thread_m,
                    tile_h: self.rows(),
                    tile_n4: self.tile_n4,
                    block4: self.tile_k4,
                    matrices_n: self.thread_n4,
                    patch_h,
                    patch_w,
                    buffers: self.buffers,
                };
                Workgroup {
                    threads: size.threads(),
                    shared_bytes: size.shared_bytes(),
                }
            }
        }
    }
}

/// Of any kernel.
struct Workgroup {
    threads: u64,
    shared_bytes: u64,
}

#[cfg(test)]
mod tests;
