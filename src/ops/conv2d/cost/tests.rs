//! What the cost model promises whatever its numbers, and what was measured, which it must get right.
//! tests/bench/README.md is the source of every measured time here: microseconds on an H100.

use super::*;
use crate::core::device::{DeviceClass, DeviceLimits};
use crate::core::tensor::Element::{self, F16, F32};

fn large_gpu() -> &'static DeviceProfile {
    DeviceProfile::of(&DeviceLimits {
        class: DeviceClass::Discrete,
        ..DeviceLimits::minimum()
    })
}

fn layer(c_in: u32, c_out: u32, size: u32, kernel: u32) -> ConvGeometry {
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
        given: [None; 2],
    }
}

/// The least predicted time by tiles that `which` takes, in `parts` of K or any number of them.
fn best_ns(
    g: &ConvGeometry,
    element: Element,
    parts: Option<u64>,
    which: &dyn Fn(ImplicitTile) -> bool,
) -> u64 {
    let profile = large_gpu();
    let tiles = match element {
        F16 => profile.implicit.matrix_tiles,
        _ => profile.implicit.invocation_tiles,
    };
    let tiles = tiles
        .iter()
        .filter(|timed| which(timed.tile) && suits(timed.tile, g, profile));
    let times = tiles.flat_map(|timed| {
        let choices = implicit_parts(timed.tile, g, profile);
        let asked = choices.filter(|&choice| parts.is_none_or(|parts| parts == choice));
        asked.map(|parts| implicit_ns(timed, g, parts, profile))
    });
    times.min().expect("a tile suits")
}

/// The layers of the first table that an implicit GEMM does, and 128 -> 128 at 56x56 in fp16 by the later
/// build.
fn measured() -> Vec<(ConvGeometry, Element, f64)> {
    let strided = |g: ConvGeometry, stride| ConvGeometry {
        stride: [stride; 2],
        ..g
    };
    let [h, i, j, l, m] = [
        strided(layer(3, 64, 224, 7), 2),
        layer(256, 64, 56, 1),
        layer(512, 2048, 7, 1),
        strided(layer(128, 256, 56, 3), 2),
        layer(32, 64, 112, 5),
    ];
    let n = ConvGeometry {
        dilation: [2; 2],
        padding: [2; 2],
        ..layer(256, 256, 32, 3)
    };
    vec![
        (h, F32, 15.5),
        (i, F32, 12.1),
        (j, F32, 14.2),
        (l, F32, 25.0),
        (m, F32, 54.0),
        (n, F32, 46.0),
        (layer(64, 64, 256, 3), F16, 30.0),
        (layer(64, 128, 256, 3), F16, 49.0),
        (layer(64, 64, 512, 3), F16, 101.0),
        (layer(128, 128, 56, 3), F16, 14.5),
        (layer(256, 256, 28, 3), F16, 14.3),
        (layer(512, 512, 14, 3), F16, 14.3),
        (layer(256, 256, 128, 3), F16, 68.0),
        (h, F16, 9.7),
        (i, F16, 6.9),
        (j, F16, 7.5),
        (l, F16, 12.7),
        (m, F16, 14.2),
        (n, F16, 14.8),
    ]
}

#[test]
fn predictions_are_near_what_was_measured() {
    for (g, element, us) in measured() {
        let predicted_us = best_ns(&g, element, None, &|_| true) as f64 / 1e3;
        println!(
            "{predicted_us:.1} of {us}: {element:?} {} -> {}",
            g.c_in, g.c_out
        );
        let ratio = predicted_us / us;
        assert!(
            (0.75..1.3).contains(&ratio),
            "{predicted_us:.1} where {us} were measured: {element:?} {g:?}"
        );
    }
}

/// What was slower when it was measured is predicted to be slower.
#[test]
fn rankings_are_as_measured() {
    let patches = |tile: ImplicitTile| tile.units == Units::Patches;
    let matrices = |tile: ImplicitTile| tile.units == Units::Matrices;
    // "A patch of the image in shared memory": 80 -> 68, 118 -> 101, 16.4 -> 14.2, and 15.5 -> 14.5.
    for g in [
        layer(256, 256, 128, 3),
        layer(64, 64, 512, 3),
        layer(32, 64, 112, 5),
        layer(128, 128, 56, 3),
    ] {
        let [a, b] = [
            best_ns(&g, F16, None, &patches),
            best_ns(&g, F16, None, &matrices),
        ];
        assert!(a < b, "{a} by patches, {b} without: {g:?}");
    }
    // "A tile of 128x32 for up to 32 outputs": 23 -> 15.7, 17 -> 11, 39 -> 28.
    let narrow = |tile: ImplicitTile| matrices(tile) && [tile.tile_m, tile.tile_n4] == [128, 8];
    let wide = |tile: ImplicitTile| matrices(tile) && tile.tile_n4 >= 16;
    for (c_in, c_out) in [(32, 32), (16, 16), (64, 12)] {
        let g = layer(c_in, c_out, 256, 3);
        let profile = large_gpu();
        let of = |which: &dyn Fn(ImplicitTile) -> bool| {
            let tiles = profile.implicit.matrix_tiles.iter();
            let tiles = tiles.filter(|timed| which(timed.tile));
            tiles.map(|timed| implicit_ns(timed, &g, 1, profile)).min()
        };
        assert!(of(&narrow) < of(&wide), "{g:?}");
    }
    // "128x128 tiles": 256 -> 256 at 128x128 104 -> 76, 64 -> 128 at 256x256 62 -> 46.
    let [large, middle] = [32, 16].map(|n4| {
        move |tile: ImplicitTile| matrices(tile) && [tile.tile_m, tile.tile_n4] == [128, n4]
    });
    for g in [layer(256, 256, 128, 3), layer(64, 128, 256, 3)] {
        assert!(
            best_ns(&g, F16, None, &large) < best_ns(&g, F16, None, &middle),
            "{g:?}"
        );
    }
}

/// The first table has these layers in parts: without, they fill a part of the device.
#[test]
fn parts_pay_where_they_were_measured() {
    let any = |_: ImplicitTile| true;
    let l = ConvGeometry {
        stride: [2; 2],
        ..layer(128, 256, 56, 3)
    };
    for (g, element, parts) in [
        (layer(512, 2048, 7, 1), F32, 4),
        (l, F32, 5),
        (layer(256, 256, 32, 3), F32, 4),
        (layer(256, 256, 28, 3), F16, 4),
        (layer(512, 512, 14, 3), F16, 8),
    ] {
        let [one, many] = [1, parts].map(|parts| best_ns(&g, element, Some(parts), &any));
        assert!(many < one, "{many} in {parts} parts, {one} in one: {g:?}");
    }
    for (g, element) in [
        (layer(64, 64, 256, 3), F16),
        (layer(256, 64, 56, 1), F32),
        (layer(32, 64, 112, 5), F32),
    ] {
        let [one, best] = [Some(1), None].map(|parts| best_ns(&g, element, parts, &any));
        assert_eq!(one, best, "{g:?}");
    }
}

/// More of K never takes less time; nor do more images, but for first loads, which more subgroups hide.
#[test]
fn more_work_takes_no_less() {
    let profile = large_gpu();
    let costs = &profile.implicit;
    for timed in costs.invocation_tiles.iter().chain(costs.matrix_tiles) {
        for size in [1, 5, 14, 56, 130, 512] {
            for (c_in, c_out, kernel) in [(1, 1, 1), (30, 40, 3), (64, 64, 3), (512, 512, 1)] {
                let g = layer(c_in, c_out, size, kernel);
                let deeper = ConvGeometry {
                    c_in: c_in + 64,
                    ..g
                };
                let many = ConvGeometry { n: 2, ..g };
                for parts in 1..4 {
                    let ns = |g: &ConvGeometry| implicit_ns(timed, g, parts, profile);
                    // What comes in eights is loaded twice as fast.
                    if eights(&deeper) == eights(&g) {
                        assert!(ns(&deeper) >= ns(&g), "{timed:?} {g:?}");
                    }
                    assert!(ns(&many) + costs.most_alone_ns >= ns(&g), "{timed:?} {g:?}");
                }
            }
        }
    }
    for timed in profile.winograd.tiles {
        for size in [1, 14, 56, 256] {
            let g = layer(64, 64, size, 3);
            let ns = |g: &ConvGeometry| winograd_ns(timed, g, 2, profile);
            assert!(
                ns(&ConvGeometry { c_in: 80, ..g }) >= ns(&g),
                "{timed:?} {g:?}"
            );
            assert!(ns(&ConvGeometry { n: 3, ..g }) >= ns(&g), "{timed:?} {g:?}");
        }
    }
}

#[test]
fn parts_are_even_and_none_is_empty() {
    for steps in 0..70u64 {
        for most in 0..20 {
            let found: Vec<u64> = even_parts(steps, most).collect();
            let wanted: Vec<u64> = (1..=most.clamp(1, steps.max(1)))
                .filter(|parts| {
                    let each = steps.max(1).div_ceil(*parts);
                    (parts - 1) * each < steps.max(1)
                })
                .collect();
            assert_eq!(found, wanted, "{steps} steps, at most {most}");
        }
    }
}

/// Sizes come from untrusted programs: the largest that pass validation, and beyond.
#[test]
fn no_size_overflows() {
    let (most, profile) = (u32::MAX, large_gpu());
    let limits = DeviceLimits {
        matrix_16x16: true,
        ..DeviceLimits::minimum()
    };
    for (kernel, dilation) in [(3, most), (most, 1), (most, most), (5, 1 << 20), (2, 7)] {
        for (c_in, c_out, size) in [(64, 64, 64), (most, most, most), (33, 1, most)] {
            let g = ConvGeometry {
                n: size,
                dilation: [dilation; 2],
                padding: [dilation.min(1 << 20); 2],
                ..layer(c_in, c_out, size, kernel.min(1 << 31))
            };
            let costs = &profile.implicit;
            for timed in costs.invocation_tiles.iter().chain(costs.matrix_tiles) {
                let _ = timed.tile.check(&g, F16, &limits);
                let _ = suits(timed.tile, &g, profile);
                for parts in implicit_parts(timed.tile, &g, profile) {
                    assert!(implicit_ns(timed, &g, parts, profile) > 0);
                }
            }
            for timed in profile.winograd.tiles {
                assert!(winograd_ns(timed, &g, 16, profile) > 0);
            }
        }
    }
}
