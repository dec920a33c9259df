//! Whether a plan may be obeyed: what its kernels then compute is the convolution, and they stay within
//! device, budget and workspace. Whoever made the plan: a planner, a test, a file.

use super::paths;
use super::planner::Refused;
use super::problem::{Problem, MAX_TILES};
use crate::base::error::{Error, Result};
use crate::core::conv::{tiles, ConvAlgorithm, ConvPlan, ImplicitTile, Sums, Units, WinogradTile};
use crate::core::gemm::GemmKernel;
use crate::core::image::ImageShape;
use crate::ops::conv2d::cost::even_parts;
use crate::ops::conv2d::tiles::quads;

/// Fails, with what is wrong, where `plan` is not one for `problem`.
pub fn check(problem: &Problem<'_>, plan: &ConvPlan) -> Result<()> {
    let g = problem.geometry;
    g.validate()?;
    if g.n == 0 {
        return Ok(());
    }
    let misfit = |why: String| {
        Error::internal(format!(
            "the plan \"{}\" does not fit {g:?}: {why}",
            plan.algorithm
        ))
    };
    problem.path(plan.algorithm).map_err(misfit)?;
    let written = problem
        .written_bytes(plan.algorithm)
        .map_err(|e| misfit(e.message))?;
    let has = plan.workspace_bytes;
    if written > has || written == 0 && has > 0 {
        return Err(misfit(format!(
            "its kernels write {written} bytes of a workspace of {has}"
        )));
    }
    let most = problem.constraints.limits.max_storage_buffer_range_bytes;
    let image = matches!(plan.algorithm, ConvAlgorithm::Im2col { image: Some(_), .. });
    if has > most && !image {
        return Err(misfit(format!(
            "a workspace of {has} bytes, the device binds {most}"
        )));
    }
    problem.constraints.budget.check(has)
}

impl Problem<'_> {
    /// Why the path of `algorithm` cannot compute this in its tiles.
    fn path(&self, algorithm: ConvAlgorithm) -> std::result::Result<(), Refused> {
        let (g, limits) = (self.geometry, &self.constraints.limits);
        match algorithm {
            ConvAlgorithm::Direct => Ok(()),
            ConvAlgorithm::Pointwise { kernel } => {
                paths::pointwise(g)?;
                self.gemm(kernel)
            }
            ConvAlgorithm::Depthwise { tile } => {
                paths::depthwise(g)?;
                tile.check(g)
            }
            ConvAlgorithm::Im2col {
                kernel,
                h_out_tile,
                w_out_tile,
                image,
            } => {
                paths::im2col(g)?;
                self.gemm(kernel)?;
                self.columns([h_out_tile, w_out_tile], image)
            }
            ConvAlgorithm::Implicit { tile, sums } => {
                paths::implicit(g)?;
                tile.check(g, self.element, limits)?;
                self.implicit_sums(tile, sums)
            }
            ConvAlgorithm::Winograd { tile, sums } => {
                paths::winograd(self)?;
                tile.check(limits)?;
                self.winograd_sums(tile, sums)
            }
        }
    }

    /// Slices of K would round otherwise than what serves other budgets.
    fn gemm(&self, kernel: GemmKernel) -> std::result::Result<(), Refused> {
        match kernel {
            GemmKernel::Sliced { .. } => Err("a convolution's K is not sliced".into()),
            _ => kernel.check(&self.constraints.limits),
        }
    }

    /// A tile of whole rows, or of a part of one: its outputs are neighbours in memory.
    fn columns(
        &self,
        [h, w]: [u32; 2],
        image: Option<ImageShape>,
    ) -> std::result::Result<(), Refused> {
        let g = self.geometry;
        let (h_out, w_out) = (g.h_out(), g.w_out());
        if h == 0 || w == 0 || h > h_out || w > w_out {
            return Err(format!("a tile of {h}x{w} of {h_out}x{w_out} outputs"));
        }
        if w < w_out && h > 1 {
            return Err(format!(
                "a tile of {h}x{w} of {w_out} columns is not contiguous"
            ));
        }
        let count = |extent, tile| tiles(extent, tile).len() as u64;
        self.few((count(h_out, h) * count(w_out, w)).saturating_mul(g.n.into()))?;
        let Some(image) = image else {
            return Ok(());
        };
        let wanted = self.columns_image(image.dimensions, [h, w]);
        if image != wanted {
            return Err(format!("columns in {image:?}, they are {wanted:?}"));
        }
        let extents = &self.constraints.limits.image_extents;
        let max = extents.get(image.dimensions, image.element);
        let max = max.ok_or_else(|| format!("the device has no images of {:?}", image.element))?;
        match image.extent.iter().zip(max).all(|(&e, max)| e <= max) {
            true => Ok(()),
            false => Err(format!("{:?} exceeds the extents {max:?}", image.extent)),
        }
    }

    fn implicit_sums(&self, tile: ImplicitTile, sums: Sums) -> std::result::Result<(), Refused> {
        let g = self.geometry;
        even(tile.steps(g), sums)?;
        self.along_z(g.groups, sums)?;
        let Sums::Parts { pixels_tile, .. } = sums else {
            return Ok(());
        };
        let (pixels, pixels_tile) = (g.pixels_out(), u64::from(pixels_tile));
        if pixels_tile == 0 {
            return Err("tiles of no pixels".into());
        }
        if tile.units == Units::Patches && pixels_tile < pixels {
            return Err(format!(
                "patches compute all {pixels} pixels, not {pixels_tile} at a time"
            ));
        }
        self.few(pixels.div_ceil(pixels_tile))
    }

    fn winograd_sums(&self, _: WinogradTile, sums: Sums) -> std::result::Result<(), Refused> {
        let g = self.geometry;
        even(quads(g.c_in), sums)?;
        self.along_z(1, sums)?;
        match sums {
            Sums::Parts { pixels_tile, .. } if u64::from(pixels_tile) < g.pixels_out() => {
                Err(format!(
                    "all {} pixels are computed, not {pixels_tile} at a time",
                    g.pixels_out()
                ))
            }
            _ => Ok(()),
        }
    }

    /// Groups, and parts that are side by side, are numbered along z.
    fn along_z(&self, groups: u32, sums: Sums) -> std::result::Result<(), Refused> {
        let parts = match sums {
            Sums::Parts { parts, .. } => parts,
            Sums::Whole | Sums::Serial { .. } => 1,
        };
        let most = self.constraints.limits.max_workgroup_count[2];
        match u64::from(groups) * u64::from(parts) > most.into() {
            true => Err(format!(
                "{groups} groups in {parts} parts side by side, the device allows {most}"
            )),
            false => Ok(()),
        }
    }

    fn few(&self, tiles: u64) -> std::result::Result<(), Refused> {
        match tiles > MAX_TILES {
            true => Err(format!("{tiles} tiles, more than {MAX_TILES}")),
            false => Ok(()),
        }
    }
}

/// Parts that `steps` can be cut into without an empty one.
fn even(steps: u64, sums: Sums) -> std::result::Result<(), Refused> {
    let parts = u64::from(sums.parts());
    let whole = sums == Sums::Whole;
    match whole || parts > 1 && even_parts(steps, parts).any(|even| even == parts) {
        true => Ok(()),
        false => Err(format!(
            "{steps} steps of K cannot be cut into {parts} parts"
        )),
    }
}
