//! When Winograd is chosen, and what its chunks obey.

use super::{budget, geometry, number, Random, CONSTANT};
use etvk::ops::conv2d::plan::{tiles, MAX_TILES};
use etvk::ops::conv2d::{plan_conv2d, ConvAlgorithm, ConvGeometry, ConvPlan, WeightSource};
use etvk::options::{ConvChoice, Options};
use etvk::tensor::{DeviceClass, DeviceLimits, Element};

fn gpu() -> DeviceLimits {
    DeviceLimits {
        class: DeviceClass::Discrete,
        ..DeviceLimits::minimum()
    }
}

fn plan(g: &ConvGeometry, limits: &DeviceLimits, options: &Options) -> ConvPlan {
    plan_conv2d(g, CONSTANT, Element::F32, limits, options).expect("a good geometry")
}

fn is_winograd(plan: &ConvPlan) -> bool {
    matches!(plan.algorithm, ConvAlgorithm::Winograd { .. })
}

#[test]
fn gpus_take_it_for_plain_kernels_of_many_constant_channels() {
    let g = geometry();
    assert!(is_winograd(&plan(&g, &gpu(), &Options::default())));
    for like in [
        ConvGeometry {
            h_in: 1,
            w_in: 2,
            ..g
        },
        ConvGeometry {
            padding: [0, 5],
            ..g
        },
        ConvGeometry {
            n: 3,
            c_in: 33,
            c_out: 70,
            ..g
        },
    ] {
        assert!(
            is_winograd(&plan(&like, &gpu(), &Options::default())),
            "{like:?}"
        );
    }
    for unlike in [
        ConvGeometry { c_in: 31, ..g },
        ConvGeometry { c_out: 31, ..g },
        ConvGeometry {
            stride: [1, 2],
            ..g
        },
        ConvGeometry {
            dilation: [2, 1],
            ..g
        },
        ConvGeometry {
            kernel: [3, 5],
            ..g
        },
        ConvGeometry { groups: 2, ..g },
        ConvGeometry {
            transposed: true,
            ..g
        },
    ] {
        assert!(
            !is_winograd(&plan(&unlike, &gpu(), &Options::default())),
            "{unlike:?}"
        );
    }
    let taken = |weight, element, class| {
        let limits = DeviceLimits { class, ..gpu() };
        let plan = plan_conv2d(&g, weight, element, &limits, &Options::default());
        is_winograd(&plan.expect("a good geometry"))
    };
    let (constant, computed) = (CONSTANT, WeightSource::Computed);
    assert!(taken(constant, Element::F32, DeviceClass::Integrated));
    assert!(!taken(constant, Element::F32, DeviceClass::Cpu));
    assert!(!taken(constant, Element::F16, DeviceClass::Discrete));
    assert!(!taken(computed, Element::F32, DeviceClass::Discrete));
    // Little work even at the largest image: 512 inputs and outputs at 7x7 against 14x14.
    let of = |most_outputs| {
        let g = ConvGeometry {
            c_in: 512,
            c_out: 512,
            ..g
        };
        let weight = WeightSource::Constant { most_outputs };
        let plan = plan_conv2d(&g, weight, Element::F32, &gpu(), &Options::default());
        is_winograd(&plan.expect("a good geometry"))
    };
    assert!(!of(512 * 49) && of(512 * 196));
}

#[test]
fn asked_for_where_it_cannot_be_it_gives_way_and_says_why() {
    let options = Options {
        conv_algorithm: Some(ConvChoice::Winograd),
        ..Options::default()
    };
    let g = geometry();
    let few = ConvGeometry {
        c_in: 1,
        c_out: 2,
        ..g
    };
    let cpu = DeviceLimits {
        class: DeviceClass::Cpu,
        ..gpu()
    };
    assert!(is_winograd(&plan(&few, &cpu, &options)));
    let strided = ConvGeometry {
        stride: [2, 2],
        ..g
    };
    let plan = plan(&strided, &gpu(), &options);
    assert!(!is_winograd(&plan));
    assert!(
        plan.reason
            .starts_with("winograd asked, but not a plain 3x3"),
        "{}",
        plan.reason
    );
}

#[test]
fn chunks() {
    let chunk = |g: &ConvGeometry, workspace_bytes| {
        let plan = plan(g, &gpu(), &budget(workspace_bytes));
        match plan.algorithm {
            ConvAlgorithm::Winograd { tiles } => (tiles, plan.workspace_bytes),
            other => panic!("{other:?}: {}", plan.reason),
        }
    };
    // 32 x 32 tiles, each of 36 * (64 + 64) floats: 18432 bytes.
    let g = geometry();
    assert_eq!(chunk(&g, 16 << 20), (512, 512 * 18_432));
    assert_eq!(chunk(&g, 1024 * 18_432), (1024, 1024 * 18_432));
    assert_eq!(chunk(&g, 16 * 18_432), (16, 16 * 18_432));
    assert_eq!(chunk(&g, 16 * 18_432 - 1), (0, 0));
    assert_eq!(chunk(&g, 0), (0, 0));
    // The last row and column of tiles are ragged; few chunks may be small.
    let small = ConvGeometry {
        h_in: 13,
        w_in: 5,
        ..g
    };
    assert_eq!(chunk(&small, 16 << 20).0, 8);
    assert_eq!(chunk(&small, 3 * 18_432).0, 3);
}

/// Budget and image size never decide whether it is taken; every chunk obeys the budget and the
/// device.
#[test]
fn only_the_weight_decides_and_chunks_stay_within_limits() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(40_111, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let (mut taken, mut chunked, mut serial) = (0u32, 0u32, 0u32);
    for round in 0..40_000 {
        let g = ConvGeometry {
            c_in: number(&mut random, 300),
            c_out: number(&mut random, 300),
            ..geometry()
        };
        let element = [Element::F32, Element::F16][usize::from(random.int(0, 7) == 0)];
        let mut limits = gpu();
        limits.class =
            [DeviceClass::Discrete, DeviceClass::Cpu][usize::from(random.int(0, 7) == 0)];
        limits.max_storage_buffer_range_bytes = 1 << random.int(16, 32);
        limits.storage_buffer_alignment_bytes = 1 << random.int(4, 12);
        let mut first = None;
        for _ in 0..4 {
            let g = ConvGeometry {
                n: number(&mut random, 3),
                h_in: number(&mut random, 300),
                w_in: number(&mut random, 300),
                padding: [number(&mut random, 4), number(&mut random, 4)],
                ..g
            };
            let options = Options {
                workspace_bytes: match random.int(0, 9) {
                    0 => 0,
                    1 => random.bits(),
                    _ => 1 << random.int(12, 30),
                },
                conv_algorithm: [None, Some(ConvChoice::Winograd)][(round % 2) as usize],
                ..Options::default()
            };
            let result = plan_conv2d(&g, CONSTANT, element, &limits, &options);
            let Ok(plan) = result else { continue };
            let what =
                || format!("ETVK_TEST_SEED={seed}, round {round}: {g:?} {options:?} {plan:?}");
            let same = *first.get_or_insert(is_winograd(&plan)) == is_winograd(&plan);
            assert!(same, "{}", what());
            let ConvAlgorithm::Winograd { tiles: chunk } = plan.algorithm else {
                continue;
            };
            taken += 1;
            assert!(
                plan.workspace_bytes <= options.workspace_bytes,
                "{}",
                what()
            );
            assert!(limits.max_workgroup_count[2] >= 36, "{}", what());
            assert_eq!(chunk == 0, plan.workspace_bytes == 0, "{}", what());
            let in_all = u64::from(g.n)
                * u64::from(g.h_out().div_ceil(4))
                * u64::from(g.w_out().div_ceil(4));
            let bytes = |tiles: u64, c: u32| tiles * 144 * u64::from(c).next_multiple_of(4);
            assert!(
                bytes(1, g.c_in) * u64::from(g.c_out).next_multiple_of(4)
                    <= limits.max_storage_buffer_range_bytes,
                "{}",
                what()
            );
            if chunk == 0 {
                serial += 1;
                continue;
            }
            chunked += 1;
            let all = u32::try_from(in_all).expect("an output within 32 bits");
            assert!(tiles(all, chunk).len() as u64 <= MAX_TILES, "{}", what());
            super::covers(all, chunk, &what);
            let [v, m] = [g.c_in, g.c_out].map(|c| bytes(chunk.into(), c));
            assert!(v + m <= plan.workspace_bytes, "{}", what());
            assert!(
                v.max(m) <= limits.max_storage_buffer_range_bytes,
                "{}",
                what()
            );
            assert!(plan.moved_bytes >= 2 * (bytes(in_all, g.c_in) + bytes(in_all, g.c_out)));
        }
    }
    // The generator must reach each of them.
    assert!(
        taken > 5_000 && chunked > 3_000 && serial > 1_000,
        "{taken} {chunked} {serial}"
    );
}
