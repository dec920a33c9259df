//! The choice between paths.

use super::paths;
use super::planner::{Choice, Planner, Refused};
use super::problem::Problem;
use crate::base::error::Result;
use crate::core::conv::{ConvAlgorithm, ConvPlan, DepthwiseTile};
use crate::core::options::ConvChoice;
use crate::core::tensor::{Element, CHANNEL_PACK};
use crate::ops::conv2d::tiles::weight_elements;
use crate::ops::support::gemm::GemmSizes;

/// Chooses how a convolution is done.
pub fn plan_conv2d(problem: &Problem<'_>) -> Result<ConvPlan> {
    problem.geometry.validate()?;
    let planner = Planner::new(problem);
    let (algorithm, reason) = match problem.constraints.conv_algorithm {
        None => planner.choose(),
        Some(choice) => planner.forced(choice),
    };
    planner.images.answered()?;
    problem.plan_of(algorithm, reason)
}

impl Problem<'_> {
    /// The plan that `algorithm` is.
    pub(super) fn plan_of(&self, algorithm: ConvAlgorithm, reason: String) -> Result<ConvPlan> {
        Ok(ConvPlan {
            algorithm,
            workspace_bytes: self.workspace_bytes(algorithm)?,
            moved_bytes: self.moved_bytes(algorithm),
            reason,
        })
    }

    fn moved_bytes(&self, algorithm: ConvAlgorithm) -> u64 {
        let g = self.geometry;
        let (scratch, weight) = match algorithm {
            ConvAlgorithm::Im2col { .. } => {
                let columns = g.columns_per_pixel().saturating_mul(g.pixels_out());
                (columns.saturating_mul(2), g.elements_weight())
            }
            ConvAlgorithm::Winograd { .. } => (0, weight_elements(g)),
            _ => (0, g.elements_weight()),
        };
        scratch
            .saturating_add(g.elements_in())
            .saturating_add(g.elements_out())
            .saturating_add(weight)
            .saturating_mul(self.element.size_bytes())
    }

    /// The product that a pointwise convolution is.
    pub(super) fn pointwise_sizes(&self) -> GemmSizes {
        self.gemm_sizes(self.geometry.group_in().into())
    }

    /// The product behind the columns, of all tiles.
    pub(super) fn im2col_sizes(&self) -> GemmSizes {
        self.gemm_sizes(self.geometry.k())
    }

    fn gemm_sizes(&self, k: u64) -> GemmSizes {
        let g = self.geometry;
        GemmSizes {
            rows: g.pixels_out(),
            n: g.group_out(),
            k,
            batch: g.groups,
            // Budgets and algorithms must not set rounding.
            sliced: false,
        }
    }
}

impl Planner<'_> {
    fn choose(&self) -> Choice {
        let rules = &self.constraints().profile.paths;
        if let Ok(choice) = self.depthwise() {
            return choice;
        }
        // Before anything that depends on the image's present size.
        if self.winograd_unasked() {
            if let Ok(choice) = self.winograd() {
                return choice;
            }
        }
        if !rules.gathers {
            if let Ok(choice) = self.pointwise() {
                return choice;
            }
        }
        let direct = |reason: String| (ConvAlgorithm::Direct, reason);
        if let Some(why) = self.direct_suits() {
            return direct(why);
        }
        if rules.gathers {
            if let Ok(choice) = self.implicit() {
                return choice;
            }
        }
        self.im2col().unwrap_or_else(direct)
    }

    /// Why it is best done directly, if it is.
    fn direct_suits(&self) -> Option<String> {
        let (g, limits) = (self.geometry(), &self.constraints().limits);
        let rules = &self.constraints().profile.paths;
        let (per_group_in, per_group_out) = (g.group_in(), g.group_out());
        if g.transposed {
            return Some("transposed: gathered, no columns to build".into());
        }
        // Matrix units that stand mostly idle still outrun the direct kernel where K is long.
        let matrices = self.problem.element == Element::F16 && limits.matrix_16x16;
        let idle = matrices && g.groups == 1 && g.k() >= rules.idle_matrices_min_k;
        if per_group_out <= rules.direct_max_outputs_per_group && !idle {
            return Some(format!(
                "{per_group_out} outputs per group: columns would be read once"
            ));
        }
        if g.groups > 1 && g.k() < rules.gemm_min_grouped_k {
            return Some(format!(
                "{per_group_in} inputs per group: K = {} is below {}",
                g.k(),
                rules.gemm_min_grouped_k
            ));
        }
        let macs = g.macs();
        (macs < rules.gemm_min_macs)
            .then(|| format!("{macs} multiply-adds do not pay for two dispatches"))
    }

    fn forced(&self, choice: ConvChoice) -> Choice {
        let wanted = match choice {
            ConvChoice::Direct => Ok((ConvAlgorithm::Direct, String::new())),
            ConvChoice::Im2col => self.im2col(),
            ConvChoice::Pointwise => self.pointwise(),
            ConvChoice::Depthwise => self.depthwise(),
            ConvChoice::Implicit => self.implicit(),
            ConvChoice::Winograd => self.winograd(),
        };
        match wanted {
            Ok((algorithm, reason)) => {
                let asked = "asked for by the option conv_algorithm";
                let reason = match algorithm {
                    ConvAlgorithm::Im2col { .. }
                    | ConvAlgorithm::Implicit { .. }
                    | ConvAlgorithm::Winograd { .. } => {
                        format!("{asked}; {reason}")
                    }
                    _ => asked.into(),
                };
                (algorithm, reason)
            }
            Err(why) => {
                // Where the columns fit no budget: the direct kernel sums as im2col's GEMM does, bit
                // by bit.
                let (algorithm, reason) = match choice {
                    ConvChoice::Im2col => (ConvAlgorithm::Direct, "direct sums alike".into()),
                    _ => self.choose(),
                };
                let name = format!("{choice:?}").to_lowercase();
                (algorithm, format!("{name} asked, but {why}; {reason}"))
            }
        }
    }

    fn pointwise(&self) -> std::result::Result<Choice, Refused> {
        let g = self.geometry();
        paths::pointwise(g)?;
        // A GEMM per channel is no GEMM.
        let few = self
            .constraints()
            .profile
            .paths
            .direct_max_outputs_per_group;
        if g.groups > 1 && g.group_out() <= few {
            return Err("too few outputs per group for a GEMM".into());
        }
        self.groups_fit()?;
        let kernel = self.problem.pointwise_sizes().plan(self.constraints());
        Ok((
            ConvAlgorithm::Pointwise { kernel },
            "1x1, stride 1, no padding: the input is the GEMM's operand".into(),
        ))
    }

    fn depthwise(&self) -> std::result::Result<Choice, Refused> {
        let g = self.geometry();
        paths::depthwise(g)?;
        let costs = &self.constraints().profile.depthwise;
        let invocations = g.elements_out() / u64::from(CHANNEL_PACK);
        let tile = DepthwiseTile {
            pixels: match invocations <= costs.one_pixel_max_invocations {
                true => 1,
                false => costs.pixels,
            },
            unrolled: costs.unrolls && DepthwiseTile::unrolls(g),
        };
        Ok((
            ConvAlgorithm::Depthwise { tile },
            "one input and one output per group".into(),
        ))
    }

    /// Fails where a dispatch cannot have all groups along z.
    pub(super) fn groups_fit(&self) -> std::result::Result<(), Refused> {
        let groups = self.geometry().groups;
        match groups > self.constraints().limits.max_workgroup_count[2] {
            true => Err(format!("{groups} groups exceed the device")),
            false => Ok(()),
        }
    }
}
