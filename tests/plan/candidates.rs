//! Every plan that may be obeyed becomes a program, on every kind of device, matrix units included.

use super::blob::{Conv, GraphBuilder};
use super::random::Random;
use super::winograd::gpu;
use super::{any_geometry, lowered, FakeImages, CONSTANT};
use etvk::core::constraints::Constraints;
use etvk::core::conv::{ConvAlgorithm, ConvGeometry, ConvPlan, Sums, Units, WeightSource};
use etvk::core::device::{DeviceClass, DeviceLimits};
use etvk::core::gemm::GemmKernel;
use etvk::core::graph::{ConstantSource, Graph};
use etvk::core::options::Options;
use etvk::core::profile::PROFILES;
use etvk::core::tensor::{DType, Element};
use etvk::ops::conv2d::plan::{candidates, check};
use std::collections::BTreeSet;

/// A graph of one convolution, whose constants have no bytes: planning reads none.
pub(super) fn graph(g: &ConvGeometry, element: Element, weight: WeightSource) -> Graph {
    let mut graph = GraphBuilder::new();
    let dtype = match element {
        Element::F16 => DType::F16,
        _ => DType::F32,
    };
    let x = graph.input(dtype, &[g.n, g.c_in, g.h_in, g.w_in]);
    let [kh, kw] = g.kernel;
    let dims = match g.transposed {
        true => [g.c_in, g.group_out(), kh, kw],
        false => [g.c_out, g.group_in(), kh, kw],
    };
    let weight = match weight {
        WeightSource::Computed => graph.input(dtype, &dims),
        WeightSource::Constant { .. } => {
            let size_bytes = dims.iter().map(|&d| d as usize).product::<usize>();
            let size_bytes = size_bytes * dtype.size_bytes() as usize;
            let source = ConstantSource::Inline {
                offset_bytes: 0,
                size_bytes,
            };
            graph.constant_from(dtype, &dims, source)
        }
    };
    let conv = Conv {
        stride: g.stride,
        padding: g.padding,
        dilation: g.dilation,
        output_padding: g.output_padding,
        groups: g.groups,
        transposed: g.transposed,
        clamp: None,
    };
    let y = graph.conv2d(x, weight, None, &conv);
    graph.output(y);
    graph.graph
}

/// What tells plans apart, but for sizes: kernel, tile, and how it sums or where columns lie.
fn kind(plan: &ConvPlan) -> String {
    let how = |sums| match sums {
        Sums::Whole => "whole",
        Sums::Serial { .. } => "serial",
        Sums::Parts { .. } => "parts",
    };
    match plan.algorithm {
        ConvAlgorithm::Im2col { kernel, image, .. } => {
            format!("im2col {kernel} {:?}", image.map(|image| image.dimensions))
        }
        ConvAlgorithm::Implicit { tile, sums } => format!("{tile:?} {}", how(sums)),
        ConvAlgorithm::Winograd { tile, sums } => format!("{tile:?} {}", how(sums)),
        other => other.to_string(),
    }
}

/// How many kinds there are on a device that can run all.
fn all_kinds() -> usize {
    let mut tiles = BTreeSet::new();
    let (mut winograd, mut depthwise) = (BTreeSet::new(), BTreeSet::new());
    let mut kernels = BTreeSet::new();
    for profile in &PROFILES {
        let implicit = profile.implicit;
        let timed = implicit
            .invocation_tiles
            .iter()
            .chain(implicit.matrix_tiles);
        tiles.extend(timed.map(|timed| format!("{:?}", timed.tile)));
        let timed = profile.winograd.tiles.iter();
        winograd.extend(timed.map(|timed| format!("{:?}", timed.tile)));
        depthwise.extend([1, profile.depthwise.pixels]);
        let register = profile.gemm.register;
        for thread_m in [1, register.thread_m] {
            let of = |thread_n4| GemmKernel::Register {
                thread_m,
                thread_n4,
            };
            kernels.extend((1..=register.thread_n4).map(|n4| of(n4).to_string()));
        }
        if let Some(tiled) = profile.gemm.tiled {
            kernels.extend([tiled.wide, tiled.narrow, tiled.small].map(|k| k.to_string()));
        }
    }
    // Direct; two forms of depthwise; pointwise and three storages; three ways to sum.
    1 + 2 * depthwise.len() + 4 * kernels.len() + 3 * (tiles.len() + winograd.len())
}

fn any_limits(random: &mut Random, images: &FakeImages) -> DeviceLimits {
    let large = DeviceLimits {
        storage_16bit: true,
        matrix_16x16: random.int(0, 1) == 1,
        max_storage_buffer_range_bytes: 1 << random.int(27, 32),
        image_extents: images.extents(),
        ..gpu()
    };
    let class = [
        DeviceClass::Discrete,
        DeviceClass::Integrated,
        DeviceClass::Cpu,
    ][random.int(0, 2) as usize];
    match random.int(0, 3) {
        0 => DeviceLimits {
            class,
            storage_16bit: true,
            image_extents: images.extents(),
            ..DeviceLimits::minimum()
        },
        _ => DeviceLimits { class, ..large },
    }
}

/// Shapes that every path can take, and any others.
fn some_geometry(random: &mut Random) -> ConvGeometry {
    let mut number = |low, high| u32::try_from(random.int(low, high)).expect("small");
    let groups = [1, 1, 2, 4][number(0, 3) as usize];
    let depthwise = number(0, 5) == 0;
    let c = number(2, 60);
    let kernel = [[1, 1], [3, 3], [5, 5], [2, 3]][number(0, 3) as usize];
    let plain = ConvGeometry {
        n: number(1, 2),
        c_in: if depthwise { c } else { groups * number(1, 90) },
        c_out: if depthwise {
            c
        } else {
            groups * 4 * number(1, 20)
        },
        h_in: number(5, 20),
        w_in: number(5, 20),
        kernel,
        stride: [[1, 1], [1, 2]][number(0, 1) as usize],
        padding: if kernel == [1, 1] { [0, 0] } else { [1, 1] },
        dilation: [1, 1],
        output_padding: [0, 0],
        groups: if depthwise { c } else { groups },
        transposed: false,
        given: [None; 2],
    };
    match number(0, 4) {
        0 => any_geometry(random),
        _ => plain,
    }
}

#[test]
fn every_candidate_becomes_a_program() {
    let seed = std::env::var("ETVK_TEST_SEED").map_or(90_210, |s| s.parse().expect("a number"));
    let mut random = Random::new(seed);
    let mut kinds = BTreeSet::new();
    let (mut programs, mut round) = (0, 0);
    while round < 400 {
        let mut g = some_geometry(&mut random);
        if !g.transposed {
            g.output_padding = [0, 0];
        }
        if g.validate().is_err() || g.elements_in().max(g.elements_weight()) > 1 << 22 {
            continue;
        }
        round += 1;
        let images = FakeImages::random(&mut random);
        let limits = any_limits(&mut random, &images);
        let element = [Element::F32, Element::F16][random.int(0, 1) as usize];
        let options = Options {
            workspace_bytes: 1 << random.int(10, 26),
            ..Options::default()
        };
        let constraints = Constraints::new(&options, &limits);
        let weight = match random.int(0, 3) {
            0 => WeightSource::Computed,
            _ => CONSTANT,
        };
        let graph = graph(&g, element, weight);
        let what = format!("ETVK_TEST_SEED={seed}, round {round}: {g:?} {element:?} {options:?}");
        let mut plans = Vec::new();
        let _ = lowered::convolution(&graph, &constraints, &images, &mut |problem| {
            assert_eq!(*problem.geometry, g, "{what}");
            plans = candidates(problem)?;
            assert!(
                plans.iter().all(|plan| check(problem, plan) == Ok(())),
                "{what}"
            );
            Ok(plans[0].clone())
        })
        .unwrap_or_else(|e| panic!("{what}: {e}"));
        for (at, plan) in plans.iter().enumerate() {
            let again = plans[..at]
                .iter()
                .any(|other| other.algorithm == plan.algorithm);
            assert!(!again, "twice: {plan:?} {what}");
            let program =
                lowered::convolution(&graph, &constraints, &images, &mut |_| Ok(plan.clone()))
                    .unwrap_or_else(|e| panic!("{plan:?}: {e}, {what}"));
            assert_eq!(
                program.workspace_bytes(),
                plan.workspace_bytes,
                "{plan:?} {what}"
            );
            assert!(
                plan.workspace_bytes <= options.workspace_bytes,
                "{plan:?} {what}"
            );
            assert_eq!(program.convolutions[0].algorithm, plan.algorithm);
            kinds.insert(kind(plan));
            programs += 1;
        }
    }
    println!("{programs} programs of {} kinds", kinds.len());
    assert_eq!(kinds.len(), all_kinds(), "{kinds:#?}");
}

#[test]
fn no_budget_leaves_only_what_needs_none() {
    let images = FakeImages::random(&mut Random::new(3));
    let limits = DeviceLimits {
        image_extents: images.extents(),
        ..gpu()
    };
    let options = Options {
        workspace_bytes: 0,
        ..Options::default()
    };
    let constraints = Constraints::new(&options, &limits);
    let g = super::geometry();
    let graph = graph(&g, Element::F32, CONSTANT);
    let mut units = BTreeSet::new();
    lowered::convolution(&graph, &constraints, &images, &mut |problem| {
        let plans = candidates(problem)?;
        for plan in &plans {
            assert_eq!(plan.workspace_bytes, 0, "{plan:?}");
            if let ConvAlgorithm::Implicit { tile, .. } = plan.algorithm {
                units.insert(tile.units == Units::Invocations);
            }
        }
        Ok(plans[0].clone())
    })
    .expect("a plan");
    assert_eq!(units.into_iter().collect::<Vec<_>>(), [true]);
}
