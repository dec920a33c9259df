//! What each class of device takes for which convolution: rules, and for a large GPU what was measured.

use super::winograd::gpu;
use super::{geometry, plan_on, CONSTANT};
use etvk::core::conv::{ConvAlgorithm, ConvGeometry, DepthwiseTile, Units};
use etvk::core::device::{DeviceClass, DeviceLimits};
use etvk::core::gemm::GemmKernel;
use etvk::core::options::Options;
use etvk::core::tensor::Element::{self, F16, F32};

const GPUS: [DeviceClass; 4] = [
    DeviceClass::Discrete,
    DeviceClass::Integrated,
    DeviceClass::Virtual,
    DeviceClass::Other,
];

/// What is planned, without what follows from times.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    Direct,
    Pointwise(Kernel),
    /// Pixels of an invocation, and whether it is unrolled.
    Depthwise(u32, bool),
    /// Rows and columns of a tile.
    Im2col(u32, u32, Kernel),
    /// Parts of K.
    Gather(u32),
    Matrices(u32),
    Patches(u32),
    Winograd(u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    /// Rows and columns of an invocation.
    Register(u32, u32),
    /// Of a workgroup.
    Tiled(u32, u32),
}

fn path(algorithm: ConvAlgorithm) -> Path {
    let of = |kernel| match kernel {
        GemmKernel::Register {
            thread_m,
            thread_n4,
        } => Kernel::Register(thread_m, 4 * thread_n4),
        GemmKernel::Tiled {
            tile_m4, tile_n4, ..
        } => Kernel::Tiled(4 * tile_m4, 4 * tile_n4),
        GemmKernel::Sliced { .. } => panic!("a convolution in slices"),
    };
    match algorithm {
        ConvAlgorithm::Direct => Path::Direct,
        ConvAlgorithm::Pointwise { kernel } => Path::Pointwise(of(kernel)),
        ConvAlgorithm::Depthwise {
            tile: DepthwiseTile { pixels, unrolled },
        } => Path::Depthwise(pixels, unrolled),
        ConvAlgorithm::Im2col {
            kernel,
            h_out_tile,
            w_out_tile,
            ..
        } => Path::Im2col(h_out_tile, w_out_tile, of(kernel)),
        ConvAlgorithm::Implicit { tile, sums } => match tile.units {
            Units::Invocations => Path::Gather(sums.parts()),
            Units::Matrices => Path::Matrices(sums.parts()),
            Units::Patches => Path::Patches(sums.parts()),
        },
        ConvAlgorithm::Winograd { sums, .. } => Path::Winograd(sums.parts()),
    }
}

fn planned(g: &ConvGeometry, element: Element, class: DeviceClass, matrices: bool) -> Path {
    let limits = DeviceLimits {
        class,
        matrix_16x16: matrices,
        ..gpu()
    };
    let plan = plan_on(g, CONSTANT, element, &limits, &Options::default());
    path(plan.expect("a good geometry").algorithm)
}

fn layer(c_in: u32, c_out: u32, size: u32, kernel: u32) -> ConvGeometry {
    ConvGeometry {
        c_in,
        c_out,
        h_in: size,
        w_in: size,
        kernel: [kernel; 2],
        padding: [kernel / 2; 2],
        ..geometry()
    }
}

fn strided(g: ConvGeometry, stride: u32) -> ConvGeometry {
    ConvGeometry {
        stride: [stride; 2],
        ..g
    }
}

fn dilated(g: ConvGeometry, dilation: u32) -> ConvGeometry {
    ConvGeometry {
        dilation: [dilation; 2],
        padding: [dilation; 2],
        ..g
    }
}

fn grouped(g: ConvGeometry, groups: u32) -> ConvGeometry {
    ConvGeometry { groups, ..g }
}

/// The layers a to n of tests/bench/README.md and what it says they are done by, on an H100; d in fp16 by
/// patches, as the later build does it.
#[test]
fn a_large_gpu_takes_what_was_measured() {
    use Path::{Depthwise, Gather, Matrices, Patches, Winograd};
    for (name, g, fp32, fp16) in [
        ("a", layer(64, 64, 256, 3), Winograd(1), Patches(1)),
        ("b", layer(64, 128, 256, 3), Winograd(1), Patches(1)),
        ("c", layer(64, 64, 512, 3), Winograd(1), Patches(1)),
        ("d", layer(128, 128, 56, 3), Winograd(2), Patches(1)),
        ("e", layer(256, 256, 28, 3), Winograd(4), Patches(4)),
        ("f", layer(512, 512, 14, 3), Winograd(8), Patches(8)),
        ("g", layer(256, 256, 128, 3), Winograd(1), Patches(1)),
        (
            "h",
            strided(layer(3, 64, 224, 7), 2),
            Gather(1),
            Matrices(1),
        ),
        ("i", layer(256, 64, 56, 1), Gather(1), Matrices(1)),
        ("j", layer(512, 2048, 7, 1), Gather(4), Matrices(1)),
        (
            "k",
            grouped(layer(144, 144, 56, 3), 144),
            Depthwise(1, true),
            Depthwise(1, true),
        ),
        (
            "l",
            strided(layer(128, 256, 56, 3), 2),
            Gather(5),
            Matrices(1),
        ),
        ("m", layer(32, 64, 112, 5), Gather(1), Patches(1)),
        (
            "n",
            dilated(layer(256, 256, 32, 3), 2),
            Gather(4),
            Patches(4),
        ),
    ] {
        for (element, want) in [(F32, fp32), (F16, fp16)] {
            let got = planned(&g, element, DeviceClass::Discrete, true);
            assert_eq!(got, want, "{name} in {element:?}");
        }
        // Without matrix units fp16 is gathered, but where it is no GEMM.
        let without = planned(&g, F16, DeviceClass::Discrete, false);
        let gathered = matches!(without, Gather(_) | Depthwise(..));
        assert!(gathered, "{name}: {without:?}");
    }
}

/// GPUs that were not measured gather by the large one's tiles, and never take Winograd unasked.
#[test]
fn every_gpu_gathers() {
    use Path::{Depthwise, Direct, Gather};
    let gathers = [
        layer(64, 64, 128, 3),
        layer(256, 64, 56, 1),
        strided(layer(3, 64, 224, 7), 2),
        dilated(layer(256, 256, 32, 3), 2),
        grouped(layer(64, 64, 128, 3), 4),
        ConvGeometry {
            h_in: 1,
            kernel: [1, 3],
            padding: [0, 1],
            ..layer(64, 64, 512, 3)
        },
    ];
    for class in GPUS {
        for g in &gathers {
            let got = planned(g, F32, class, false);
            let winograd = class == DeviceClass::Discrete && matches!(got, Path::Winograd(_));
            assert!(
                winograd || matches!(got, Gather(_)),
                "{class:?}: {got:?} for {g:?}"
            );
            let half = planned(g, F16, class, true);
            let by_matrices = matches!(half, Path::Matrices(_) | Path::Patches(_));
            assert!(by_matrices, "{class:?}: {half:?} for {g:?}");
        }
        // 1: of few invocations where there are many processors.
        let pixels = |few| match class {
            DeviceClass::Discrete if few => 1,
            _ => 4,
        };
        for (g, want) in [
            (
                grouped(layer(144, 144, 56, 3), 144),
                Depthwise(pixels(true), true),
            ),
            (
                grouped(layer(96, 96, 112, 5), 96),
                Depthwise(pixels(false), true),
            ),
            (
                grouped(layer(24, 24, 40, 7), 24),
                Depthwise(pixels(true), false),
            ),
            (
                dilated(grouped(layer(48, 48, 9, 3), 48), 2),
                Depthwise(pixels(true), false),
            ),
            (layer(64, 3, 128, 3), Direct),
            (layer(30, 64, 4, 3), Direct),
            (grouped(layer(64, 128, 128, 3), 64), Direct),
            (
                ConvGeometry {
                    transposed: true,
                    ..layer(64, 64, 128, 3)
                },
                Direct,
            ),
            // Groups that share quads of outputs.
            (
                grouped(layer(30, 30, 200, 3), 3),
                Path::Im2col(50, 200, Kernel::Tiled(128, 32)),
            ),
        ] {
            assert_eq!(planned(&g, F32, class, false), want, "{class:?}: {g:?}");
        }
    }
    // Idle matrix units outrun the direct kernel.
    let last = layer(64, 1, 512, 3);
    assert_eq!(
        planned(&last, F16, DeviceClass::Discrete, true),
        Path::Matrices(1)
    );
    assert_eq!(planned(&last, F16, DeviceClass::Discrete, false), Direct);
}

#[test]
fn a_cpu_builds_columns() {
    use Path::{Depthwise, Direct, Im2col, Pointwise};
    let g = geometry();
    let wide = Kernel::Register(8, 8);
    for (g, want) in [
        // 256 rows in 10 tiles of 25 or 26, not nine of 28 and one of 4.
        (layer(64, 64, 256, 3), Im2col(26, 256, wide)),
        (g, Im2col(43, 128, wide)),
        (ConvGeometry { n: 3, ..g }, Im2col(43, 128, wide)),
        (dilated(g, 2), Im2col(43, 128, wide)),
        // One row of 4096 columns does not fit: 2 * 4096 * 9 * 512 * 4 bytes.
        (
            ConvGeometry {
                c_in: 512,
                h_in: 2,
                w_in: 4096,
                ..g
            },
            Im2col(1, 820, wide),
        ),
        (
            ConvGeometry {
                c_in: 3,
                kernel: [7, 7],
                stride: [2, 2],
                ..g
            },
            Im2col(62, 62, wide),
        ),
        (ConvGeometry { c_in: 1, ..g }, Im2col(128, 128, wide)),
        (
            ConvGeometry {
                h_in: 1,
                kernel: [1, 3],
                padding: [0, 1],
                ..g
            },
            Im2col(1, 128, wide),
        ),
        // Few columns are one quad of an invocation.
        (
            ConvGeometry {
                c_in: 512,
                c_out: 8,
                groups: 2,
                ..g
            },
            Direct,
        ),
        (
            ConvGeometry {
                c_in: 512,
                c_out: 16,
                groups: 2,
                ..g
            },
            Im2col(7, 128, wide),
        ),
        (layer(64, 64, 128, 1), Pointwise(wide)),
        (grouped(layer(64, 64, 128, 1), 4), Pointwise(wide)),
        (
            ConvGeometry {
                padding: [0, 0],
                ..strided(layer(64, 64, 128, 1), 2)
            },
            Im2col(64, 64, wide),
        ),
        (grouped(g, 64), Depthwise(4, false)),
        (
            ConvGeometry {
                c_out: 128,
                ..grouped(g, 64)
            },
            Direct,
        ),
        (grouped(g, 4), Im2col(43, 128, wide)),
        (ConvGeometry { c_out: 3, ..g }, Direct),
        (layer(64, 64, 4, 3), Direct),
        (
            ConvGeometry {
                transposed: true,
                ..g
            },
            Direct,
        ),
    ] {
        assert_eq!(planned(&g, F32, DeviceClass::Cpu, false), want, "{g:?}");
    }
}
