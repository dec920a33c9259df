//! More plans that are none: columns, products, depthwise and Winograd.

use super::refused::{bench, half, sums_bytes, Bench};
use super::winograd::gpu;
use super::FakeImages;
use etvk::core::conv::{ConvAlgorithm, DepthwiseTile, Sums, WeightSource, WinogradTile};
use etvk::core::device::{DeviceLimits, NoImages};
use etvk::core::gemm::GemmKernel;
use etvk::core::image::{ImageDimensions, ImageShape};
use etvk::core::tensor::Element;

const REGISTER: GemmKernel = GemmKernel::Register {
    thread_m: 4,
    thread_n4: 1,
};

const TILED: GemmKernel = GemmKernel::Tiled {
    tile_m4: 32,
    tile_n4: 16,
    tile_k4: 4,
    thread_m4: 2,
    thread_n4: 2,
};

/// GEMM kernels that no convolution runs.
fn bad_kernels() -> Vec<(GemmKernel, &'static str)> {
    let register = |thread_m, thread_n4| GemmKernel::Register {
        thread_m,
        thread_n4,
    };
    let tiled = |[tile_m4, tile_n4, tile_k4]: [u32; 3], [thread_m4, thread_n4]: [u32; 2]| {
        GemmKernel::Tiled {
            tile_m4,
            tile_n4,
            tile_k4,
            thread_m4,
            thread_n4,
        }
    };
    let no = "no kernel is made for";
    vec![
        (register(0, 1), no),
        (register(1, 0), no),
        (register(u32::MAX, 1), no),
        (tiled([0, 16, 4], [2, 2]), no),
        (tiled([32, 0, 4], [2, 2]), no),
        (tiled([32, 16, 0], [2, 2]), no),
        (tiled([32, 16, 4], [0, 2]), no),
        (tiled([32, 16, 4], [2, 0]), no),
        (tiled([32, 16, 4], [3, 2]), no),
        (tiled([32, 16, 4], [2, 5]), no),
        (
            tiled([64, 64, 4], [1, 1]),
            "a workgroup of 4096 invocations",
        ),
        (tiled([64, 64, 32], [8, 8]), "bytes of shared memory"),
        (
            GemmKernel::Sliced {
                thread_m: 1,
                columns4: 4,
                slices: 32,
            },
            "a convolution's K is not sliced",
        ),
    ]
}

#[test]
fn columns() {
    let im2col = |h_out_tile, w_out_tile, image| ConvAlgorithm::Im2col {
        kernel: TILED,
        h_out_tile,
        w_out_tile,
        image,
    };
    let bytes = |h: u64, w: u64| h * w * 576 * 4;
    let b = bench();
    for (h, w) in [(20, 30), (7, 30), (1, 30), (1, 7), (1, 1)] {
        let needs = bytes(h.into(), w.into());
        b.obeys(im2col(h, w, None), needs);
        b.refuses(im2col(h, w, None), needs - 1, "of a workspace of");
    }
    for (h, w, why) in [
        (0, 30, "a tile of 0x30"),
        (1, 0, "a tile of 1x0"),
        (21, 30, "a tile of 21x30 of 20x30"),
        (1, 31, "a tile of 1x31 of 20x30"),
        (2, 10, "is not contiguous"),
        (20, 29, "is not contiguous"),
        (u32::MAX, u32::MAX, "a tile of"),
    ] {
        b.refuses(im2col(h, w, None), 1 << 20, why);
    }
    let large = bench().with(|g| (g.h_in, g.w_in) = (64, 64));
    large.refuses(
        im2col(1, 1, None),
        bytes(1, 1),
        "4096 tiles, more than 2048",
    );
    let transposed = bench().with(|g| g.transposed = true);
    transposed.refuses(im2col(1, 30, None), bytes(1, 30), "transposed");
    for (kernel, why) in bad_kernels() {
        let algorithm = ConvAlgorithm::Im2col {
            kernel,
            h_out_tile: 20,
            w_out_tile: 30,
            image: None,
        };
        b.refuses(algorithm, bytes(20, 30), why);
    }
}

#[test]
fn columns_in_images() {
    use ImageDimensions::{Three, Two};
    let images = FakeImages::roomy();
    let b = Bench {
        limits: DeviceLimits {
            image_extents: images.extents(),
            ..gpu()
        },
        images: &images,
        ..bench()
    };
    let image = |dimensions, extent| ImageShape {
        dimensions,
        extent,
        element: Element::F32,
    };
    let of = |image| ConvAlgorithm::Im2col {
        kernel: REGISTER,
        h_out_tile: 5,
        w_out_tile: 30,
        image: Some(image),
    };
    let bytes = 5 * 30 * 576 * 4;
    let (flat, deep) = (image(Two, [144, 150, 1]), image(Three, [144, 30, 5]));
    for good in [flat, deep] {
        b.obeys(of(good), bytes);
        b.refuses(of(good), bytes - 1, "of a workspace of");
    }
    for bad in [
        image(Two, [143, 150, 1]),
        image(Two, [144, 149, 1]),
        image(Two, [144, 150, 2]),
        image(Two, [144, 30, 5]),
        image(Three, [144, 30, 4]),
        image(Three, [144, 150, 1]),
        image(Three, [576, 30, 5]),
        ImageShape {
            element: Element::F16,
            ..flat
        },
    ] {
        b.refuses(of(bad), 1 << 20, "columns in");
    }
    let none = Bench {
        images: &NoImages,
        ..bench()
    };
    none.refuses(of(flat), bytes, "the device has no images of F32");
    let mut narrow = FakeImages::roomy();
    narrow.narrow_to(149, 29);
    let narrow = Bench {
        limits: DeviceLimits {
            image_extents: narrow.extents(),
            ..gpu()
        },
        images: &images,
        ..bench()
    };
    narrow.refuses(of(flat), bytes, "exceeds the extents");
    narrow.refuses(of(deep), bytes, "exceeds the extents");
}

#[test]
fn other_paths() {
    let b = bench();
    b.obeys(ConvAlgorithm::Direct, 0);
    b.refuses(
        ConvAlgorithm::Direct,
        1,
        "write 0 bytes of a workspace of 1",
    );
    let one = || bench().with(|g| (g.kernel, g.padding) = ([1, 1], [0, 0]));
    let pointwise = ConvAlgorithm::Pointwise { kernel: TILED };
    one().obeys(pointwise, 0);
    one().refuses(pointwise, 256, "write 0 bytes");
    b.refuses(pointwise, 0, "not a plain 1x1");
    one()
        .with(|g| g.stride = [2, 1])
        .refuses(pointwise, 0, "not a plain 1x1");
    one()
        .with(|g| g.padding = [0, 1])
        .refuses(pointwise, 0, "not a plain 1x1");
    for (kernel, why) in bad_kernels() {
        one().refuses(ConvAlgorithm::Pointwise { kernel }, 0, why);
    }
    let each = || bench().with(|g| g.groups = 64);
    let depthwise = |pixels, unrolled| ConvAlgorithm::Depthwise {
        tile: DepthwiseTile { pixels, unrolled },
    };
    for (pixels, unrolled) in [(1, false), (4, true), (3, true), (8, false)] {
        each().obeys(depthwise(pixels, unrolled), 0);
    }
    let equal = "groups, inputs and outputs are not equal";
    b.refuses(depthwise(4, false), 0, equal);
    each()
        .with(|g| g.c_out = 128)
        .refuses(depthwise(4, false), 0, equal);
    each().refuses(depthwise(0, false), 0, "no kernel is made for");
    each().refuses(depthwise(9, true), 0, "no kernel is made for");
    let no = "no code is unrolled for";
    each()
        .with(|g| g.dilation = [1, 2])
        .refuses(depthwise(4, true), 0, no);
    each()
        .with(|g| g.kernel = [3, 4])
        .refuses(depthwise(4, true), 0, no);
    each()
        .with(|g| g.stride = [1, 3])
        .refuses(depthwise(4, true), 0, no);
}

#[test]
fn winograd() {
    const TILE: WinogradTile = WinogradTile {
        tile_n4: 8,
        thread_n4: 2,
        thread_positions: 1,
        pass_n4: 4,
    };
    let winograd = |tile, sums| ConvAlgorithm::Winograd { tile, sums };
    let whole = winograd(TILE, Sums::Whole);
    let b = bench();
    b.obeys(whole, 0);
    let plain = "not a plain 3x3 of stride 1";
    bench().with(|g| g.kernel = [3, 5]).refuses(whole, 0, plain);
    bench().with(|g| g.stride = [2, 1]).refuses(whole, 0, plain);
    bench()
        .with(|g| g.dilation = [1, 2])
        .refuses(whole, 0, plain);
    bench().with(|g| g.groups = 2).refuses(whole, 0, plain);
    bench()
        .with(|g| g.transposed = true)
        .refuses(whole, 0, plain);
    let computed = Bench {
        weight: WeightSource::Computed,
        ..bench()
    };
    computed.refuses(whole, 0, "its weight is computed");
    half().refuses(whole, 0, "fp16 would not hold its transforms");
    for tile in [
        WinogradTile { tile_n4: 0, ..TILE },
        WinogradTile {
            thread_n4: 0,
            ..TILE
        },
        WinogradTile {
            thread_positions: 0,
            ..TILE
        },
        WinogradTile { pass_n4: 0, ..TILE },
        WinogradTile {
            thread_positions: 5,
            ..TILE
        },
        WinogradTile { pass_n4: 3, ..TILE },
        WinogradTile {
            thread_n4: 3,
            ..TILE
        },
        WinogradTile {
            tile_n4: u32::MAX,
            ..TILE
        },
    ] {
        b.refuses(winograd(tile, Sums::Whole), 0, "no kernel is made for");
    }
    let small = Bench {
        limits: DeviceLimits::minimum(),
        ..bench()
    };
    small.refuses(whole, 0, "invocations, the device allows 128");
    // 16 quads of inputs.
    for parts in [0, 1, 15, 17] {
        let why = format!("16 steps of K cannot be cut into {parts} parts");
        b.refuses(winograd(TILE, Sums::Serial { parts }), 0, &why);
    }
    b.obeys(winograd(TILE, Sums::Serial { parts: 16 }), 0);
    let parts = |pixels_tile| {
        winograd(
            TILE,
            Sums::Parts {
                parts: 2,
                pixels_tile,
            },
        )
    };
    b.obeys(parts(600), sums_bytes(2, 600));
    b.refuses(parts(600), sums_bytes(2, 600) - 4, "of a workspace of");
    b.refuses(
        parts(599),
        sums_bytes(2, 600),
        "all 600 pixels are computed",
    );
    let flat = Bench {
        limits: DeviceLimits {
            max_workgroup_count: [65_535, 65_535, 1],
            ..gpu()
        },
        ..bench()
    };
    flat.refuses(parts(600), sums_bytes(2, 600), "2 parts side by side");
}
