//! How long a convolution takes, as a device's profile has it. Only comparisons count.

use super::tiles::{eights, quads};
use crate::core::conv::{ConvGeometry, ImplicitTile, Units};
use crate::core::profile::{DeviceProfile, PartCosts, TimedTile, TimedWinogradTile};

/// Bytes of the sums of one part.
fn sum_bytes(g: &ConvGeometry) -> u64 {
    g.elements_out().saturating_mul(4).max(1)
}

/// Numbers of parts up to `most` that `steps` may be cut into, none of them empty: all but the last
/// are equally long.
pub(super) fn even_parts(steps: u64, most: u64) -> impl Iterator<Item = u64> {
    let steps = steps.max(1);
    (1..=most.min(steps).max(1))
        .filter(move |&parts| steps.div_ceil(steps.div_ceil(parts)) == parts)
}

impl PartCosts {
    /// Numbers of parts that pay for `steps`: of at least `shortest` steps, few enough for their sums.
    pub(super) fn choices(
        &self,
        g: &ConvGeometry,
        steps: u64,
        shortest: u64,
    ) -> impl Iterator<Item = u64> {
        let most = self
            .most
            .min(self.most_sums_bytes / sum_bytes(g))
            .min(steps.max(1) / shortest.max(1));
        even_parts(steps, most)
    }

    /// What adding the sums of `parts` takes.
    pub(super) fn time_ns(&self, g: &ConvGeometry, parts: u64) -> u64 {
        match parts {
            0 | 1 => 0,
            _ => {
                let bytes = sum_bytes(g).saturating_mul(parts);
                self.start_ns
                    .saturating_add(bytes.saturating_mul(1000) / self.sums_bytes_per_us.max(1))
            }
        }
    }
}

/// Whether `tile` is worth a try for `g`: what it could compute, but surely not well, is left out.
pub(super) fn suits(tile: ImplicitTile, g: &ConvGeometry, profile: &DeviceProfile) -> bool {
    let costs = &profile.implicit;
    let columns8 = g.group_out().div_ceil(4).next_multiple_of(8);
    // What is gathered in pieces is gathered by as few tiles side by side as are worth it.
    let wide = |least: u32| eights(g) || tile.tile_n4 >= columns8.min(least);
    let units = match tile.units {
        Units::Invocations => tile.thread_m < costs.tall_thread_m || g.k() >= costs.round_k,
        Units::Matrices => wide(16),
        Units::Patches => {
            g.taps() > 1
                && g.c_in >= costs.patch_min_channels
                && tile.patch_loads(g) <= costs.patch_max_loads
        }
    };
    units && tile.tile_n4 <= columns8
}

/// Numbers of parts of K that pay for `tile`.
pub(super) fn implicit_parts(
    tile: ImplicitTile,
    g: &ConvGeometry,
    profile: &DeviceProfile,
) -> impl Iterator<Item = u64> {
    let shortest_k = match tile.units {
        Units::Invocations => profile.implicit.part_min_k,
        Units::Matrices | Units::Patches => profile.implicit.matrix_part_min_k,
    };
    let shortest = shortest_k.div_ceil(tile.step_k(g).max(1));
    profile.parts.choices(g, tile.steps(g), shortest)
}

/// Predicted time of an implicit GEMM in `timed`, with K in `parts`.
pub(super) fn implicit_ns(
    timed: &TimedTile,
    g: &ConvGeometry,
    parts: u64,
    profile: &DeviceProfile,
) -> u64 {
    let (tile, costs) = (timed.tile, &profile.implicit);
    let on_one = tile.workgroups(g).saturating_mul(parts);
    let on_one = on_one.div_ceil(profile.processors).max(1);
    let most = timed.round_ns.len() as u64;
    // More workgroups than fit go in turns, each as long as a full one.
    let turns = on_one.div_ceil(most.max(1));
    let together = if turns == 1 { on_one } else { most };
    let at = usize::try_from(together.saturating_sub(1)).unwrap_or(0);
    let round_ns = timed.round_ns.get(at).copied().unwrap_or(u64::MAX);
    let k = tile
        .steps(g)
        .div_ceil(parts.max(1))
        .saturating_mul(tile.step_k(g));
    let products_ns = round_ns.saturating_mul(k) / costs.round_k;
    let turn_ns = match tile.units {
        Units::Matrices if !eights(g) => {
            products_ns.saturating_mul(2).saturating_add(costs.turn_ns)
        }
        Units::Invocations | Units::Matrices => products_ns.saturating_add(costs.turn_ns),
        Units::Patches => products_ns.saturating_add(costs.patch_turn_ns),
    };
    let subgroups = together * u64::from(tile.local_size().div_ceil(32));
    let alone_ns = costs.most_alone_ns.min(costs.alone_ns / subgroups.max(1));
    turns
        .saturating_mul(turn_ns)
        .saturating_add(costs.start_ns + alone_ns)
        .saturating_add(profile.parts.time_ns(g, parts))
}

/// Predicted time of Winograd in `timed`, with its inputs in `parts`.
pub(super) fn winograd_ns(
    timed: &TimedWinogradTile,
    g: &ConvGeometry,
    parts: u64,
    profile: &DeviceProfile,
) -> u64 {
    let rounds = timed
        .tile
        .workgroups(g)
        .saturating_mul(parts)
        .div_ceil(profile.processors);
    let quads = quads(g.c_in).div_ceil(parts.max(1));
    let round_ns = timed
        .start_ns
        .saturating_add(timed.quad_ns.saturating_mul(quads));
    rounds
        .saturating_mul(round_ns)
        .saturating_add(profile.parts.time_ns(g, parts))
}

#[cfg(test)]
mod tests;
