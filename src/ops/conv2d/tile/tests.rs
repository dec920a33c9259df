//! Choices, over sizes from usual to absurd.

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
        given: [None; 2],
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
                let threads = tile.local_size(&g);
                assert!(threads <= limits.max_workgroup_invocations, "{tile:?}");
                assert!(tile.workgroup(&g).shared_bytes <= limits.max_shared_memory_bytes.into());
                // Every invocation loads equally many fours, or eights for matrices.
                let (lane, loads) = match tile.units {
                    Units::Invocations => (1, 1),
                    Units::Matrices | Units::Patches => (2, 2),
                };
                assert_eq!(threads % (tile.tile_k4 / lane), 0, "{tile:?}");
                let (a, b) = (tile.tile_m * tile.tile_k4, tile.tile_k4 * 4 * tile.tile_n4);
                if tile.units != Units::Patches {
                    assert_eq!(a % (threads * loads), 0, "{tile:?}");
                }
                assert_eq!(b % (threads * loads), 0, "{tile:?}");
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
    let chosen = |c_in, c_out, size, kernel| {
        let g = geometry(c_in, c_out, size, kernel);
        let (tile, parts) = Tile::choose(&g, Element::F16, &limits);
        (tile.units, tile.tile_m, tile.tile_n4 * 4, parts)
    };
    use Units::{Matrices, Patches};
    assert_eq!(chosen(64, 64, 256, 3), (Patches, 128, 64, 1));
    assert_eq!(chosen(64, 128, 256, 3), (Patches, 128, 128, 1));
    assert_eq!(chosen(128, 128, 56, 3), (Patches, 64, 64, 1));
    assert_eq!(chosen(256, 256, 28, 3), (Patches, 128, 64, 4));
    assert_eq!(chosen(512, 512, 14, 3), (Patches, 128, 64, 8));
    assert_eq!(chosen(256, 256, 128, 3), (Patches, 128, 128, 1));
    assert_eq!(chosen(256, 64, 56, 1), (Matrices, 32, 32, 1));
    assert_eq!(chosen(512, 2048, 7, 1), (Matrices, 32, 32, 1));
    assert_eq!(chosen(32, 64, 112, 5), (Patches, 64, 64, 1));
    assert_eq!(chosen(256, 128, 100, 3), (Patches, 64, 64, 1));
    assert_eq!(chosen(32, 32, 256, 3), (Matrices, 128, 32, 1));
    assert_eq!(chosen(100, 100, 101, 3), (Patches, 64, 64, 1));
}

/// Sizes come from untrusted programs: the largest that pass validation, and beyond.
#[test]
fn no_size_overflows() {
    let limits = with_matrices(1024);
    let most = u32::MAX;
    for (kernel, dilation) in [(3, most), (most, 1), (most, most), (5, 1 << 20), (2, 7)] {
        for (c_in, c_out, size) in [(64, 64, 64), (most, most, most), (33, 1, most)] {
            let g = ConvGeometry {
                n: size,
                dilation: [dilation; 2],
                padding: [dilation.min(1 << 20); 2],
                ..geometry(c_in, c_out, size, kernel)
            };
            for element in [Element::F32, Element::F16] {
                let (tile, parts) = Tile::choose(&g, element, &limits);
                assert!(parts >= 1);
                assert!(tile.workgroup(&g).shared_bytes <= limits.max_shared_memory_bytes.into());
            }
        }
    }
}

#[test]
fn long_sums_of_few_outputs_are_cut() {
    let limits = DeviceLimits::minimum();
    let parts = |g: &ConvGeometry| Tile::choose(g, Element::F32, &limits).1;
    assert!(parts(&geometry(512, 512, 14, 3)) > 4);
    assert_eq!(parts(&geometry(64, 64, 256, 3)), 1);
    assert_eq!(parts(&geometry(256, 64, 56, 1)), 1);
}
