//! Plans that are none: each is an error that says what is wrong, from the check and from lowering.

use super::candidates::graph;
use super::winograd::gpu;
use super::{geometry, lowered, Random, CONSTANT};
use etvk::base::error::ErrorKind;
use etvk::core::constraints::Constraints;
use etvk::core::conv::{
    ConvAlgorithm, ConvGeometry, ConvPlan, ImplicitTile, Sums, Units, WeightSource,
};
use etvk::core::device::{DeviceLimits, ImageSizes, NoImages};
use etvk::core::options::Options;
use etvk::core::tensor::Element;
use etvk::ops::conv2d::plan::check;

/// A problem and a device.
pub(super) struct Bench<'a> {
    pub(super) g: ConvGeometry,
    pub(super) element: Element,
    pub(super) weight: WeightSource,
    pub(super) limits: DeviceLimits,
    pub(super) workspace_bytes: u64,
    pub(super) images: &'a dyn ImageSizes,
}

/// 64 -> 64 channels, 3x3, at 20x30 on a large GPU: K = 576 in 36 steps of 16.
pub(super) fn bench() -> Bench<'static> {
    Bench {
        g: ConvGeometry {
            h_in: 20,
            w_in: 30,
            ..geometry()
        },
        element: Element::F32,
        weight: CONSTANT,
        limits: gpu(),
        workspace_bytes: 16 << 20,
        images: &NoImages,
    }
}

pub(super) fn half() -> Bench<'static> {
    Bench {
        element: Element::F16,
        limits: DeviceLimits {
            storage_16bit: true,
            matrix_16x16: true,
            ..gpu()
        },
        ..bench()
    }
}

impl Bench<'_> {
    pub(super) fn with(self, change: impl FnOnce(&mut ConvGeometry)) -> Self {
        let mut g = self.g;
        change(&mut g);
        Self { g, ..self }
    }

    /// The error that the plan gives, twice.
    fn error(&self, algorithm: ConvAlgorithm, workspace_bytes: u64) -> Option<(ErrorKind, String)> {
        let options = Options {
            workspace_bytes: self.workspace_bytes,
            ..Options::default()
        };
        let constraints = Constraints::new(&options, &self.limits);
        let plan = ConvPlan {
            algorithm,
            workspace_bytes,
            moved_bytes: 0,
            reason: "made by hand".into(),
        };
        let graph = graph(&self.g, self.element, self.weight);
        let mut checked = None;
        let lowered = lowered::convolution(&graph, &constraints, self.images, &mut |problem| {
            checked = check(problem, &plan).err();
            Ok(plan.clone())
        });
        let (checked, lowered) = (checked.map(|e| (e.kind, e.message)), lowered.err());
        assert_eq!(checked, lowered.map(|e| (e.kind, e.message)), "{plan:?}");
        checked
    }

    /// The plan is refused with these words.
    pub(super) fn refuses(&self, algorithm: ConvAlgorithm, workspace_bytes: u64, words: &str) {
        match self.error(algorithm, workspace_bytes) {
            None => panic!("obeyed, expected {words:?}: {algorithm:?}"),
            Some((kind, message)) => {
                assert_eq!(kind, ErrorKind::Internal, "{message}");
                assert!(message.contains(words), "expected {words:?}: {message}");
                assert!(message.contains(&algorithm.to_string()), "{message}");
            }
        }
    }

    pub(super) fn obeys(&self, algorithm: ConvAlgorithm, workspace_bytes: u64) {
        if let Some((_, message)) = self.error(algorithm, workspace_bytes) {
            panic!("{algorithm:?}: {message}");
        }
    }
}

const TILE: ImplicitTile = ImplicitTile {
    tile_m: 64,
    tile_n4: 8,
    tile_k4: 4,
    thread_m: 4,
    thread_n4: 1,
    units: Units::Invocations,
    buffers: 2,
};

const MATRICES: ImplicitTile = ImplicitTile {
    tile_m: 64,
    tile_n4: 16,
    tile_k4: 16,
    thread_m: 2,
    thread_n4: 2,
    units: Units::Matrices,
    buffers: 1,
};

const PATCHES: ImplicitTile = ImplicitTile {
    units: Units::Patches,
    ..MATRICES
};

fn implicit(tile: ImplicitTile, sums: Sums) -> ConvAlgorithm {
    ConvAlgorithm::Implicit { tile, sums }
}

/// Bytes of the sums of 64 channels.
pub(super) fn sums_bytes(parts: u64, pixels: u64) -> u64 {
    parts * pixels * 64 * 4
}

#[test]
fn implicit_tiles() {
    let (b, h) = (bench(), half());
    b.obeys(implicit(TILE, Sums::Whole), 0);
    h.obeys(implicit(MATRICES, Sums::Whole), 0);
    h.obeys(implicit(PATCHES, Sums::Whole), 0);
    let no = "no kernel is made for";
    for tile in [
        ImplicitTile { tile_m: 0, ..TILE },
        ImplicitTile { tile_n4: 0, ..TILE },
        ImplicitTile { tile_k4: 0, ..TILE },
        ImplicitTile {
            thread_m: 0,
            ..TILE
        },
        ImplicitTile {
            thread_n4: 0,
            ..TILE
        },
        ImplicitTile {
            tile_m: u32::MAX,
            ..TILE
        },
        ImplicitTile {
            tile_k4: u32::MAX,
            ..TILE
        },
        // Threads that the tile does not divide into, and loads that they do not.
        ImplicitTile {
            thread_m: 3,
            ..TILE
        },
        ImplicitTile {
            thread_n4: 3,
            ..TILE
        },
        ImplicitTile {
            thread_m: 128,
            ..TILE
        },
        ImplicitTile { tile_k4: 3, ..TILE },
        // 256 invocations of which each row of the weight takes 8.
        ImplicitTile {
            tile_n4: 7,
            thread_m: 2,
            ..TILE
        },
        ImplicitTile { buffers: 1, ..TILE },
        ImplicitTile { buffers: 0, ..TILE },
    ] {
        b.refuses(implicit(tile, Sums::Whole), 0, no);
    }
    for tile in [MATRICES, PATCHES] {
        for tile in [
            ImplicitTile { tile_m: 0, ..tile },
            ImplicitTile {
                thread_m: 0,
                ..tile
            },
            ImplicitTile {
                thread_n4: 0,
                ..tile
            },
            ImplicitTile { tile_m: 40, ..tile },
            ImplicitTile {
                thread_m: 3,
                ..tile
            },
            ImplicitTile {
                tile_n4: 12,
                ..tile
            },
            ImplicitTile { tile_k4: 2, ..tile },
            ImplicitTile {
                tile_k4: 17,
                ..tile
            },
            ImplicitTile { buffers: 0, ..tile },
            ImplicitTile { buffers: 3, ..tile },
        ] {
            h.refuses(implicit(tile, Sums::Whole), 0, no);
        }
        b.refuses(implicit(tile, Sums::Whole), 0, "no matrix units");
        let without = Bench {
            limits: DeviceLimits {
                storage_16bit: true,
                ..gpu()
            },
            ..half()
        };
        without.refuses(implicit(tile, Sums::Whole), 0, "no matrix units");
    }
    let wide = ImplicitTile {
        tile_m: 256,
        tile_n4: 16,
        tile_k4: 64,
        thread_m: 1,
        ..TILE
    };
    b.refuses(
        implicit(wide, Sums::Whole),
        0,
        "a workgroup of 4096 invocations",
    );
    let deep = ImplicitTile {
        tile_k4: 64,
        ..TILE
    };
    b.refuses(implicit(deep, Sums::Whole), 0, "bytes of shared memory");
    let small = Bench {
        limits: DeviceLimits::minimum(),
        ..bench()
    };
    small.obeys(implicit(TILE, Sums::Whole), 0);
    let twice = ImplicitTile {
        tile_k4: 8,
        thread_m: 2,
        ..TILE
    };
    small.refuses(
        implicit(twice, Sums::Whole),
        0,
        "a workgroup of 256 invocations",
    );
}

#[test]
fn geometries_of_the_implicit_gemm() {
    let whole = implicit(TILE, Sums::Whole);
    bench()
        .with(|g| g.transposed = true)
        .refuses(whole, 0, "transposed");
    let shared = bench().with(|g| (g.c_out, g.groups) = (60, 4));
    shared.refuses(whole, 0, "groups share quads of outputs");
    let patches = implicit(PATCHES, Sums::Whole);
    let why = "patches are of one group, of stride 1";
    half().with(|g| g.stride = [1, 2]).refuses(patches, 0, why);
    half().with(|g| g.groups = 2).refuses(patches, 0, why);
    // Channels of K that are not in fours.
    half().with(|g| g.c_in = 5).refuses(patches, 0, why);
    half().with(|g| g.c_in = 9).obeys(patches, 0);
    // What a kernel sees through a large dilation exceeds shared memory.
    let far = half().with(|g| (g.dilation, g.padding) = ([9, 9], [9, 9]));
    far.refuses(patches, 0, "bytes of shared memory");
}

#[test]
fn parts() {
    let b = bench();
    for parts in [2, 3, 36] {
        b.obeys(implicit(TILE, Sums::Serial { parts }), 0);
    }
    // 36 steps in 35 parts are 18 of 2 and none.
    for parts in [0, 1, 35, 37, u32::MAX] {
        let why = format!("36 steps of K cannot be cut into {parts} parts");
        b.refuses(implicit(TILE, Sums::Serial { parts }), 0, &why);
        let pixels_tile = 100;
        let bytes = sums_bytes(parts.min(40).into(), 100);
        let sums = Sums::Parts { parts, pixels_tile };
        b.refuses(implicit(TILE, sums), bytes, &why);
    }
    let of = |parts, pixels_tile| implicit(TILE, Sums::Parts { parts, pixels_tile });
    for pixels_tile in [1, 64, 599, 600] {
        let bytes = sums_bytes(4, pixels_tile.into());
        b.obeys(of(4, pixels_tile), bytes);
        b.obeys(of(4, pixels_tile), bytes + 512);
        b.refuses(of(4, pixels_tile), bytes - 1, "of a workspace of");
        b.refuses(of(4, pixels_tile), 0, "of a workspace of 0");
    }
    b.refuses(of(4, 0), 0, "tiles of no pixels");
    // A workspace where none is written is no plan either.
    b.refuses(
        implicit(TILE, Sums::Whole),
        256,
        "write 0 bytes of a workspace of 256",
    );
    b.refuses(
        implicit(TILE, Sums::Serial { parts: 4 }),
        256,
        "write 0 bytes",
    );
    let large = bench().with(|g| (g.h_in, g.w_in) = (64, 64));
    large.refuses(of(4, 1), sums_bytes(4, 1), "4096 tiles, more than 2048");
    // Patches of all pixels only: one tile of their sums would hold those of others.
    let h = half();
    let of = |tile, pixels_tile| {
        implicit(
            tile,
            Sums::Parts {
                parts: 1,
                pixels_tile,
            },
        )
    };
    h.refuses(
        of(PATCHES, 600),
        sums_bytes(1, 600),
        "1 steps of K cannot be cut into 1 parts",
    );
    let deep = half().with(|g| g.c_in = 256);
    let of = |tile, pixels_tile| {
        implicit(
            tile,
            Sums::Parts {
                parts: 4,
                pixels_tile,
            },
        )
    };
    deep.obeys(of(PATCHES, 600), sums_bytes(4, 600));
    deep.obeys(of(MATRICES, 300), sums_bytes(4, 300));
    for pixels_tile in [1, 64, 300, 599] {
        let bytes = sums_bytes(4, 600);
        deep.refuses(
            of(PATCHES, pixels_tile),
            bytes,
            "patches compute all 600 pixels",
        );
    }
}

#[test]
fn what_is_side_by_side_fits_the_device() {
    let few = |z| Bench {
        limits: DeviceLimits {
            max_workgroup_count: [65_535, 65_535, z],
            ..gpu()
        },
        ..bench().with(|g| g.groups = 2)
    };
    // K = 288: 18 steps.
    let sums = Sums::Parts {
        parts: 3,
        pixels_tile: 600,
    };
    few(6).obeys(implicit(TILE, sums), sums_bytes(3, 600));
    let why = "2 groups in 3 parts side by side, the device allows 5";
    few(5).refuses(implicit(TILE, sums), sums_bytes(3, 600), why);
    few(2).obeys(implicit(TILE, Sums::Serial { parts: 3 }), 0);
    few(1).refuses(implicit(TILE, Sums::Whole), 0, "2 groups");
}

#[test]
fn workspaces_stay_within_budget_and_device() {
    let sums = Sums::Parts {
        parts: 4,
        pixels_tile: 600,
    };
    let bytes = sums_bytes(4, 600);
    let poor = Bench {
        workspace_bytes: bytes - 1,
        ..bench()
    };
    let (kind, message) = poor.error(implicit(TILE, sums), bytes).expect("too much");
    assert_eq!(kind, ErrorKind::OutOfMemory);
    assert!(message.contains("budget"), "{message}");
    let narrow = Bench {
        limits: DeviceLimits {
            max_storage_buffer_range_bytes: bytes - 1,
            ..gpu()
        },
        ..bench()
    };
    narrow.refuses(implicit(TILE, sums), bytes, "the device binds");
}

/// Numbers at random: whatever is obeyed stays within what it was given, and nothing panics.
#[test]
fn random_plans_are_refused_or_fit() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(5150, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let (mut obeyed, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut pick = |list: &[u32]| list[random.int(0, list.len() as i64 - 1) as usize];
        let units =
            [Units::Invocations, Units::Matrices, Units::Patches][pick(&[0, 1, 2]) as usize];
        let tile = ImplicitTile {
            tile_m: pick(&[16, 32, 64, 128, 48, 0, 256]),
            tile_n4: pick(&[4, 8, 16, 32, 5]),
            tile_k4: pick(&[4, 8, 16, 2, 6]),
            thread_m: pick(&[1, 2, 4, 8, 3]),
            thread_n4: pick(&[1, 2, 4, 3]),
            units,
            buffers: pick(&[1, 2, 2, 3]),
        };
        let (parts, pixels_tile) = (pick(&[1, 2, 3, 4, 9]), pick(&[0, 64, 100, 600]));
        let sums = [
            Sums::Whole,
            Sums::Serial { parts },
            Sums::Parts { parts, pixels_tile },
        ][pick(&[0, 1, 2]) as usize];
        let bytes = match sums {
            Sums::Parts { .. } => sums_bytes(parts.into(), pixels_tile.into()),
            _ => 0,
        };
        match half().error(implicit(tile, sums), bytes) {
            None => obeyed += 1,
            Some((kind, message)) => {
                refused += 1;
                let what = format!("ETVK_TEST_SEED={seed}, round {round}: {tile:?} {sums:?}");
                assert_eq!(kind, ErrorKind::Internal, "{what}: {message}");
            }
        }
    }
    assert!(obeyed > 300 && refused > 10_000, "{obeyed} {refused}");
}
