//! Winograd's F(4x4, 3x3): whether it is taken, in which tile and in how many parts.
//!
//! Its sums round otherwise than all others, so weight, element type, device and the largest image
//! decide whether it is taken, never budget or the image's present size. That also means one form of
//! the weight for all input sizes. The budget decides where the sums of parts of the inputs lie.

use super::paths;
use super::planner::{Choice, Planner, Refused};
use crate::core::conv::{ConvAlgorithm, Sums, WeightSource, WinogradTile};
use crate::ops::conv2d::cost::winograd_ns;
use crate::ops::conv2d::tiles::quads;

impl Planner<'_> {
    /// Where the planner takes it unasked.
    pub(super) fn winograd_unasked(&self) -> bool {
        let g = self.geometry();
        let costs = &self.constraints().profile.winograd;
        let most_macs = match self.problem.weight {
            WeightSource::Constant { most_outputs } => most_outputs.saturating_mul(g.k()),
            WeightSource::Computed => 0,
        };
        costs.unasked
            && g.c_in >= costs.min_channels
            && g.c_out >= costs.min_channels
            && most_macs >= costs.min_macs
    }

    pub(super) fn winograd(&self) -> Result<Choice, Refused> {
        paths::winograd(self.problem)?;
        let (tile, parts) = self
            .winograd_tile()
            .ok_or("its workgroups exceed the device")?;
        let pixels = self.geometry().pixels_out();
        let together = self.problem.fits(self.problem.sums_bytes(parts, pixels));
        let (sums, how) = match (parts, u32::try_from(pixels), together) {
            (1, ..) => (Sums::Whole, "one kernel".into()),
            (_, Ok(pixels_tile), true) => (
                Sums::Parts { parts, pixels_tile },
                format!("{parts} parts of the inputs"),
            ),
            _ => (
                Sums::Serial { parts },
                format!("{parts} parts of the inputs in turn: the budget holds no sums"),
            ),
        };
        let reason = format!("3x3 in tiles of 4x4: Winograd, {how}");
        Ok((ConvAlgorithm::Winograd { tile, sums }, reason))
    }

    /// The tile for the present size, which sets no rounding, and the parts that the inputs are summed
    /// in, whichever take the least time; `None` where no tile fits the device.
    fn winograd_tile(&self) -> Option<(WinogradTile, u32)> {
        let (g, constraints) = (self.geometry(), self.constraints());
        let (limits, profile) = (&constraints.limits, constraints.profile);
        let costs = &profile.winograd;
        let (timed, parts) = costs
            .tiles
            .iter()
            .filter(|timed| timed.tile.check(limits).is_ok())
            .flat_map(|timed| {
                let parts = profile
                    .parts
                    .choices(g, quads(g.c_in), costs.part_min_quads);
                parts.map(move |parts| (timed, parts))
            })
            .filter(|&(_, parts)| parts <= limits.max_workgroup_count[2].into())
            .min_by_key(|&(timed, parts)| winograd_ns(timed, g, parts, profile))?;
        Some((timed.tile, u32::try_from(parts).unwrap_or(1)))
    }
}
