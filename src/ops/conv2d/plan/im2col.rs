//! What holds the columns of im2col, and the largest tile that then fits the budget.
//!
//! A buffer holds `columns[group][pixel][k]`; see `Problem::columns_image` for images. K is never
//! folded: a row of columns that exceeds the extent, and more groups than an extent holds, leave the
//! image for the next storage: 3-D, 2-D, buffer, and then no columns at all.

use super::paths;
use super::planner::{Choice, Planner, Refused};
use super::problem::{Problem, MAX_TILES};
use crate::core::conv::ConvAlgorithm;
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::options::ScratchStorage;

/// Equal tiles, and the image that holds the columns of one; `None` for a buffer.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    pub(super) h_out_tile: u32,
    pub(super) w_out_tile: u32,
    pub(super) count: u64,
    pub(super) image: Option<ImageShape>,
}

/// Images up to this size can be made on every device that has them.
const MAX_IMAGE_BYTES: u64 = 1 << 31;

/// After so many guesses from the excess a tile is halved: drivers that pad by a constant would
/// make it shrink by ever smaller steps.
const PROPORTIONAL_STEPS: u32 = 16;

/// Why `auto` is a buffer on every device.
const BUFFER_RULE: &str = "columns in a buffer: the GEMM reads rows in order, which gains nothing \
                           from texture caches";

impl Planner<'_> {
    /// Tiles whose columns fit the budget: whole rows of output, else parts of one row.
    pub(super) fn im2col(&self) -> Result<Choice, Refused> {
        let g = self.geometry();
        paths::im2col(g)?;
        self.groups_fit()?;
        let (tiling, storage) = self.tiling()?;
        let tiles = match tiling.count {
            count if count == u64::from(g.n) => "an image at a time".into(),
            count => format!("{count} tiles fit the budget"),
        };
        let reason = format!("K = {}: im2col and GEMM, {tiles}; {storage}", g.k());
        let algorithm = ConvAlgorithm::Im2col {
            kernel: self.problem.im2col_sizes().plan(self.constraints()),
            h_out_tile: tiling.h_out_tile,
            w_out_tile: tiling.w_out_tile,
            image: tiling.image,
        };
        Ok((algorithm, reason))
    }

    /// The first storage that can hold a tile, in the order that begins with the one asked for, and why.
    fn tiling(&self) -> Result<(Tiling, String), Refused> {
        use ScratchStorage::{Buffer, Texture2d, Texture3d};
        let asked = self.constraints().scratch_storage;
        let images: &[_] = match asked {
            None | Some(Buffer) => &[],
            Some(Texture2d) => &[(Texture2d, ImageDimensions::Two)],
            Some(Texture3d) => &[
                (Texture3d, ImageDimensions::Three),
                (Texture2d, ImageDimensions::Two),
            ],
        };
        let mut refused = String::new();
        for &(storage, dimensions) in images {
            match self.image_tiling(dimensions) {
                Ok(tiling) => {
                    let asked = if asked == Some(storage) {
                        " as asked"
                    } else {
                        ""
                    };
                    let reason = format!("{refused}columns in {}{asked}", storage.name());
                    return Ok((tiling, reason));
                }
                Err(why) => refused += &format!("no {}: {why}; ", storage.name()),
            }
        }
        let tiling = self
            .buffer_tiling()
            .map_err(|why| format!("{refused}{why}"))?;
        let reason = match asked {
            None => BUFFER_RULE.into(),
            Some(Buffer) => "columns in buffer as asked".into(),
            Some(_) => format!("{refused}columns in buffer"),
        };
        Ok((tiling, reason))
    }

    pub(super) fn buffer_tiling(&self) -> Result<Tiling, Refused> {
        let problem = self.problem;
        let most = problem
            .constraints
            .most_workspace_buffer_bytes(problem.element);
        let pixel = problem.pixel_bytes();
        let pixels = most / pixel.max(1);
        if pixels == 0 {
            return Err(format!(
                "the columns of one pixel take {pixel} bytes, the budget is {most}"
            ));
        }
        problem.balanced(problem.rows_of(pixels)).few(most)
    }

    pub(super) fn image_tiling(&self, dimensions: ImageDimensions) -> Result<Tiling, Refused> {
        let (problem, constraints) = (self.problem, self.constraints());
        let most = constraints.most_workspace_bytes(problem.element);
        let most = most.min(MAX_IMAGE_BYTES);
        let mut tile = problem.largest_image_tile(dimensions, most)?;
        for step in 0.. {
            let tiling = problem.balanced(tile);
            let (h, w) = (tiling.h_out_tile, tiling.w_out_tile);
            let image = problem.columns_image(dimensions, [h, w]);
            let extent = image.extent;
            let bytes = self
                .images
                .allocation_bytes(image)
                .ok_or_else(|| format!("the driver makes none of {extent:?}"))?
                .max(1);
            if bytes <= most {
                let image = Some(image);
                return Tiling { image, ..tiling }.few(most);
            }
            let shrunk = |n: u32| {
                let n = u64::from(n);
                let guess = u128::from(n) * u128::from(most) / u128::from(bytes);
                let guess = u64::try_from(guess).unwrap_or(n);
                let least = if step < PROPORTIONAL_STEPS {
                    n - 1
                } else {
                    n / 2
                };
                guess.min(least).max(1)
            };
            tile = match (h, w) {
                (1, 1) => {
                    return Err(format!(
                        "one of {extent:?} for a pixel takes {bytes} bytes, the budget is {most}"
                    ))
                }
                (1, w) => [1, shrunk(w)],
                (h, w) => [shrunk(h), w.into()],
            };
        }
        Err("no tile".into())
    }
}

impl Problem<'_> {
    /// The largest tile, `[height, width]`, whose texels the extents allow and take at most `most` bytes.
    fn largest_image_tile(
        &self,
        dimensions: ImageDimensions,
        most: u64,
    ) -> Result<[u64; 2], Refused> {
        let (g, element) = (self.geometry, self.element);
        let extents = &self.constraints.limits.image_extents;
        let max = extents
            .get(dimensions, element)
            .ok_or_else(|| format!("the device has none of {element:?}"))?;
        let row = self.row_texels();
        if row > max[0].into() {
            return Err(format!("K / 4 = {row} exceeds the extent of {}", max[0]));
        }
        // Rows of columns along the axis that all groups share.
        let shared = match dimensions {
            ImageDimensions::Two => max[1],
            ImageDimensions::Three => max[2],
        };
        let per_group = u64::from(shared / g.groups);
        if per_group == 0 {
            return Err(format!("{} groups exceed the extent of {shared}", g.groups));
        }
        let pixels = (most / self.pixel_bytes().max(1)).max(1);
        Ok(match dimensions {
            ImageDimensions::Two => self.rows_of(pixels.min(per_group)),
            ImageDimensions::Three => {
                let [h, w] = self.rows_of(pixels);
                match u64::from(max[1]) {
                    limit if w > limit => [1, limit],
                    _ => [h.min(per_group), w],
                }
            }
        })
    }

    /// `pixels` as whole rows of output, else as a part of one row: `[height, width]`.
    fn rows_of(&self, pixels: u64) -> [u64; 2] {
        let (h_out, w_out) = (self.geometry.h_out().into(), self.geometry.w_out().into());
        match pixels / w_out {
            0 => [1, pixels],
            rows => [rows.min(h_out), w_out],
        }
    }

    /// The fewest tiles of at most `[height, width]` outputs, of nearly equal size.
    fn balanced(&self, [h_max, w_max]: [u64; 2]) -> Tiling {
        let g = self.geometry;
        let (h_out, w_out) = (u64::from(g.h_out()), u64::from(g.w_out()));
        let h_count = h_out.div_ceil(h_max);
        let w_count = w_out.div_ceil(w_max);
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Tiling {
            h_out_tile: narrow(h_out.div_ceil(h_count)),
            w_out_tile: narrow(w_out.div_ceil(w_count)),
            count: h_count.saturating_mul(w_count).saturating_mul(g.n.into()),
            image: None,
        }
    }
}

impl Tiling {
    fn few(self, most: u64) -> Result<Self, Refused> {
        if self.count > MAX_TILES {
            return Err(format!(
                "the budget of {most} bytes gives {} tiles",
                self.count
            ));
        }
        Ok(self)
    }
}
