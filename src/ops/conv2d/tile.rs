//! Tiles of the implicit GEMM, and sizes that kernels are specialized for.

use super::plan::ConvGeometry;
use crate::shader::Shader;
use crate::tensor::{DeviceClass, DeviceLimits, Element, CHANNEL_PACK};

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
    /// What a processor takes for [`ROUND_K`] of K with 1, 2, .. workgroups on it. More than there
    /// are numbers do not fit it and go in rounds, each as long as a full one.
    round_ns: &'static [u64],
}

// How long a convolution takes, measured on an H100: 50 layers, each in every tile, on
// 2026-11-26. What the sums below predict is within a tenth of most of them; tests/bench/README.md
// has what came of it. Only comparisons count, so that other large GPUs choose well by it too.

/// Processors.
pub(super) const PROCESSORS: u64 = 132;

/// K that [`Tile::round_ns`] is for.
const ROUND_K: u64 = 64;

/// The dispatch, the first loads and the last stores.
const START_NS: u64 = 5000;

/// First loads that other subgroups do not hide: with one, and at most.
const ALONE_NS: u64 = 6000;
const MAX_ALONE_NS: u64 = 1500;

/// The barrier before the parts of K are added, and the dispatch that adds them.
const PARTS_NS: u64 = 3000;

/// Bytes of sums of parts that are written and read in a microsecond.
const SUMS_BYTES_PER_US: u64 = 1_330_000;

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

/// For fp16 on matrix units. Against them were measured 32 to 128 of K per step, one buffer and two,
/// 4 to 16 subgroups of 16x16 to 64x64 sums: two workgroups of 48 KiB fit a processor of an H100,
/// and what a second buffer gains one is less than what a third workgroup gains.
const MATRIX_TILES: [Tile; 6] = [
    matrices(2, tile([128, 32, 8], [4, 4], &[1350, 1960])),
    matrices(1, tile([128, 16, 16], [2, 2], &[800, 1350])),
    matrices(1, tile([64, 16, 16], [2, 2], &[620, 850, 1150])),
    matrices(2, tile([32, 16, 16], [1, 2], &[450, 600, 830])),
    matrices(1, tile([128, 8, 8], [2, 2], &[850, 1250, 1850, 2500])),
    matrices(2, tile([32, 8, 16], [1, 1], &[400, 480, 620, 800])),
];

/// The last fits every device. Measured on an H200 against 128x64 to 256x64, 64x128 and 128x128
/// pixels by channels: none was faster than the first, which also needs the fewest registers of them.
const TILES: [Tile; 3] = [
    tile([64, 16, 4], [8, 1], &[2500, 4000, 5600]),
    tile([64, 8, 4], [4, 1], &[1850, 2750, 3750, 4850]),
    tile(
        [32, 8, 4],
        [4, 1],
        &[1700, 2000, 2500, 2830, 3550, 4000, 4550, 5100],
    ),
];

/// How the depthwise kernel is specialized.
pub(super) struct DepthwiseTile {
    /// Neighbours in a row of one invocation.
    pub(super) pixels: u32,
    /// `kernel_w, kernel_h, stride_w`; a first 0 leaves them open.
    pub(super) sizes: [u32; 3],
}

/// Invocations that keep a large GPU busy, and hide one another's loads, with one pixel each. On an
/// H100 7x7 to 112x112 pixels of 32 to 960 channels take up to a third less than with four each.
const ONE_PIXEL_MAX_INVOCATIONS: u64 = 1 << 17;

impl DepthwiseTile {
    /// CPUs compile unrolled loops for long and gain little.
    pub(super) fn choose(g: &ConvGeometry, limits: &DeviceLimits) -> Self {
        let gpu = limits.class != DeviceClass::Cpu;
        let common = g.kernel == [3, 3] || g.kernel == [5, 5];
        let plain = g.dilation == [1, 1] && g.stride[1] <= 2;
        let few = g.elements_out() / u64::from(CHANNEL_PACK) <= ONE_PIXEL_MAX_INVOCATIONS;
        Self {
            pixels: if gpu && few { 1 } else { 4 },
            sizes: match common && plain && gpu {
                true => [g.kernel[1], g.kernel[0], g.stride[1]],
                false => [0, 1, 1],
            },
        }
    }
}

impl Tile {
    /// The tile that takes the least time, and the parts of K that it is fastest in, side by side;
    /// none is empty.
    pub(super) fn choose(g: &ConvGeometry, element: Element, limits: &DeviceLimits) -> (Self, u32) {
        let matrices = match element == Element::F16 && limits.matrix_16x16 {
            true => MATRIX_TILES.as_slice(),
            false => &[],
        };
        let fastest = |tiles: &[Self]| {
            tiles
                .iter()
                .filter(|tile| tile.fits(g, limits))
                .flat_map(|tile| tile.parts(g).map(|parts| (*tile, parts)))
                .min_by_key(|(tile, parts)| tile.time_ns(g, *parts))
        };
        let (tile, parts) = fastest(matrices)
            .or_else(|| fastest(&TILES))
            .unwrap_or((TILES[TILES.len() - 1], 1));
        (tile, u32::try_from(parts).unwrap_or(1))
    }

    fn fits(&self, g: &ConvGeometry, limits: &DeviceLimits) -> bool {
        let columns4 = g.group_out().div_ceil(4);
        self.local_size() <= limits.max_workgroup_invocations
            && self.local_size() <= limits.max_workgroup_size[0]
            && self.shared_bytes() <= limits.max_shared_memory_bytes
            && self.tile_n4 <= columns4.next_multiple_of(8)
            // What is gathered in pieces is gathered by as few tiles side by side as are worth it.
            && (self.units == Units::Invocations
                || eights(g)
                || self.tile_n4 >= columns4.next_multiple_of(8).min(16))
    }

    /// Predicted time of the convolution with K in `parts`.
    fn time_ns(&self, g: &ConvGeometry, parts: u64) -> u64 {
        let on_one = self.workgroups(g).saturating_mul(parts);
        let on_one = on_one.div_ceil(PROCESSORS).max(1);
        let most = self.round_ns.len() as u64;
        let full = self.round_ns[self.round_ns.len() - 1];
        let round_ns = match usize::try_from(on_one - 1) {
            Ok(at) if on_one <= most => self.round_ns[at],
            _ => full.saturating_mul(on_one.div_ceil(most)),
        };
        let k = self.steps(g).div_ceil(parts) * u64::from(self.tile_k4) * 4;
        let products_ns = round_ns.saturating_mul(k) / ROUND_K;
        let subgroups = on_one.min(most) * u64::from(self.local_size().div_ceil(32));
        let start_ns = START_NS + MAX_ALONE_NS.min(ALONE_NS / subgroups.max(1));
        products_ns
            .saturating_add(start_ns)
            .saturating_add(parts_ns(g, parts))
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

    /// Numbers of parts that K may be cut into. Shorter ones were not measured.
    fn parts(&self, g: &ConvGeometry) -> impl Iterator<Item = u64> {
        let shortest_k = match self.units {
            Units::Invocations => 128,
            Units::Matrices => 512,
        };
        even_parts(g, self.steps(g), shortest_k / (u64::from(self.tile_k4) * 4))
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
                    let (tile, parts) = Tile::choose(&g, element, limits);
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
                    let (steps, parts) = (tile.steps(&g), u64::from(parts));
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
            let (tile, parts) = Tile::choose(g, Element::F16, &limits);
            (tile.tile_m, tile.tile_n4 * 4, parts)
        };
        assert_eq!(chosen(&geometry(64, 64, 256, 3)), (128, 64, 1));
        assert_eq!(chosen(&geometry(64, 128, 256, 3)), (128, 128, 1));
        assert_eq!(chosen(&geometry(128, 128, 56, 3)), (32, 64, 1));
        assert_eq!(chosen(&geometry(256, 256, 28, 3)), (128, 64, 4));
        assert_eq!(chosen(&geometry(512, 512, 14, 3)), (128, 64, 8));
        assert_eq!(chosen(&geometry(256, 256, 128, 3)), (128, 128, 1));
        assert_eq!(chosen(&geometry(256, 64, 56, 1)), (32, 32, 1));
        assert_eq!(chosen(&geometry(512, 2048, 7, 1)), (32, 32, 1));
        assert_eq!(chosen(&geometry(32, 64, 112, 5)), (128, 64, 1));
        assert_eq!(chosen(&geometry(256, 256, 32, 3)), (128, 64, 4));
        // A third workgroup on a processor, where two rounds would take 59 microseconds.
        assert_eq!(chosen(&geometry(256, 128, 100, 3)), (64, 64, 1));
        assert_eq!(chosen(&geometry(32, 32, 256, 3)), (128, 32, 1));
    }

    #[test]
    fn long_sums_of_few_outputs_are_cut() {
        let limits = DeviceLimits::minimum();
        let parts = |g: &ConvGeometry| Tile::choose(g, Element::F32, &limits).1;
        assert!(parts(&geometry(512, 512, 14, 3)) > 4);
        assert_eq!(parts(&geometry(64, 64, 256, 3)), 1);
        assert_eq!(parts(&geometry(256, 64, 56, 1)), 1);
    }
}
