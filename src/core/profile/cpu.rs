//! A driver that runs kernels on the host's cores, as lavapipe does.

use super::costs::{
    DepthwiseCosts, DeviceProfile, GemmCosts, PathRules, RegisterGemm, WinogradCosts,
};
use super::large_gpu::LARGE_GPU;

pub(super) const CPU: DeviceProfile = DeviceProfile {
    name: "cpu",
    source: "measured on lavapipe with AVX2; tiles are a large GPU's and only taken when asked for",
    paths: PathRules {
        // CPUs gather no faster than they copy, and their registers hold the tiles.
        gathers: false,
        ..LARGE_GPU.paths
    },
    winograd: WinogradCosts {
        // Their vectors hold a few channels, and transforms take as many operations as they save.
        unasked: false,
        ..LARGE_GPU.winograd
    },
    depthwise: DepthwiseCosts {
        one_pixel_max_invocations: 0,
        // Unrolled loops compile for long and gain little.
        unrolls: false,
        ..LARGE_GPU.depthwise
    },
    gemm: GemmCosts {
        // A CPU has no shared memory to gain from, and its loads are what is slow: each serves as
        // many sums as registers hold. Of 1x1 to 16x4 this was fastest on lavapipe (AVX2), twice as
        // fast as 2x1; larger tiles spill and take seconds to compile.
        register: RegisterGemm {
            tall_min_rows: 8,
            thread_m: 8,
            thread_n4: 2,
        },
        sliced: None,
        tiled: None,
    },
    ..LARGE_GPU
};
