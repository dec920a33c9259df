//! The implicit GEMM: in which tile, in how many parts of K, and where their sums lie.

use super::paths;
use super::planner::{Choice, Planner, Refused};
use crate::core::conv::{ConvAlgorithm, ImplicitTile, Sums, Units};
use crate::core::profile::TimedTile;
use crate::core::tensor::Element;
use crate::ops::conv2d::cost::{implicit_ns, implicit_parts, suits};

impl Planner<'_> {
    pub(super) fn implicit(&self) -> Result<Choice, Refused> {
        let g = self.geometry();
        paths::implicit(g)?;
        let (tile, parts) = self.implicit_tile()?;
        let most = self.constraints().limits.max_workgroup_count[2];
        if u64::from(g.groups) * u64::from(parts) > most.into() {
            return Err(match parts {
                1 => format!("{} groups exceed the device", g.groups),
                _ => format!(
                    "{} groups in {parts} parts of K exceed the device",
                    g.groups
                ),
            });
        }
        let sums = self.implicit_sums(tile, parts);
        let how = match sums {
            Sums::Whole => "no columns".into(),
            Sums::Serial { .. } => format!("{parts} parts of K in turn: the budget holds no sums"),
            Sums::Parts { pixels_tile, .. } => {
                let tiles = g.pixels_out().div_ceil(u64::from(pixels_tile).max(1));
                match tiles {
                    0 | 1 => format!("{parts} parts of K"),
                    _ => format!("{parts} parts of K, whose sums fit the budget in {tiles} tiles"),
                }
            }
        };
        let gathers = match tile.units {
            Units::Patches => "GEMM that gathers from patches in shared memory",
            Units::Invocations | Units::Matrices => "GEMM that gathers",
        };
        let reason = format!("K = {}: {gathers}, {how}", g.k());
        Ok((ConvAlgorithm::Implicit { tile, sums }, reason))
    }

    /// The tile that takes the least time, or a smaller one that takes little more, and the parts of K
    /// that it is fastest in, side by side; none is empty.
    pub(in crate::ops::conv2d) fn implicit_tile(&self) -> Result<(ImplicitTile, u32), Refused> {
        let costs = &self.constraints().profile.implicit;
        let matrices = match self.problem.element {
            Element::F16 => costs.matrix_tiles,
            _ => &[],
        };
        let (tile, parts) = self
            .best_of(matrices)
            .or_else(|| self.best_of(costs.invocation_tiles))
            .or_else(|| costs.invocation_tiles.last().map(|last| (last.tile, 1)))
            .ok_or("the device's profile has no tile")?;
        Ok((tile, u32::try_from(parts).unwrap_or(1)))
    }

    fn best_of(&self, tiles: &[TimedTile]) -> Option<(ImplicitTile, u64)> {
        let (g, constraints) = (self.geometry(), self.constraints());
        let profile = constraints.profile;
        // Of each tile, its best parts.
        let timed = |timed: &TimedTile| {
            let parts = implicit_parts(timed.tile, g, profile);
            let best = parts.map(|parts| (implicit_ns(timed, g, parts, profile), parts));
            best.min().map(|(ns, parts)| (timed.tile, ns, parts))
        };
        let fits = |timed: &&TimedTile| {
            let check = timed
                .tile
                .check(g, self.problem.element, &constraints.limits);
            suits(timed.tile, g, profile) && check.is_ok()
        };
        let timed: Vec<_> = tiles.iter().filter(fits).filter_map(timed).collect();
        let least_ns = timed.iter().map(|&(_, ns, _)| ns).min()?;
        let most_ns = least_ns.saturating_add(profile.implicit.pipeline_ns);
        let found = timed.iter().rev().find(|&&(_, ns, _)| ns <= most_ns);
        found.map(|&(tile, _, parts)| (tile, parts))
    }

    /// Where the sums of `parts` parts of K lie: of as many output pixels as fit the budget, in tiles of
    /// nearly equal size; of patches all or none. In turn when that takes more tiles than parts: then as
    /// many workgroups run side by side when each sums its parts in turn.
    fn implicit_sums(&self, tile: ImplicitTile, parts: u32) -> Sums {
        if parts == 1 {
            return Sums::Whole;
        }
        let pixels = self.geometry().pixels_out();
        let of_count = |count: u64| match count {
            1 => pixels,
            _ => pixels.div_ceil(count).next_multiple_of(tile.tile_m.into()),
        };
        let most_tiles = match tile.units {
            Units::Patches => 1,
            Units::Invocations | Units::Matrices => parts,
        };
        let fits = |&pixels: &u64| self.problem.fits(self.problem.sums_bytes(parts, pixels));
        let found = (1..=most_tiles.into()).map(of_count).find(fits);
        match found.and_then(|pixels| u32::try_from(pixels).ok()) {
            None | Some(0) => Sums::Serial { parts },
            Some(pixels_tile) => Sums::Parts { parts, pixels_tile },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problem;
    use super::*;
    use crate::core::constraints::Constraints;
    use crate::core::conv::{ConvGeometry, WeightSource};
    use crate::core::device::{DeviceLimits, NoImages};
    use crate::core::options::Options;

    /// No tile that fits and no number of parts is faster by more than what a pipeline is worth, and of
    /// its own numbers of parts the tile has the fastest.
    #[test]
    fn the_choice_is_the_least_of_what_fits() {
        for invocations in [128, 256, 1024] {
            let limits = DeviceLimits {
                max_workgroup_invocations: invocations,
                max_workgroup_size: [invocations; 3],
                max_shared_memory_bytes: 48 << 10,
                matrix_16x16: true,
                ..DeviceLimits::minimum()
            };
            let constraints = Constraints::new(&Options::default(), &limits);
            for element in [Element::F32, Element::F16] {
                for c in [1, 3, 4, 30, 64, 130, 512, 2048] {
                    for size in [1, 7, 14, 56, 256, 1024] {
                        for kernel in [1, 3, 7] {
                            check_choice(&geometry(c, size, kernel), element, &constraints);
                        }
                    }
                }
            }
        }
    }

    fn geometry(channels: u32, size: u32, kernel: u32) -> ConvGeometry {
        ConvGeometry {
            n: 1,
            c_in: channels,
            h_in: size,
            w_in: size,
            c_out: channels,
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

    fn check_choice(g: &ConvGeometry, element: Element, constraints: &Constraints) {
        let problem = Problem {
            geometry: g,
            weight: WeightSource::Computed,
            element,
            constraints,
            images: &NoImages,
        };
        let planner = Planner::new(&problem);
        let (tile, parts) = planner.implicit_tile().expect("a tile");
        let (profile, limits) = (constraints.profile, &constraints.limits);
        assert_eq!(tile.check(g, element, limits), Ok(()), "{g:?}");
        let costs = &profile.implicit;
        let all = costs.invocation_tiles.iter().chain(costs.matrix_tiles);
        // Matrix units are taken wherever one of their tiles fits.
        let others = all.filter(|timed| {
            let same =
                (timed.tile.units == Units::Invocations) == (tile.units == Units::Invocations);
            same && timed.tile.check(g, element, limits).is_ok() && suits(timed.tile, g, profile)
        });
        let times: Vec<(ImplicitTile, u64, u64)> = others
            .flat_map(|timed| {
                implicit_parts(timed.tile, g, profile)
                    .map(|parts| (timed.tile, parts, implicit_ns(timed, g, parts, profile)))
            })
            .collect();
        let mine = times
            .iter()
            .find(|&&(t, p, _)| (t, p) == (tile, parts.into()));
        let &(_, _, mine) = mine.expect("the choice is one of them");
        for &(other, _, ns) in &times {
            assert!(mine <= ns + costs.pipeline_ns, "{tile:?} {other:?} {g:?}");
            assert!(
                other != tile || mine <= ns,
                "{parts} parts of {tile:?}: {g:?}"
            );
        }
    }
}
