//! When Winograd is chosen, and in how many parts.

use super::{budget, geometry, number, plan_on, Random, CONSTANT};
use etvk::core::conv::{ConvAlgorithm, ConvGeometry, ConvPlan, Sums, WeightSource};
use etvk::core::device::{DeviceClass, DeviceLimits};
use etvk::core::options::{ConvChoice, Options};
use etvk::core::tensor::Element;

/// A device that its workgroups fit.
pub(super) fn gpu() -> DeviceLimits {
    DeviceLimits {
        class: DeviceClass::Discrete,
        max_workgroup_invocations: 1024,
        max_workgroup_size: [1024, 1024, 64],
        max_shared_memory_bytes: 48 << 10,
        ..DeviceLimits::minimum()
    }
}

fn plan(g: &ConvGeometry, limits: &DeviceLimits, options: &Options) -> ConvPlan {
    plan_on(g, CONSTANT, Element::F32, limits, options).expect("a good geometry")
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
        let plan = plan_on(&g, weight, element, &limits, &Options::default());
        is_winograd(&plan.expect("a good geometry"))
    };
    let (constant, computed) = (CONSTANT, WeightSource::Computed);
    assert!(taken(constant, Element::F32, DeviceClass::Discrete));
    assert!(!taken(constant, Element::F32, DeviceClass::Integrated));
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
        let plan = plan_on(&g, weight, Element::F32, &gpu(), &Options::default());
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
    let small = DeviceLimits {
        max_workgroup_invocations: 128,
        ..gpu()
    };
    for (g, limits, why) in [
        (strided, gpu(), "winograd asked, but not a plain 3x3"),
        (g, small, "winograd asked, but its workgroups exceed"),
    ] {
        let plan = plan(&g, &limits, &options);
        assert!(!is_winograd(&plan));
        assert!(plan.reason.starts_with(why), "{}", plan.reason);
    }
}

/// Parts fill an H100, and their sums stay within 4 MiB: the layers of tests/bench/README.md.
#[test]
fn parts() {
    let of = |channels, size, workspace_bytes| {
        let g = ConvGeometry {
            c_in: channels,
            c_out: channels,
            h_in: size,
            w_in: size,
            ..geometry()
        };
        let plan = plan(&g, &gpu(), &budget(workspace_bytes));
        match plan.algorithm {
            ConvAlgorithm::Winograd { sums, .. } => (
                sums.parts(),
                !matches!(sums, Sums::Serial { .. }),
                plan.workspace_bytes,
            ),
            other => panic!("{other:?}: {}", plan.reason),
        }
    };
    let sums = |channels: u64, size: u64| 4 * channels * size * size;
    let (d, e, f) = (sums(128, 56), sums(256, 28), sums(512, 14));
    for budget in [16 << 20, 4 << 20] {
        assert_eq!(of(64, 256, budget), (1, true, 0));
        assert_eq!(of(256, 128, budget), (1, true, 0));
        assert_eq!(of(128, 56, budget), (2, true, 2 * d));
        assert_eq!(of(256, 28, budget), (4, true, 4 * e));
        assert_eq!(of(512, 14, budget), (8, true, 8 * f));
    }
    assert_eq!(of(128, 56, 2 * d), (2, true, 2 * d));
    assert_eq!(of(128, 56, 2 * d - 1), (2, false, 0));
    assert_eq!(of(64, 256, 0), (1, true, 0));
}

/// Budget and image size never decide whether it is taken; sums obey the budget and the device.
#[test]
fn only_the_weight_decides_and_sums_stay_within_limits() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(40_111, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let (mut taken, mut together, mut in_turn) = (0u32, 0u32, 0u32);
    for round in 0..40_000 {
        let g = ConvGeometry {
            c_in: number(&mut random, 600),
            c_out: number(&mut random, 300),
            ..geometry()
        };
        let element = [Element::F32, Element::F16][usize::from(random.int(0, 7) == 0)];
        let mut limits = gpu();
        limits.class =
            [DeviceClass::Discrete, DeviceClass::Cpu][usize::from(random.int(0, 7) == 0)];
        limits.max_storage_buffer_range_bytes = 1 << random.int(16, 32);
        limits.max_workgroup_invocations = 64 << random.int(0, 4);
        limits.max_shared_memory_bytes = (16 << 10) << random.int(0, 2);
        let mut first = None;
        for _ in 0..4 {
            let g = ConvGeometry {
                n: number(&mut random, 3),
                h_in: number(&mut random, 100),
                w_in: number(&mut random, 100),
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
            let result = plan_on(&g, CONSTANT, element, &limits, &options);
            let Ok(plan) = result else { continue };
            let what =
                || format!("ETVK_TEST_SEED={seed}, round {round}: {g:?} {options:?} {plan:?}");
            let same = *first.get_or_insert(is_winograd(&plan)) == is_winograd(&plan);
            assert!(same, "{}", what());
            let used = plan.workspace_bytes;
            assert!(used <= options.workspace_bytes, "{}", what());
            let algorithm = plan.algorithm;
            let ConvAlgorithm::Winograd { sums, .. } = algorithm else {
                continue;
            };
            let parts = sums.parts();
            let beside = !matches!(sums, Sums::Serial { .. });
            taken += 1;
            let quads = u64::from(g.c_in).div_ceil(4);
            let per_part = quads.div_ceil(parts.into());
            assert!(u64::from(parts - 1) * per_part < quads, "empty: {}", what());
            assert!(parts <= limits.max_workgroup_count[2], "{}", what());
            let row = u64::from(g.c_out).next_multiple_of(4);
            let bytes = 4 * u64::from(parts) * row * g.pixels_out();
            match parts > 1 && beside {
                true => assert!(used >= bytes, "{}", what()),
                false => assert_eq!(used, 0, "{}", what()),
            }
            assert!(used <= limits.max_storage_buffer_range_bytes, "{}", what());
            assert!(parts == 1 || bytes <= (4 << 20) + 256, "{}", what());
            together += u32::from(parts > 1 && beside);
            in_turn += u32::from(parts > 1 && !beside);
        }
    }
    // The generator must reach each of them.
    assert!(
        taken > 5_000 && together > 500 && in_turn > 500,
        "{taken} {together} {in_turn}"
    );
}
