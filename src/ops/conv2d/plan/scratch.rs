//! What holds the columns of im2col, and the largest tile that then fits the budget.
//!
//! - Buffer: `columns[group][pixel][k]`.
//! - 2-D image: `x = k / 4`, `y = group * pixels + pixel`.
//! - 3-D image: `x = k / 4`, `y` the column of the tile, `z = group * rows + row` of the tile.
//!
//! K is never folded: a row of columns that exceeds the extent, and more groups than an extent
//! holds, leave the image for the next storage: 3-D, 2-D, buffer, and then no columns at all.

use super::{Candidates, MAX_TILES};
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::options::ScratchStorage;
use crate::core::tensor::{CHANNEL_PACK, MAX_ELEMENTS};

/// Equal tiles, and the image that holds the columns of one; `None` for a buffer.
pub(super) struct Tiling {
    pub(super) h_out_tile: u32,
    pub(super) w_out_tile: u32,
    pub(super) count: u64,
    pub(super) image: Option<ImageShape>,
    pub(super) reason: String,
}

/// Images up to this size can be made on every device that has them.
const MAX_IMAGE_BYTES: u64 = 1 << 31;

/// After so many guesses from the excess a tile is halved: drivers that pad by a constant would
/// make it shrink by ever smaller steps.
const PROPORTIONAL_STEPS: u32 = 16;

/// Why `auto` is a buffer on every device.
const BUFFER_RULE: &str = "columns in a buffer: the GEMM reads rows in order, which gains nothing \
                           from texture caches";

type Refused = String;

impl Candidates<'_> {
    /// The first storage that can hold a tile, in the order that begins with the one asked for.
    pub(super) fn tiling(&self) -> Result<Tiling, Refused> {
        use ScratchStorage::{Buffer, Texture2d, Texture3d};
        let asked = self.constraints.scratch_storage;
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
                    return Ok(Tiling { reason, ..tiling });
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
        Ok(Tiling { reason, ..tiling })
    }

    /// Bytes that any scratch must stay within.
    pub(super) fn most_bytes(&self) -> u64 {
        self.constraints
            .budget
            .bytes()
            .min(self.limits.max_allocation_bytes)
            .min(MAX_ELEMENTS * self.element.size_bytes())
    }

    fn pixel_bytes(&self) -> u64 {
        self.geometry
            .columns_per_pixel()
            .saturating_mul(self.element.size_bytes())
    }

    fn buffer_tiling(&self) -> Result<Tiling, Refused> {
        let most = self
            .most_bytes()
            .min(self.limits.max_storage_buffer_range_bytes);
        // Rounding a tile's columns up must not exceed it.
        let most = self.constraints.budget.rounded_down(most);
        let pixel = self.pixel_bytes();
        let pixels = most / pixel.max(1);
        if pixels == 0 {
            return Err(format!(
                "the columns of one pixel take {pixel} bytes, the budget is {most}"
            ));
        }
        self.few(self.balanced(self.rows_of(pixels)), most)
    }

    fn image_tiling(&self, dimensions: ImageDimensions) -> Result<Tiling, Refused> {
        let g = self.geometry;
        let extents = &self.limits.image_extents;
        let max = extents
            .get(dimensions, self.element)
            .ok_or_else(|| format!("the device has none of {:?}", self.element))?;
        let row = g.columns_per_pixel() / u64::from(CHANNEL_PACK) / u64::from(g.groups);
        let x = u32::try_from(row)
            .ok()
            .filter(|&x| x <= max[0])
            .ok_or_else(|| format!("K / 4 = {row} exceeds the extent of {}", max[0]))?;
        // Rows of columns along the axis that all groups share.
        let shared = match dimensions {
            ImageDimensions::Two => max[1],
            ImageDimensions::Three => max[2],
        };
        let per_group = u64::from(shared / g.groups);
        if per_group == 0 {
            return Err(format!("{} groups exceed the extent of {shared}", g.groups));
        }
        let most = self.most_bytes().min(MAX_IMAGE_BYTES);
        let pixels = (most / self.pixel_bytes().max(1)).max(1);
        let mut tile = match dimensions {
            ImageDimensions::Two => self.rows_of(pixels.min(per_group)),
            ImageDimensions::Three => {
                let [h, w] = self.rows_of(pixels);
                match u64::from(max[1]) {
                    limit if w > limit => [1, limit],
                    _ => [h.min(per_group), w],
                }
            }
        };
        for step in 0.. {
            let tiling = self.balanced(tile);
            let (h, w) = (tiling.h_out_tile, tiling.w_out_tile);
            let extent = match dimensions {
                ImageDimensions::Two => [x, h.saturating_mul(w).saturating_mul(g.groups), 1],
                ImageDimensions::Three => [x, w, h.saturating_mul(g.groups)],
            };
            let image = ImageShape {
                dimensions,
                extent,
                element: self.element,
            };
            let bytes = self
                .images
                .allocation_bytes(image)
                .ok_or_else(|| format!("the driver makes none of {extent:?}"))?
                .max(1);
            if bytes <= most {
                let image = Some(image);
                return self.few(Tiling { image, ..tiling }, most);
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
            reason: String::new(),
        }
    }

    fn few(&self, tiling: Tiling, most: u64) -> Result<Tiling, Refused> {
        if tiling.count > MAX_TILES {
            return Err(format!(
                "the budget of {most} bytes gives {} tiles",
                tiling.count
            ));
        }
        Ok(tiling)
    }
}
