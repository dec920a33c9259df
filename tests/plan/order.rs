//! What rounding depends on.

use super::{any_geometry, any_options, FakeImages, Random, WEIGHTS};
use etvk::core::constraints::Constraints;
use etvk::core::conv::{ConvAlgorithm, ConvGeometry, ConvPlan, Sums, Units};
use etvk::core::device::{DeviceClass, DeviceLimits};
use etvk::core::options::Options;
use etvk::core::tensor::Element;
use etvk::ops::conv2d::plan::{plan_conv2d, Problem};

/// What sets the order of sums, and with it rounding: not where sums lie, not storages. Tiles of other
/// units, or of longer steps, cut K elsewhere.
fn order(plan: &ConvPlan) -> (u32, u32, Option<(Units, u32)>) {
    match plan.algorithm {
        // These two sum alike.
        ConvAlgorithm::Im2col { .. } | ConvAlgorithm::Direct => (0, 1, None),
        ConvAlgorithm::Implicit { tile, sums } => {
            (1, sums.parts(), Some((tile.units, tile.tile_k4)))
        }
        ConvAlgorithm::Pointwise { .. } => (2, 1, None),
        ConvAlgorithm::Depthwise { .. } => (3, 1, None),
        ConvAlgorithm::Winograd { sums, .. } => (4, sums.parts(), None),
    }
}

/// Of few pixels and many inputs, for which matrix units keep patches and sum them in parts.
fn long_sums(random: &mut Random) -> ConvGeometry {
    let mut number = |low, high| u32::try_from(random.int(low, high)).expect("small");
    ConvGeometry {
        n: number(1, 2),
        c_in: number(129, 300),
        c_out: number(20, 80),
        h_in: number(4, 12),
        w_in: number(4, 12),
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
        output_padding: [0, 0],
        transposed: false,
        given: [None; 2],
    }
}

#[test]
fn the_budget_never_sets_the_order_of_sums() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(31_337, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let (mut parted, mut tiled, mut serial) = (0u32, 0u32, 0u32);
    let (mut winograd, mut patches) = (0u32, 0u32);
    for round in 0..40_000 {
        let g = match round % 16 {
            1 => long_sums(&mut random),
            _ => any_geometry(&mut random),
        };
        let options = any_options(&mut random);
        let element = [Element::F32, Element::F16][round % 2];
        let weight = WEIGHTS[usize::try_from(random.int(0, 3)).expect("small")];
        let images = FakeImages::random(&mut random);
        let limits = DeviceLimits {
            class: [DeviceClass::Cpu, DeviceClass::Discrete][random.int(0, 1) as usize],
            image_extents: images.extents(),
            matrix_16x16: random.int(0, 1) == 1,
            ..super::winograd::gpu()
        };
        let more = Options {
            workspace_bytes: any_options(&mut random).workspace_bytes,
            scratch_storage: any_options(&mut random).scratch_storage,
            ..options.clone()
        };
        let plans = [&options, &more].map(|options| {
            let constraints = Constraints::new(options, &limits);
            plan_conv2d(&Problem {
                geometry: &g,
                weight,
                element,
                constraints: &constraints,
                images: &images,
            })
        });
        let [Ok(a), Ok(b)] = plans else {
            continue;
        };
        let what = format!("ETVK_TEST_SEED={seed}, round {round}: {g:?} {options:?} {more:?}");
        assert_eq!(order(&a), order(&b), "{what}");
        winograd += u32::from(matches!(a.algorithm, ConvAlgorithm::Winograd { .. }));
        let ConvAlgorithm::Implicit { tile, sums } = a.algorithm else {
            continue;
        };
        parted += u32::from(sums != Sums::Whole);
        serial += u32::from(matches!(sums, Sums::Serial { .. }));
        patches += u32::from(tile.units == Units::Patches && sums != Sums::Whole);
        if let Sums::Parts { pixels_tile, .. } = sums {
            let all = u64::from(pixels_tile) >= g.pixels_out();
            tiled += u32::from(!all);
            assert!(all || tile.units != Units::Patches, "{what}: {a:?}");
        }
        let beside = matches!(sums, Sums::Parts { .. });
        assert_eq!(beside, a.workspace_bytes > 0, "{what}");
    }
    // The generator must reach each of them.
    assert!(
        parted > 1000 && tiled > 50 && serial > 100 && winograd > 100 && patches > 100,
        "{parted} {tiled} {serial} {winograd} {patches}"
    );
}
