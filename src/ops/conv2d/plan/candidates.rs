//! Every plan that may be obeyed: each kernel in each tile that a profile has and the device can run,
//! each number of parts, each place of their sums, each storage of columns. For tests, which run them
//! all, and for whoever measures before choosing.

use super::check::check;
use super::choose::plan_conv2d;
use super::planner::Planner;
use super::problem::Problem;
use crate::base::error::Result;
use crate::core::conv::{
    ConvAlgorithm, ConvPlan, DepthwiseTile, ImplicitTile, Sums, Units, WinogradTile,
};
use crate::core::gemm::GemmKernel;
use crate::core::image::ImageDimensions;
use crate::core::profile::{DeviceProfile, PROFILES};
use crate::ops::conv2d::cost::even_parts;
use crate::ops::conv2d::tiles::quads;
use crate::ops::support::gemm;

/// The plans for `problem`: what the planner chooses, then all others, whatever paths or storages the
/// constraints ask for. The budget holds.
pub fn candidates(problem: &Problem<'_>) -> Result<Vec<ConvPlan>> {
    let mut plans = vec![plan_conv2d(problem)?];
    let mut algorithms = vec![ConvAlgorithm::Direct];
    algorithms.extend(depthwise_tiles().map(|tile| ConvAlgorithm::Depthwise { tile }));
    let kernels = gemm::kernels(&problem.constraints.limits);
    algorithms.extend(
        kernels
            .iter()
            .map(|&kernel| ConvAlgorithm::Pointwise { kernel }),
    );
    algorithms.extend(problem.im2cols(&kernels)?);
    algorithms.extend(problem.implicits());
    algorithms.extend(problem.winograds());
    for algorithm in algorithms {
        if algorithm == plans[0].algorithm {
            continue;
        }
        let reason = format!("a candidate: {algorithm}");
        // What overflows or cannot be made is no candidate.
        let Ok(plan) = problem.plan_of(algorithm, reason) else {
            continue;
        };
        if check(problem, &plan).is_ok() {
            plans.push(plan);
        }
    }
    Ok(plans)
}

/// The different ones of what all profiles have.
fn of_profiles<T: PartialEq>(of: impl Fn(&DeviceProfile) -> Vec<T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in PROFILES.iter().flat_map(of) {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

/// Every tile of the implicit GEMM.
pub(super) fn implicit_tiles() -> Vec<ImplicitTile> {
    of_profiles(|profile| {
        let costs = profile.implicit;
        let tiles = costs.invocation_tiles.iter().chain(costs.matrix_tiles);
        tiles.map(|timed| timed.tile).collect()
    })
}

fn winograd_tiles() -> Vec<WinogradTile> {
    of_profiles(|profile| {
        profile
            .winograd
            .tiles
            .iter()
            .map(|timed| timed.tile)
            .collect()
    })
}

fn depthwise_tiles() -> impl Iterator<Item = DepthwiseTile> {
    let pixels = of_profiles(|profile| vec![1, profile.depthwise.pixels]);
    pixels
        .into_iter()
        .flat_map(|pixels| [false, true].map(|unrolled| DepthwiseTile { pixels, unrolled }))
}

/// Every number of parts that `steps` may be cut into, and every place of their sums: `tiles` are the
/// numbers of tiles of the output.
fn all_sums(pixels: u64, steps: u64, tiles: &[u64]) -> Vec<Sums> {
    let most = of_profiles(|profile| vec![profile.parts.most]);
    let most = most.into_iter().max().unwrap_or(1);
    let mut all = vec![Sums::Whole];
    for parts in even_parts(steps, most).filter(|&parts| parts > 1) {
        let Ok(parts) = u32::try_from(parts) else {
            continue;
        };
        all.push(Sums::Serial { parts });
        for &count in tiles.iter().filter(|&&count| count <= pixels) {
            if let Ok(pixels_tile) = u32::try_from(pixels.div_ceil(count)) {
                all.push(Sums::Parts { parts, pixels_tile });
            }
        }
    }
    all
}

impl Problem<'_> {
    fn implicits(&self) -> Vec<ConvAlgorithm> {
        let g = self.geometry;
        let mut all = Vec::new();
        for tile in implicit_tiles() {
            let tiles: &[u64] = match tile.units {
                Units::Invocations | Units::Matrices => &[1, 2, 5],
                Units::Patches => &[1],
            };
            let sums = all_sums(g.pixels_out(), tile.steps(g), tiles);
            all.extend(
                sums.into_iter()
                    .map(|sums| ConvAlgorithm::Implicit { tile, sums }),
            );
        }
        all
    }

    fn winograds(&self) -> Vec<ConvAlgorithm> {
        let g = self.geometry;
        let sums = all_sums(g.pixels_out(), quads(g.c_in), &[1]);
        let of = |tile| {
            let sums = sums.iter();
            sums.map(move |&sums| ConvAlgorithm::Winograd { tile, sums })
        };
        winograd_tiles().into_iter().flat_map(of).collect()
    }

    /// Of each storage the largest tile that the budget holds, half of its rows, one row and a part of
    /// one.
    fn im2cols(&self, kernels: &[GemmKernel]) -> Result<Vec<ConvAlgorithm>> {
        let (planner, w_out) = (Planner::new(self), self.geometry.w_out());
        let storages = [
            None,
            Some(ImageDimensions::Two),
            Some(ImageDimensions::Three),
        ];
        let mut all = Vec::new();
        for storage in storages {
            let tiling = match storage {
                None => planner.buffer_tiling(),
                Some(dimensions) => planner.image_tiling(dimensions),
            };
            let Ok(tiling) = tiling else { continue };
            let (h, w) = (tiling.h_out_tile, tiling.w_out_tile);
            let mut tiles = vec![[h, w], [h.div_ceil(2), w], [1, w], [1, w_out.div_ceil(3)]];
            tiles.dedup();
            for [h_out_tile, w_out_tile] in tiles {
                let image =
                    storage.map(|storage| self.columns_image(storage, [h_out_tile, w_out_tile]));
                all.extend(kernels.iter().map(|&kernel| ConvAlgorithm::Im2col {
                    kernel,
                    h_out_tile,
                    w_out_tile,
                    image,
                }));
            }
        }
        planner.images.answered()?;
        Ok(all)
    }
}
