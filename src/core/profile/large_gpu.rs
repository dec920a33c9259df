//! A large discrete GPU.
//!
//! How long a convolution takes was fitted to what an H100 took on 2026-11-26 for 60 layers, each in
//! every tile. It is within a tenth of most of them; tests/bench/README.md has what came of it. Only
//! comparisons count, so that other large GPUs choose well by it too.

use super::costs::{
    DepthwiseCosts, DeviceProfile, GemmCosts, ImplicitCosts, PartCosts, PathRules, RegisterGemm,
    SlicedGemm, TiledGemm, TimedTile, TimedWinogradTile, WinogradCosts,
};
use crate::core::conv::{ImplicitTile, Units, WinogradTile};
use crate::core::gemm::GemmKernel;

pub(super) const LARGE_GPU: DeviceProfile = DeviceProfile {
    name: "large_gpu",
    source: "fitted to an H100, tests/bench/README.md",
    processors: 132,
    paths: PathRules {
        gathers: true,
        // A second dispatch and the barrier before it take microseconds, and so does this much
        // arithmetic done badly.
        gemm_min_macs: 1 << 20,
        direct_max_outputs_per_group: 4,
        // On an H200 the last convolution of DnCNN, 64 -> 1 at 512x512, takes 197 microseconds done
        // directly.
        idle_matrices_min_k: 256,
        gemm_min_grouped_k: 32,
    },
    parts: PartCosts {
        // More were not measured.
        most: 16,
        // Measured on an H200: more than 8 parts of 28x28x256 gain nothing, and two tiles of them
        // take 1.4 times as long as one.
        most_sums_bytes: 4 << 20,
        start_ns: 1500,
        sums_bytes_per_us: 1_430_000,
    },
    implicit: ImplicitCosts {
        invocation_tiles: &INVOCATION_TILES,
        matrix_tiles: &MATRIX_TILES,
        round_k: 64,
        start_ns: 3000,
        turn_ns: 2000,
        patch_turn_ns: 3500,
        alone_ns: 6000,
        most_alone_ns: 1500,
        pipeline_ns: 350,
        // Shorter ones were not measured.
        part_min_k: 128,
        matrix_part_min_k: 512,
        // The largest takes twice as long to compile as the others: 40 ms of MobileNetV2's load, for
        // half a microsecond of a K of 16.
        tall_thread_m: 8,
        patch_max_loads: 12,
        patch_min_channels: 32,
    },
    winograd: WinogradCosts {
        unasked: true,
        min_channels: 32,
        // An implicit GEMM of fewer takes as long with a weight a quarter as large. On an H100 64
        // channels at 56x56, 128 at 28x28, 256 at 14x14 and 512 at 7x7, 2^27 each, take 21
        // microseconds by it; 128 at 56x56 and 256 at 28x28, 2^29, take 1.5 times as long.
        min_macs: 1 << 28,
        // Fewer were not measured.
        part_min_quads: 8,
        tiles: &WINOGRAD_TILES,
    },
    depthwise: DepthwiseCosts {
        // They hide one another's loads. On an H100 7x7 to 112x112 pixels of 32 to 960 channels take
        // up to a third less than with four.
        one_pixel_max_invocations: 1 << 17,
        pixels: 4,
        unrolls: true,
    },
    gemm: GemmCosts {
        register: RegisterGemm {
            tall_min_rows: 4,
            thread_m: 4,
            thread_n4: 1,
        },
        // More rows fill a GPU without slices; a shorter K gives slices too few steps to pay for
        // their sum. On an H200 a linear layer of 1 x 1280 x 1000 takes 70 microseconds without them.
        sliced: Some(SlicedGemm {
            max_rows: 8,
            min_k: 256,
            single: sliced(1),
            several: sliced(4),
        }),
        // Fewer rows leave most of a tile empty.
        tiled: Some(TiledGemm {
            min_rows: 16,
            wide: tiled([32, 16], [2, 2]),
            narrow: tiled([32, 8], [2, 1]),
            small: tiled([8, 16], [1, 1]),
            narrow_columns4: 8,
            enough_workgroups: 128,
        }),
    },
};

/// Measured on an H200 against 128x64 to 256x64, 64x128 and 128x128 pixels by channels: none was faster
/// than the first, which also needs the fewest registers of them.
const INVOCATION_TILES: [TimedTile; 3] = [
    timed(invocations([64, 16, 4], [8, 1]), &[2430, 4000, 5700]),
    timed(invocations([64, 8, 4], [4, 1]), &[1800, 2700, 3800, 4800]),
    timed(
        invocations([32, 8, 4], [4, 1]),
        &[1400, 1500, 2420, 2740, 3530, 3870, 4450, 5050],
    ),
];

/// For fp16. Against them were measured 32 to 128 of K per step, one buffer and two, 4 to 16 subgroups
/// of 16x16 to 64x64 sums: two workgroups of 48 KiB fit a processor of an H100, and what a second buffer
/// gains one is less than what a third workgroup gains.
const MATRIX_TILES: [TimedTile; 11] = [
    timed(patches(2, [128, 32, 8], [4, 4]), &[1110, 1690]),
    timed(patches(1, [128, 16, 16], [4, 2]), &[560, 880]),
    timed(patches(1, [128, 16, 16], [2, 2]), &[480]),
    timed(patches(1, [64, 16, 16], [2, 2]), &[380, 590, 820]),
    timed(patches(2, [64, 16, 8], [2, 2]), &[420, 550, 850, 1130]),
    timed(matrices(2, [128, 32, 8], [4, 4]), &[1250, 2000]),
    timed(matrices(1, [128, 16, 16], [2, 2]), &[730, 1300]),
    timed(matrices(1, [64, 16, 16], [2, 2]), &[500, 760, 1060]),
    timed(matrices(2, [32, 16, 16], [1, 2]), &[330, 540, 735]),
    timed(matrices(1, [128, 8, 8], [2, 2]), &[670, 1100, 1650, 2300]),
    timed(matrices(2, [32, 8, 16], [1, 1]), &[250, 390, 560, 740]),
];

/// The last needs the fewest invocations, and was timed only far enough to know that it is slower than
/// the second. Measured on an H100 against 8x4 tiles, and 2x to 4x as many sums per invocation. The times
/// are fitted to 20 layers of 32 to 512 channels.
const WINOGRAD_TILES: [TimedWinogradTile; 3] = [
    TimedWinogradTile {
        tile: WinogradTile {
            tile_n4: 16,
            thread_n4: 1,
            thread_positions: 3,
            pass_n4: 4,
        },
        start_ns: 12_000,
        quad_ns: 1950,
    },
    TimedWinogradTile {
        tile: WinogradTile {
            tile_n4: 8,
            thread_n4: 2,
            thread_positions: 1,
            pass_n4: 4,
        },
        start_ns: 9200,
        quad_ns: 1300,
    },
    TimedWinogradTile {
        tile: WinogradTile {
            tile_n4: 8,
            thread_n4: 1,
            thread_positions: 3,
            pass_n4: 2,
        },
        start_ns: 12_000,
        quad_ns: 1950,
    },
];

const fn timed(tile: ImplicitTile, round_ns: &'static [u64]) -> TimedTile {
    TimedTile { tile, round_ns }
}

const fn invocations(
    [tile_m, tile_n4, tile_k4]: [u32; 3],
    [thread_m, thread_n4]: [u32; 2],
) -> ImplicitTile {
    ImplicitTile {
        tile_m,
        tile_n4,
        tile_k4,
        thread_m,
        thread_n4,
        units: Units::Invocations,
        buffers: 2,
    }
}

const fn matrices(buffers: u32, tile: [u32; 3], thread: [u32; 2]) -> ImplicitTile {
    ImplicitTile {
        units: Units::Matrices,
        buffers,
        ..invocations(tile, thread)
    }
}

const fn patches(buffers: u32, tile: [u32; 3], thread: [u32; 2]) -> ImplicitTile {
    ImplicitTile {
        units: Units::Patches,
        buffers,
        ..invocations(tile, thread)
    }
}

/// 64 bytes of a row of B at once, and no more invocations than every device has.
const fn sliced(thread_m: u32) -> GemmKernel {
    GemmKernel::Sliced {
        thread_m,
        columns4: 4,
        slices: 32,
    }
}

const fn tiled([tile_m4, tile_n4]: [u32; 2], [thread_m4, thread_n4]: [u32; 2]) -> GemmKernel {
    GemmKernel::Tiled {
        tile_m4,
        tile_n4,
        tile_k4: 4,
        thread_m4,
        thread_n4,
    }
}
