//! Properties of the convolution planner over random geometries, without a GPU.

use etvk::base::error::{ErrorKind, Result};
use etvk::core::constraints::Constraints;
use etvk::core::conv::tiles;
use etvk::core::conv::{ConvAlgorithm, ConvGeometry, ConvPlan, WeightSource};
use etvk::core::device::{DeviceClass, DeviceLimits, ImageSizes, NoImages};
use etvk::core::image::ImageDimensions;
use etvk::core::options::{ConvChoice, Options, ScratchStorage};
use etvk::core::tensor::Element;
use etvk::ops::conv2d::plan::{check, plan_conv2d, Problem, MAX_TILES};

#[path = "common/blob.rs"]
mod blob;
#[path = "plan/candidates.rs"]
mod candidates;
#[path = "plan/images.rs"]
mod images;
#[path = "common/lowered.rs"]
mod lowered;
#[path = "plan/order.rs"]
mod order;
#[path = "common/random.rs"]
mod random;
#[path = "plan/refused.rs"]
mod refused;
#[path = "plan/refused_paths.rs"]
mod refused_paths;
#[path = "plan/table.rs"]
mod table;
#[path = "plan/winograd.rs"]
mod winograd;

use images::FakeImages;
use random::Random;

const CHOICES: [Option<ConvChoice>; 7] = [
    None,
    Some(ConvChoice::Im2col),
    Some(ConvChoice::Direct),
    Some(ConvChoice::Pointwise),
    Some(ConvChoice::Depthwise),
    Some(ConvChoice::Implicit),
    Some(ConvChoice::Winograd),
];

/// Of a program of large images.
const CONSTANT: WeightSource = WeightSource::Constant {
    most_outputs: u64::MAX,
};

/// Mostly constants.
const WEIGHTS: [WeightSource; 4] = {
    use WeightSource::Computed;
    const SMALL: WeightSource = WeightSource::Constant { most_outputs: 1 };
    [CONSTANT, CONSTANT, SMALL, Computed]
};

const STORAGES: [Option<ScratchStorage>; 4] = [
    None,
    Some(ScratchStorage::Buffer),
    Some(ScratchStorage::Texture2d),
    Some(ScratchStorage::Texture3d),
];

fn geometry() -> ConvGeometry {
    ConvGeometry {
        n: 1,
        c_in: 64,
        h_in: 128,
        w_in: 128,
        c_out: 64,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        output_padding: [0, 0],
        groups: 1,
        transposed: false,
        given: [None; 2],
    }
}

fn plan(g: &ConvGeometry, options: &Options) -> ConvPlan {
    // Where nothing is gathered: GPUs take the implicit GEMM for most of these.
    let limits = DeviceLimits {
        class: DeviceClass::Cpu,
        ..DeviceLimits::minimum()
    };
    plan_on(g, CONSTANT, Element::F32, &limits, options).expect("a good geometry")
}

/// The plan on a device without images.
fn plan_on(
    g: &ConvGeometry,
    weight: WeightSource,
    element: Element,
    limits: &DeviceLimits,
    options: &Options,
) -> Result<ConvPlan> {
    let constraints = Constraints::new(options, limits);
    plan_conv2d(&Problem {
        geometry: g,
        weight,
        element,
        constraints: &constraints,
        images: &NoImages,
    })
}

fn budget(workspace_bytes: u64) -> Options {
    Options {
        workspace_bytes,
        ..Options::default()
    }
}

/// Small numbers mostly, sometimes limits of their types.
fn number(random: &mut Random, usual: i64) -> u32 {
    let n = match random.int(0, 199) {
        0 => i64::from(u32::MAX) - random.int(0, 2),
        1 => random.int(0, i64::from(u32::MAX)),
        2 => 1 << random.int(0, 31),
        3 => 0,
        4..20 => random.int(1, 4096),
        _ => random.int(1, usual),
    };
    u32::try_from(n).expect("32 bits")
}

fn any_geometry(random: &mut Random) -> ConvGeometry {
    let groups = match random.int(0, 3) {
        0 => number(random, 40),
        _ => 1,
    };
    // Mostly groups divide channels, as in any program that PyTorch made.
    let channels = |random: &mut Random| match random.int(0, 19) {
        0 => number(random, 600),
        _ => number(random, 64).saturating_mul(groups),
    };
    // What Winograd can take.
    let plain = random.int(0, 7) == 0;
    let mut pair = |usual, plainly: u32| match plain {
        true => [plainly; 2],
        false => [number(random, usual), number(random, usual)],
    };
    let (kernel, stride, dilation) = (pair(7, 3), pair(3, 1), pair(3, 1));
    ConvGeometry {
        n: match random.int(0, 4) {
            0 => number(random, 8),
            _ => 1,
        },
        c_in: channels(random),
        h_in: number(random, 300),
        w_in: number(random, 300),
        c_out: channels(random),
        kernel,
        stride,
        padding: [number(random, 4), number(random, 4)],
        dilation,
        output_padding: [number(random, 2), number(random, 2)],
        groups,
        transposed: random.int(0, 5) == 0,
        given: [None; 2],
    }
}

fn any_options(random: &mut Random) -> Options {
    Options {
        workspace_bytes: match random.int(0, 9) {
            0 => 0,
            1 => u64::MAX,
            2 => random.bits(),
            _ => 1 << random.int(8, 30),
        },
        conv_algorithm: CHOICES[usize::try_from(random.int(0, 6)).expect("small")],
        scratch_storage: STORAGES[usize::try_from(random.int(0, 3)).expect("small")],
        ..Options::default()
    }
}

#[test]
fn any_geometry_gives_a_plan_within_limits_or_an_error() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(22_774, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let (mut planned, mut tiled) = (0u32, 0u32);
    let (mut in_2d, mut in_3d) = (0u32, 0u32);
    for round in 0..120_000 {
        let g = any_geometry(&mut random);
        let options = any_options(&mut random);
        let element = [Element::F32, Element::F16][round % 2];
        let weight = WEIGHTS[usize::try_from(random.int(0, 3)).expect("small")];
        let mut limits = DeviceLimits::minimum();
        limits.max_storage_buffer_range_bytes = 1 << random.int(20, 32);
        limits.class = [DeviceClass::Cpu, DeviceClass::Discrete][random.int(0, 1) as usize];
        let images = FakeImages::random(&mut random);
        limits.image_extents = images.extents();
        let what = || format!("ETVK_TEST_SEED={seed}, round {round}: {g:?} {options:?}");
        let constraints = Constraints::new(&options, &limits);
        let problem = Problem {
            geometry: &g,
            weight,
            element,
            constraints: &constraints,
            images: &images,
        };
        let result = plan_conv2d(&problem);
        assert_eq!(result, plan_conv2d(&problem), "{}", what());
        let plan = match result {
            Ok(plan) => plan,
            Err(e) => {
                let known = matches!(e.kind, ErrorKind::InvalidBlob | ErrorKind::Unsupported);
                assert!(known && !e.message.is_empty(), "{}", what());
                continue;
            }
        };
        planned += 1;
        assert_eq!(check(&problem, &plan), Ok(()), "{}", what());
        assert!(
            plan.workspace_bytes <= options.workspace_bytes,
            "{}",
            what()
        );
        assert!(
            !plan.reason.is_empty() && g.h_out() > 0 && g.w_out() > 0,
            "{}",
            what()
        );
        if let ConvAlgorithm::Im2col {
            h_out_tile,
            w_out_tile,
            image,
            ..
        } = plan.algorithm
        {
            tiled += 1;
            let columns = u64::from(h_out_tile) * u64::from(w_out_tile) * g.columns_per_pixel();
            assert!(
                columns * element.size_bytes() <= plan.workspace_bytes,
                "{}",
                what()
            );
            match image {
                None => assert!(
                    plan.workspace_bytes <= limits.max_storage_buffer_range_bytes,
                    "{}",
                    what()
                ),
                Some(image) => {
                    // The fake has checked the extents; what it allocates is what is counted.
                    assert_eq!(
                        images.allocation_bytes(image),
                        Ok(Some(plan.workspace_bytes)),
                        "{}",
                        what()
                    );
                    let [x, y, z] = image.extent.map(u64::from);
                    let (h, w) = (u64::from(h_out_tile), u64::from(w_out_tile));
                    let groups = u64::from(g.groups);
                    assert_eq!(x * 4 * groups, g.columns_per_pixel(), "{}", what());
                    let want = match image.dimensions {
                        ImageDimensions::Two => (h * w * groups, 1),
                        ImageDimensions::Three => (w, h * groups),
                    };
                    assert_eq!((y, z), want, "{}", what());
                    assert_eq!(image.element, element, "{}", what());
                    match image.dimensions {
                        ImageDimensions::Two => in_2d += 1,
                        ImageDimensions::Three => in_3d += 1,
                    }
                }
            }
            // Only whole rows, or parts of one: a tile is contiguous in the output.
            assert!(h_out_tile == 1 || w_out_tile == g.w_out(), "{}", what());
            assert!(g.groups <= limits.max_workgroup_count[2], "{}", what());
            let rows = tiles(g.h_out(), h_out_tile);
            let count = rows.len() * tiles(g.w_out(), w_out_tile).len() * g.n as usize;
            assert!(count as u64 <= MAX_TILES, "{}", what());
            covers(g.h_out(), h_out_tile, &what);
            covers(g.w_out(), w_out_tile, &what);
            // Lines of workgroups: 64 invocations each, 4 elements per invocation.
            let invocations =
                u64::from(h_out_tile) * u64::from(w_out_tile) * g.columns_per_pixel() / 4;
            let [x, y, _] = limits.max_workgroup_count.map(u64::from);
            assert!(invocations.div_ceil(64) <= x * y, "{}", what());
        }
    }
    // The generator must not only make nonsense.
    assert!(planned > 60_000 && tiled > 10_000, "{planned} {tiled}");
    assert!(in_2d > 1000 && in_3d > 1000, "{in_2d} {in_3d}");
}

/// Tiles follow each other, end with the extent, and differ by at most 1.
fn covers(extent: u32, max: u32, what: &dyn Fn() -> String) {
    let (mut next, mut least, mut most) = (0, u32::MAX, 0);
    for (first, count) in tiles(extent, max) {
        assert_eq!(first, next, "{}", what());
        assert!(count > 0 && count <= max, "{}", what());
        next += count;
        (least, most) = (least.min(count), most.max(count));
    }
    assert_eq!(next, extent, "{}", what());
    assert!(extent == 0 || most - least <= 1, "{}", what());
}

#[test]
fn tiles_cover_every_extent() {
    for extent in 0..200 {
        for max in 1..210 {
            covers(extent, max, &|| format!("{extent} by {max}"));
        }
    }
}

#[test]
fn a_budget_that_holds_no_pixel_gives_direct_and_says_why() {
    for workspace_bytes in [0, 255, 2303] {
        let plan = plan(&geometry(), &budget(workspace_bytes));
        assert_eq!(plan.algorithm, ConvAlgorithm::Direct);
        assert_eq!(plan.workspace_bytes, 0);
        assert!(plan.reason.contains("2304 bytes"), "{}", plan.reason);
    }
    // 16384 tiles of one pixel.
    let plan = plan(&geometry(), &budget(2304));
    assert_eq!(plan.algorithm, ConvAlgorithm::Direct);
    assert!(plan.reason.contains("16384 tiles"), "{}", plan.reason);
}

#[test]
fn an_algorithm_that_does_not_apply_gives_way_and_says_so() {
    let options = |choice| Options {
        conv_algorithm: Some(choice),
        ..Options::default()
    };
    let g = geometry();
    let direct = plan(&g, &options(ConvChoice::Direct));
    assert_eq!(direct.algorithm, ConvAlgorithm::Direct);
    let pointwise = plan(&g, &options(ConvChoice::Pointwise));
    assert!(matches!(pointwise.algorithm, ConvAlgorithm::Im2col { .. }));
    assert!(
        pointwise.reason.starts_with("pointwise asked, but "),
        "{}",
        pointwise.reason
    );
    let transposed = ConvGeometry {
        transposed: true,
        ..g
    };
    let im2col = plan(&transposed, &options(ConvChoice::Im2col));
    assert_eq!(im2col.algorithm, ConvAlgorithm::Direct);
    assert!(
        im2col.reason.starts_with("im2col asked, but "),
        "{}",
        im2col.reason
    );
}

#[test]
fn wrong_geometries_are_errors_with_numbers() {
    let g = geometry();
    for (wrong, number) in [
        (
            ConvGeometry {
                kernel: [0, 3],
                ..g
            },
            "[0, 3]",
        ),
        (
            ConvGeometry {
                stride: [1, 0],
                ..g
            },
            "[1, 0]",
        ),
        (
            ConvGeometry {
                dilation: [0, 0],
                ..g
            },
            "[0, 0]",
        ),
        (ConvGeometry { groups: 0, ..g }, "0 groups"),
        (ConvGeometry { groups: 3, ..g }, "3 groups"),
        (ConvGeometry { c_in: 0, ..g }, "0"),
        (
            ConvGeometry {
                kernel: [300, 3],
                ..g
            },
            "[300, 3]",
        ),
        (
            ConvGeometry {
                h_in: 1,
                w_in: 1,
                transposed: true,
                padding: [9, 9],
                ..g
            },
            "[9, 9]",
        ),
    ] {
        let e = plan_on(
            &wrong,
            CONSTANT,
            Element::F32,
            &DeviceLimits::minimum(),
            &Options::default(),
        )
        .expect_err("wrong");
        assert_eq!(e.kind, ErrorKind::InvalidBlob, "{wrong:?}");
        assert!(e.message.contains(number), "{}", e.message);
    }
    let huge = ConvGeometry {
        h_in: 1 << 20,
        w_in: 1 << 20,
        ..g
    };
    let e = plan_on(
        &huge,
        CONSTANT,
        Element::F32,
        &DeviceLimits::minimum(),
        &Options::default(),
    )
    .expect_err("huge");
    assert_eq!(e.kind, ErrorKind::Unsupported);
}
