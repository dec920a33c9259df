//! Which GEMM kernel, with which tiles. The choice must not depend on how a product is cut into
//! parts: callers pass the rows of all parts.

use super::product::Gemm;
use crate::core::device::{DeviceClass, DeviceLimits};
use crate::core::kernels::{gemm_sliced, gemm_tiled};

/// A GEMM kernel and its specialization. Numbers that end in 4 count groups of four.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    /// `gemm_register.comp`.
    Register { thread_m: u32, thread_n4: u32 },
    /// `gemm_sliced.comp`.
    Sliced(gemm_sliced::Workgroup),
    /// `gemm_tiled.comp`.
    Tiled(gemm_tiled::Workgroup),
}

/// Invocations per workgroup of the register kernel; in a line, because squares of 8x8 and 4x16
/// give wrong blocks on some Adreno drivers.
const REGISTER_LOCAL_SIZE: u32 = 64;

/// Columns in fours of a workgroup of the sliced kernel, 64 bytes of a row of B at once, and slices of
/// K: together no more invocations than every device has.
const SLICED_COLUMNS4: u32 = 4;
const SLICES: u32 = 32;

/// More rows than this fill a GPU without slices.
const SLICED_MAX_ROWS: u64 = 8;

/// A shorter K gives slices too few steps to pay for their sum.
const SLICED_MIN_K: u64 = 256;

/// Steps of K per shared-memory tile, in fours.
const TILE_K4: u32 = 4;

/// Fewer rows than this leave most of a shared-memory tile empty.
const TILED_MIN_ROWS: u64 = 16;

/// With fewer workgroups than this a large GPU stands half empty: smaller tiles, more of them.
const ENOUGH_WORKGROUPS: u64 = 128;

impl Kernel {
    /// The kernel that cuts K, where that is allowed and pays. On an H200 a linear layer of
    /// 1 x 1280 x 1000 takes 70 microseconds without it.
    pub(super) fn sliced(limits: &DeviceLimits, gemm: &Gemm<'_>) -> Option<Self> {
        let few = gemm.rows_in_all <= SLICED_MAX_ROWS && gemm.k >= SLICED_MIN_K;
        let pays = gemm.sliced && few && limits.class != DeviceClass::Cpu;
        pays.then_some(Self::Sliced(gemm_sliced::Workgroup {
            thread_m: if gemm.rows_in_all == 1 { 1 } else { 4 },
            columns4: SLICED_COLUMNS4,
            slices: SLICES,
        }))
    }

    pub(super) fn choose(limits: &DeviceLimits, rows: u64, n: u32, batch: u32) -> Self {
        let columns4 = n.div_ceil(4);
        // A CPU has no shared memory to gain from, and its loads are what is slow: each serves as
        // many sums as registers hold. Of 1x1 to 16x4 this was fastest on lavapipe (AVX2), twice
        // as fast as 2x1; larger tiles spill and take seconds to compile.
        let on_cpu = Self::Register {
            thread_m: if rows < 8 { 1 } else { 8 },
            thread_n4: columns4.clamp(1, 2),
        };
        if limits.class == DeviceClass::Cpu {
            return on_cpu;
        }
        if rows < TILED_MIN_ROWS {
            return Self::Register {
                thread_m: if rows < 4 { 1 } else { 4 },
                thread_n4: 1,
            };
        }
        let tiled = |tile_m4, tile_n4, thread_m4, thread_n4| {
            Self::Tiled(gemm_tiled::Workgroup {
                tile_m4,
                tile_n4,
                tile_k4: TILE_K4,
                thread_m4,
                thread_n4,
            })
        };
        let wide = tiled(32, 16, 2, 2);
        let narrow = tiled(32, 8, 2, 1);
        let small = tiled(8, 16, 1, 1);
        let groups = |kernel: Self| kernel.lines(rows, n).saturating_mul(u64::from(batch));
        let best = if columns4 > 8 && groups(wide) >= ENOUGH_WORKGROUPS {
            wide
        } else if columns4 <= 8 && groups(narrow) >= ENOUGH_WORKGROUPS {
            narrow
        } else {
            small
        };
        [best, small]
            .into_iter()
            .find(|kernel| {
                kernel.local_size() <= limits.max_workgroup_invocations
                    && kernel.local_size() <= limits.max_workgroup_size[0]
                    && kernel.shared_bytes() <= limits.max_shared_memory_bytes.into()
            })
            .unwrap_or(on_cpu)
    }

    /// What is numbered along x and y: invocations, or workgroups of the tiled kernel.
    pub(super) fn lines(self, m: u64, n: u32) -> u64 {
        let columns4 = u64::from(n.div_ceil(4));
        let (rows, columns) = match self {
            Self::Register {
                thread_m,
                thread_n4,
            } => (thread_m, thread_n4),
            Self::Sliced(tile) => (tile.thread_m, tile.columns4),
            Self::Tiled(tile) => (tile.tile_m4 * 4, tile.tile_n4),
        };
        m.div_ceil(u64::from(rows))
            .saturating_mul(columns4.div_ceil(u64::from(columns)))
    }

    pub(super) fn lines_per_workgroup(self) -> u32 {
        match self {
            Self::Register { .. } => REGISTER_LOCAL_SIZE,
            Self::Sliced(_) | Self::Tiled(_) => 1,
        }
    }

    pub(super) fn local_size(self) -> u32 {
        let threads = match self {
            Self::Register { .. } => return REGISTER_LOCAL_SIZE,
            Self::Sliced(tile) => tile.threads(),
            Self::Tiled(tile) => tile.threads(),
        };
        u32::try_from(threads).unwrap_or(u32::MAX)
    }

    fn shared_bytes(self) -> u64 {
        match self {
            Self::Register { .. } => 0,
            Self::Sliced(tile) => tile.shared_bytes(),
            Self::Tiled(tile) => tile.shared_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_fits_the_least_device() {
        let mut limits = DeviceLimits::minimum();
        for class in [DeviceClass::Discrete, DeviceClass::Cpu, DeviceClass::Other] {
            limits.class = class;
            for rows in [1, 3, 15, 16, 49, 127, 128, 129, 4096, 1 << 24] {
                for n in [1, 4, 5, 16, 31, 32, 33, 64, 130, 2048] {
                    let kernel = Kernel::choose(&limits, rows, n, 1);
                    assert!(
                        kernel.local_size() <= limits.max_workgroup_invocations,
                        "{kernel:?}"
                    );
                    assert!(
                        kernel.shared_bytes() <= limits.max_shared_memory_bytes.into(),
                        "{kernel:?}"
                    );
                    let lines = kernel.lines(rows, n) * u64::from(kernel.lines_per_workgroup());
                    assert!(lines > 0 && lines < 1 << 40);
                }
            }
        }
    }
}
