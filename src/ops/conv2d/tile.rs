//! Tiles of the implicit GEMM, and sizes that kernels are specialized for.

use super::plan::ConvGeometry;
use crate::shader::Shader;
use crate::tensor::{DeviceClass, DeviceLimits, Element};

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Invocations: `conv2d_implicit.comp`.
    Invocations,
    /// Matrix units, by the subgroup of 32: `conv2d_matrix.comp`.
    Matrices,
}

/// How a workgroup sums K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// At once.
    Whole,
    /// One part of it, into the workspace.
    Parts,
    /// All parts, one after the other.
    Serial,
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
}

/// When a GPU is busy, and when K is worth cutting: measured on an H200 of 132 processors.
struct Rule {
    /// Workgroups that keep a large GPU busy to the end, with K in parts.
    enough: u64,
    /// So many run without another pass over the sums when K is short.
    few: u64,
    /// More parts than this only move sums.
    max_parts: u64,
    /// With so many a larger tile is better than a smaller one with fewer.
    good_parts: u64,
    /// K up to this is short.
    short_k: u64,
}

/// A step takes as long as its loads, so that several workgroups share a processor.
const INVOCATIONS: Rule = Rule {
    enough: 384,
    few: 128,
    max_parts: 16,
    good_parts: 16,
    short_k: 512,
};

/// A step takes as long as its loads too, but is 4 times as long: passes over sums cost more of it.
const MATRICES: Rule = Rule {
    enough: 200,
    few: 112,
    max_parts: 8,
    good_parts: 8,
    short_k: 2048,
};

/// A part of K shorter than this many steps costs more in sums than it gains.
const MIN_STEPS_PER_PART: u64 = 8;

/// Rows of the smallest matrix tile that a long K is summed in at once.
const LONG_K_TILE_M: u32 = 64;

/// Sums of all parts stay within this, so that budgets down to it cost nothing. Measured on an H200:
/// more than 8 parts of 28x28x256 gain nothing, and two tiles of them take 1.4 times as long as one.
pub(super) const MAX_SUMS_BYTES: u64 = 4 << 20;

const fn tile(tile_m: u32, tile_n4: u32, tile_k4: u32, thread_m: u32, thread_n4: u32) -> Tile {
    Tile {
        tile_m,
        tile_n4,
        tile_k4,
        thread_m,
        thread_n4,
        units: Units::Invocations,
        buffers: 2,
    }
}

const fn matrices(tile: Tile, buffers: u32) -> Tile {
    Tile {
        units: Units::Matrices,
        buffers,
        ..tile
    }
}

/// For fp16 on matrix units, largest first, each with the workgroups that it wants: where there are
/// fewer, the next keeps more processors busy. Measured on an H100 with shared steps of 16 to 128 of
/// K and 4 to 16 subgroups of 16x16 to 64x64 sums: tests/bench/README.md has the layers.
const MATRIX_TILES: [(Tile, u64); 5] = [
    (matrices(tile(128, 32, 8, 4, 4), 2), 256),
    (matrices(tile(128, 16, 16, 2, 2), 1), 256),
    (matrices(tile(64, 16, 16, 2, 2), 2), 128),
    (matrices(tile(32, 16, 16, 1, 2), 2), 128),
    (matrices(tile(32, 8, 16, 1, 1), 2), 112),
];

/// Largest first: the more outputs share a load, the fewer loads. The last fits every device.
/// Measured on an H200 against 128x64 to 256x64, 64x128 and 128x128 pixels by channels: none was
/// faster than the first, which also needs the fewest registers of them.
const TILES: [Tile; 3] = [
    tile(64, 16, 4, 8, 1),
    tile(64, 8, 4, 4, 1),
    tile(32, 8, 4, 4, 1),
];

/// Sizes that the depthwise kernel is specialized for, `kernel_w, kernel_h, stride_w`; a first 0
/// leaves them open. CPUs compile unrolled loops for long and gain little.
pub(super) fn depthwise_sizes(g: &ConvGeometry, limits: &DeviceLimits) -> [u32; 3] {
    let common = g.kernel == [3, 3] || g.kernel == [5, 5];
    let plain = g.dilation == [1, 1] && g.stride[1] <= 2;
    match common && plain && limits.class != DeviceClass::Cpu {
        true => [g.kernel[1], g.kernel[0], g.stride[1]],
        false => [0, 1, 1],
    }
}

impl Tile {
    pub(super) fn choose(g: &ConvGeometry, element: Element, limits: &DeviceLimits) -> Self {
        let fits = |tile: &Self| tile.fits(g, limits);
        if element == Element::F16 && limits.matrix_16x16 {
            let tiles: Vec<_> = MATRIX_TILES.iter().filter(|(tile, _)| fits(tile)).collect();
            // A long K in small tiles takes longer than in parts.
            let whole = |tile: &Self| tile.short(g) || tile.tile_m >= LONG_K_TILE_M;
            let busy = tiles
                .iter()
                .find(|(tile, wanted)| tile.workgroups(g) >= *wanted && whole(tile))
                .or_else(|| tiles.iter().find(|(tile, _)| tile.fills(g)));
            if let Some((tile, _)) = busy.or(tiles.last()) {
                return *tile;
            }
        }
        let tiles: Vec<_> = TILES.iter().filter(|tile| fits(tile)).collect();
        let busy = tiles
            .iter()
            .find(|tile| tile.workgroups(g) >= tile.rule().enough)
            .or_else(|| tiles.iter().find(|tile| tile.fills(g)));
        busy.map_or(TILES[TILES.len() - 1], |tile| **tile)
    }

    fn fits(&self, g: &ConvGeometry, limits: &DeviceLimits) -> bool {
        let columns4 = g.group_out().div_ceil(4);
        self.local_size() <= limits.max_workgroup_invocations
            && self.local_size() <= limits.max_workgroup_size[0]
            && self.shared_bytes() <= limits.max_shared_memory_bytes
            && self.tile_n4 <= columns4.next_multiple_of(8)
    }

    fn rule(self) -> &'static Rule {
        match self.units {
            Units::Invocations => &INVOCATIONS,
            Units::Matrices => &MATRICES,
        }
    }

    fn short(self, g: &ConvGeometry) -> bool {
        g.k() <= self.rule().short_k
    }

    /// Whether all parts of K together keep a large GPU busy.
    fn fills(self, g: &ConvGeometry) -> bool {
        let parts = self.most_parts(g).min(self.rule().good_parts);
        self.workgroups(g).saturating_mul(parts) >= self.rule().enough
    }

    /// Tiles of `pixels` outputs, of one group and one part of K.
    pub(super) fn tiles(self, g: &ConvGeometry, pixels: u64) -> u64 {
        let columns4 = u64::from(g.group_out().div_ceil(4));
        pixels
            .div_ceil(self.tile_m.into())
            .saturating_mul(columns4.div_ceil(self.tile_n4.into()))
    }

    fn workgroups(self, g: &ConvGeometry) -> u64 {
        self.tiles(g, g.pixels_out())
            .saturating_mul(g.groups.into())
    }

    /// Steps of K.
    pub(super) fn steps(self, g: &ConvGeometry) -> u64 {
        g.k().div_ceil(u64::from(self.tile_k4) * 4)
    }

    fn most_parts(self, g: &ConvGeometry) -> u64 {
        let sum_bytes = g.elements_out().saturating_mul(4).max(1);
        let most = self.rule().max_parts.min(MAX_SUMS_BYTES / sum_bytes).max(1);
        (self.steps(g) / MIN_STEPS_PER_PART).clamp(1, most)
    }

    /// Parts of K that fill a large GPU, side by side; none is empty.
    pub(super) fn parts(self, g: &ConvGeometry) -> u32 {
        let (workgroups, steps) = (self.workgroups(g).max(1), self.steps(g).max(1));
        if self.short(g) && workgroups >= self.rule().few {
            return 1;
        }
        let wanted = self.rule().enough.div_ceil(workgroups);
        Self::even_parts(steps, wanted.min(self.most_parts(g)))
    }

    /// At most `parts`, so that all but the last have equally many of the `steps`.
    fn even_parts(steps: u64, parts: u64) -> u32 {
        let per_part = steps.div_ceil(parts.max(1)).max(1);
        u32::try_from(steps.div_ceil(per_part)).unwrap_or(1)
    }

    pub(super) fn local_size(self) -> u32 {
        let (rows, columns) = (self.tile_m / self.thread_m, self.tile_n4 / self.thread_n4);
        match self.units {
            Units::Invocations => rows * columns,
            Units::Matrices => rows / 16 * (columns / 4) * 32,
        }
    }

    /// The kernel for operands of `element`.
    pub(super) fn shader(self, element: Element, sums: Sums) -> Shader {
        use Sums::{Parts, Serial, Whole};
        match (self.units, element == Element::F16, sums) {
            (Units::Matrices, _, Whole) => Shader::Conv2dMatrixF16,
            (Units::Matrices, _, Parts) => Shader::Conv2dMatrixPartF16,
            (Units::Matrices, _, Serial) => Shader::Conv2dMatrixSerialF16,
            (_, false, Whole) => Shader::Conv2dImplicitF32,
            (_, true, Whole) => Shader::Conv2dImplicitF16,
            (_, false, Parts) => Shader::Conv2dImplicitPartF32,
            (_, true, Parts) => Shader::Conv2dImplicitPartF16,
            (_, false, Serial) => Shader::Conv2dImplicitSerialF32,
            (_, true, Serial) => Shader::Conv2dImplicitSerialF16,
        }
    }

    fn shared_bytes(self) -> u32 {
        match self.units {
            Units::Invocations => {
                let a = self.tile_m * (self.tile_k4 + 1);
                let b = self.tile_k4 * 4 * self.tile_n4;
                16 * self.buffers * (a + b)
            }
            Units::Matrices => {
                let a = self.tile_m * (self.tile_k4 / 2 + 1);
                let b = self.tile_k4 * 4 * (self.tile_n4 / 2 + 1);
                let together = if self.thread_m % 2 == 0 { 2 } else { 1 };
                let sums = self.local_size() / 32 * together * 16 * 5;
                16 * (self.buffers * (a + b) + sums)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(c_in: u32, c_out: u32, size: u32, kernel: u32) -> ConvGeometry {
        ConvGeometry {
            n: 1,
            c_in,
            h_in: size,
            w_in: size,
            c_out,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [kernel / 2; 2],
            dilation: [1; 2],
            output_padding: [0; 2],
            groups: 1,
            transposed: false,
        }
    }

    #[test]
    fn tiles_fit_the_least_device_and_divide_evenly() {
        for (element, limits) in [
            (Element::F32, DeviceLimits::minimum()),
            (Element::F16, with_matrices(128)),
            (Element::F16, with_matrices(1024)),
        ] {
            check_choices(element, &limits);
        }
    }

    /// A device with matrix units.
    fn with_matrices(invocations: u32) -> DeviceLimits {
        DeviceLimits {
            max_workgroup_invocations: invocations,
            max_workgroup_size: [invocations; 3],
            max_shared_memory_bytes: 48 << 10,
            matrix_16x16: true,
            ..DeviceLimits::minimum()
        }
    }

    fn check_choices(element: Element, limits: &DeviceLimits) {
        for c in [1, 3, 4, 30, 64, 130, 512, 2048] {
            for size in [1, 7, 14, 56, 256, 1024] {
                for kernel in [1, 3, 7] {
                    let g = geometry(c, c, size, kernel);
                    let tile = Tile::choose(&g, element, limits);
                    let threads = tile.local_size();
                    assert!(threads <= limits.max_workgroup_invocations, "{tile:?}");
                    assert!(tile.shared_bytes() <= limits.max_shared_memory_bytes);
                    // Every invocation loads equally many fours, or eights for matrices.
                    let (lane, loads) = match tile.units {
                        Units::Invocations => (1, 1),
                        Units::Matrices => (2, 2),
                    };
                    assert_eq!(threads % (tile.tile_k4 / lane), 0, "{tile:?}");
                    let (a, b) = (tile.tile_m * tile.tile_k4, tile.tile_k4 * 4 * tile.tile_n4);
                    assert_eq!(
                        (a % (threads * loads), b % (threads * loads)),
                        (0, 0),
                        "{tile:?}"
                    );
                    let (steps, parts) = (tile.steps(&g), u64::from(tile.parts(&g)));
                    let per_part = steps.div_ceil(parts);
                    assert!(
                        (parts - 1) * per_part < steps,
                        "an empty part: {g:?} {tile:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn matrix_tiles_follow_what_was_measured() {
        let limits = with_matrices(1024);
        let chosen = |g: &ConvGeometry| {
            let tile = Tile::choose(g, Element::F16, &limits);
            (tile.tile_m, tile.tile_n4 * 4, tile.parts(g))
        };
        assert_eq!(chosen(&geometry(64, 64, 256, 3)), (128, 64, 1));
        assert_eq!(chosen(&geometry(64, 128, 256, 3)), (128, 128, 1));
        assert_eq!(chosen(&geometry(128, 128, 56, 3)), (32, 64, 1));
        assert_eq!(chosen(&geometry(256, 256, 28, 3)), (64, 64, 4));
        assert_eq!(chosen(&geometry(512, 512, 14, 3)), (64, 64, 7));
        assert_eq!(chosen(&geometry(256, 256, 128, 3)), (128, 128, 1));
        assert_eq!(chosen(&geometry(256, 64, 56, 1)), (32, 32, 1));
        assert_eq!(chosen(&geometry(512, 2048, 7, 1)), (32, 32, 1));
        assert_eq!(chosen(&geometry(32, 64, 112, 5)), (64, 64, 1));
        assert_eq!(chosen(&geometry(256, 256, 32, 3)), (64, 64, 4));
    }

    #[test]
    fn long_sums_of_few_outputs_are_cut() {
        let limits = DeviceLimits::minimum();
        let parts = |g: &ConvGeometry| Tile::choose(g, Element::F32, &limits).parts(g);
        assert!(parts(&geometry(512, 512, 14, 3)) > 4);
        assert_eq!(parts(&geometry(64, 64, 256, 3)), 1);
        assert_eq!(parts(&geometry(256, 64, 56, 1)), 1);
    }
}
