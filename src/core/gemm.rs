//! The kernels of matrix products as data. `ops::support::gemm` says what follows from them.

use std::fmt;

/// A GEMM kernel and its specialization. Numbers that end in 4 count groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GemmKernel {
    /// `gemm_register.comp`: no shared memory.
    Register {
        /// Rows of one invocation.
        thread_m: u32,
        /// Its columns.
        thread_n4: u32,
    },
    /// `gemm_sliced.comp`: K in slices side by side, which sets rounding.
    Sliced {
        /// Rows of one workgroup, and of each of its invocations.
        thread_m: u32,
        /// Its columns in fours.
        columns4: u32,
        /// Slices of K.
        slices: u32,
    },
    /// `gemm_tiled.comp`: tiles in shared memory.
    Tiled {
        /// Rows of one workgroup.
        tile_m4: u32,
        /// Its columns.
        tile_n4: u32,
        /// Steps of K in shared memory.
        tile_k4: u32,
        /// Rows of one invocation.
        thread_m4: u32,
        /// Its columns.
        thread_n4: u32,
    },
}

impl fmt::Display for GemmKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let four = |n: u32| u64::from(n) * 4;
        match *self {
            Self::Register {
                thread_m,
                thread_n4,
            } => write!(f, "register GEMM of {thread_m}x{}", four(thread_n4)),
            Self::Sliced {
                thread_m, slices, ..
            } => write!(f, "GEMM of {thread_m} rows in {slices} slices of K"),
            Self::Tiled {
                tile_m4, tile_n4, ..
            } => write!(f, "tiled GEMM of {}x{}", four(tile_m4), four(tile_n4)),
        }
    }
}
