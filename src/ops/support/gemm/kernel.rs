//! What follows from a GEMM kernel: its workgroups, what it needs of a device.

use crate::core::device::DeviceLimits;
use crate::core::gemm::GemmKernel;
use crate::core::kernels::{gemm_sliced, gemm_tiled};

/// Invocations per workgroup of the register kernel; in a line, because squares of 8x8 and 4x16
/// give wrong blocks on some Adreno drivers.
const REGISTER_LOCAL_SIZE: u32 = 64;

/// Most rows, and columns in fours, of an invocation: registers hold no more sums.
const MAX_THREAD: u32 = 16;

/// Most of a tile along any side, in fours, and of slices.
const MAX_TILE: u32 = 64;

impl GemmKernel {
    /// Why the device cannot run it, or its numbers do not go together.
    pub fn check(self, limits: &DeviceLimits) -> Result<(), String> {
        if !self.is_whole() {
            return Err(format!("no kernel is made for a {self:?}"));
        }
        limits.fits_workgroup(self.local_size(), self.shared_bytes())
    }

    fn is_whole(self) -> bool {
        let few = |n: u32| (1..=MAX_THREAD).contains(&n);
        let some = |n: u32| (1..=MAX_TILE).contains(&n);
        match self {
            Self::Register {
                thread_m,
                thread_n4,
            } => few(thread_m) && few(thread_n4),
            // Slices are added in halves.
            Self::Sliced {
                thread_m,
                columns4,
                slices,
            } => few(thread_m) && some(columns4) && some(slices) && slices.is_power_of_two(),
            Self::Tiled {
                tile_m4,
                tile_n4,
                tile_k4,
                thread_m4,
                thread_n4,
            } => {
                let divides =
                    |tile: u32, thread: u32| some(tile) && few(thread) && tile % thread == 0;
                divides(tile_m4, thread_m4) && divides(tile_n4, thread_n4) && some(tile_k4)
            }
        }
    }

    /// What is numbered along x and y: invocations, or workgroups of the other kernels.
    pub(super) fn lines(self, m: u64, n: u32) -> u64 {
        let columns4 = u64::from(n.div_ceil(4));
        let (rows, columns) = match self {
            Self::Register {
                thread_m,
                thread_n4,
            } => (thread_m, thread_n4),
            Self::Sliced {
                thread_m, columns4, ..
            } => (thread_m, columns4),
            Self::Tiled {
                tile_m4, tile_n4, ..
            } => (tile_m4 * 4, tile_n4),
        };
        m.div_ceil(u64::from(rows))
            .saturating_mul(columns4.div_ceil(u64::from(columns)))
    }

    pub(super) fn lines_per_workgroup(self) -> u32 {
        match self {
            Self::Register { .. } => REGISTER_LOCAL_SIZE,
            Self::Sliced { .. } | Self::Tiled { .. } => 1,
        }
    }

    pub(super) fn local_size(self) -> u32 {
        u32::try_from(self.workgroup()[0]).unwrap_or(u32::MAX)
    }

    fn shared_bytes(self) -> u64 {
        self.workgroup()[1]
    }

    /// Invocations and bytes of shared memory of a workgroup.
    fn workgroup(self) -> [u64; 2] {
        match self {
            Self::Register { .. } => [REGISTER_LOCAL_SIZE.into(), 0],
            Self::Sliced {
                thread_m,
                columns4,
                slices,
            } => {
                let workgroup = gemm_sliced::Workgroup {
                    thread_m,
                    columns4,
                    slices,
                };
                [workgroup.threads(), workgroup.shared_bytes()]
            }
            Self::Tiled {
                tile_m4,
                tile_n4,
                tile_k4,
                thread_m4,
                thread_n4,
            } => {
                let workgroup = gemm_tiled::Workgroup {
                    tile_m4,
                    tile_n4,
                    tile_k4,
                    thread_m4,
                    thread_n4,
                };
                [workgroup.threads(), workgroup.shared_bytes()]
            }
        }
    }
}
