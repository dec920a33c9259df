//! Which GEMM kernel, with which tiles. The choice must not depend on how a product is cut into
//! parts: it is made for the whole product.

use crate::core::constraints::Constraints;
use crate::core::device::DeviceLimits;
use crate::core::gemm::GemmKernel;
use crate::core::profile::{GemmCosts, SlicedGemm, TiledGemm, PROFILES};

/// Sizes of a whole product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GemmSizes {
    /// Rows of A and C.
    pub rows: u64,
    /// Columns of B and C.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u64,
    /// Number of matrices.
    pub batch: u32,
    /// Whether K may be summed in slices: then results depend on the choice of kernel.
    pub sliced: bool,
}

impl GemmSizes {
    /// The kernel that suits the device.
    pub fn plan(&self, constraints: &Constraints) -> GemmKernel {
        let costs = &constraints.profile.gemm;
        let sliced = costs.sliced.and_then(|sliced| self.sliced_kernel(sliced));
        let tiled = costs.tiled.map(|tiled| self.tiled_kernels(&tiled));
        sliced
            .into_iter()
            .chain(tiled.into_iter().flatten().flatten())
            .find(|kernel| kernel.check(&constraints.limits).is_ok())
            .unwrap_or_else(|| self.register_kernel(costs))
    }

    fn columns4(&self) -> u32 {
        self.n.div_ceil(4)
    }

    fn register_kernel(&self, costs: &GemmCosts) -> GemmKernel {
        let register = costs.register;
        GemmKernel::Register {
            thread_m: match self.rows < register.tall_min_rows {
                true => 1,
                false => register.thread_m,
            },
            thread_n4: self.columns4().clamp(1, register.thread_n4),
        }
    }

    fn sliced_kernel(&self, sliced: SlicedGemm) -> Option<GemmKernel> {
        let pays = self.sliced && self.rows <= sliced.max_rows && self.k >= sliced.min_k;
        pays.then_some(match self.rows {
            0 | 1 => sliced.single,
            _ => sliced.several,
        })
    }

    /// The tile that suits the sizes, then one that most devices have room for.
    fn tiled_kernels(&self, tiled: &TiledGemm) -> [Option<GemmKernel>; 2] {
        if self.rows < tiled.min_rows {
            return [None; 2];
        }
        let large = match self.columns4() <= tiled.narrow_columns4 {
            true => tiled.narrow,
            false => tiled.wide,
        };
        let groups = large.lines(self.rows, self.n);
        let enough = groups.saturating_mul(self.batch.into()) >= tiled.enough_workgroups;
        [enough.then_some(large), Some(tiled.small)]
    }
}

/// Every kernel that a profile may take and a device with `limits` can run, each once.
pub fn kernels(limits: &DeviceLimits) -> Vec<GemmKernel> {
    let mut all = Vec::new();
    for costs in PROFILES.iter().map(|profile| profile.gemm) {
        let register = costs.register;
        for thread_m in [1, register.thread_m] {
            for thread_n4 in 1..=register.thread_n4 {
                all.push(GemmKernel::Register {
                    thread_m,
                    thread_n4,
                });
            }
        }
        if let Some(sliced) = costs.sliced {
            all.extend([sliced.single, sliced.several]);
        }
        if let Some(tiled) = costs.tiled {
            all.extend([tiled.wide, tiled.narrow, tiled.small]);
        }
    }
    let mut distinct = Vec::new();
    for kernel in all {
        if kernel.check(limits).is_ok() && !distinct.contains(&kernel) {
            distinct.push(kernel);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::device::DeviceClass;
    use crate::core::options::Options;

    #[test]
    fn every_choice_fits_the_least_device() {
        let mut limits = DeviceLimits::minimum();
        for class in [DeviceClass::Discrete, DeviceClass::Cpu, DeviceClass::Other] {
            limits.class = class;
            let constraints = Constraints::new(&Options::default(), &limits);
            for rows in [1, 3, 8, 15, 16, 49, 127, 128, 129, 4096, 1 << 24] {
                for n in [1, 4, 5, 16, 31, 32, 33, 64, 130, 2048] {
                    for (k, sliced) in [(9, true), (256, true), (4096, true), (4096, false)] {
                        let sizes = GemmSizes {
                            rows,
                            n,
                            k,
                            batch: 1,
                            sliced,
                        };
                        let kernel = sizes.plan(&constraints);
                        assert_eq!(kernel.check(&limits), Ok(()), "{sizes:?}");
                        let cut = matches!(kernel, GemmKernel::Sliced { .. });
                        assert!(sliced || !cut, "{sizes:?}: {kernel:?}");
                        let lines = kernel.lines(rows, n) * u64::from(kernel.lines_per_workgroup());
                        assert!(lines > 0 && lines < 1 << 40);
                    }
                }
            }
        }
    }
}
