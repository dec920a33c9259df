//! How much workspace a plan takes: what its kernels write there, and what the driver makes of it.

use super::problem::Problem;
use crate::base::error::{Error, Result};
use crate::core::conv::{ConvAlgorithm, Sums};
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::tensor::CHANNEL_PACK;

impl Problem<'_> {
    /// Bytes of the sums of `parts` parts for `pixels` outputs, in 32 bits; `None` when that overflows.
    pub(super) fn sums_bytes(&self, parts: u32, pixels: u64) -> Option<u64> {
        let row = u64::from(self.geometry.c_out).next_multiple_of(CHANNEL_PACK.into());
        pixels.checked_mul(row)?.checked_mul(4 * u64::from(parts))
    }

    /// Whether a buffer of `bytes`, as the driver allocates it, stays within budget and device.
    pub(super) fn fits(&self, bytes: Option<u64>) -> bool {
        let most = self.constraints.most_workspace_buffer_bytes(self.element);
        bytes.is_some_and(|bytes| bytes <= most)
    }

    /// Bytes of columns of each output pixel, of all groups; saturates.
    pub(super) fn pixel_bytes(&self) -> u64 {
        self.geometry
            .columns_per_pixel()
            .saturating_mul(self.element.size_bytes())
    }

    /// The image that holds the columns of a tile of `[height, width]` outputs; saturates.
    ///
    /// - 2-D: `x = k / 4`, `y = group * pixels + pixel`.
    /// - 3-D: `x = k / 4`, `y` the column of the tile, `z = group * rows + row` of the tile.
    pub(super) fn columns_image(
        &self,
        dimensions: ImageDimensions,
        [h, w]: [u32; 2],
    ) -> ImageShape {
        let groups = self.geometry.groups;
        let row = self.row_texels();
        let x = u32::try_from(row).unwrap_or(u32::MAX);
        ImageShape {
            dimensions,
            extent: match dimensions {
                ImageDimensions::Two => [x, h.saturating_mul(w).saturating_mul(groups), 1],
                ImageDimensions::Three => [x, w, h.saturating_mul(groups)],
            },
            element: self.element,
        }
    }

    /// Texels of a row of columns of one group.
    pub(super) fn row_texels(&self) -> u64 {
        let g = self.geometry;
        g.columns_per_pixel() / u64::from(CHANNEL_PACK) / u64::from(g.groups)
    }

    /// Bytes of the workspace that the kernels of `algorithm` write; of an image, what the driver
    /// allocates for it.
    pub(super) fn written_bytes(&self, algorithm: ConvAlgorithm) -> Result<u64> {
        let overflow = || Error::unsupported(format!("the workspace of \"{algorithm}\" overflows"));
        match algorithm {
            ConvAlgorithm::Im2col {
                image: Some(image), ..
            } => self
                .images
                .allocation_bytes(image)?
                .ok_or_else(|| Error::unsupported(format!("the driver makes none of {image:?}"))),
            ConvAlgorithm::Im2col {
                h_out_tile,
                w_out_tile,
                image: None,
                ..
            } => {
                let pixels = u64::from(h_out_tile) * u64::from(w_out_tile);
                let bytes = self.geometry.columns_per_pixel().checked_mul(pixels);
                bytes
                    .and_then(|elements| elements.checked_mul(self.element.size_bytes()))
                    .ok_or_else(overflow)
            }
            ConvAlgorithm::Implicit { sums, .. } | ConvAlgorithm::Winograd { sums, .. } => {
                match sums {
                    Sums::Whole | Sums::Serial { .. } => Ok(0),
                    Sums::Parts { parts, pixels_tile } => self
                        .sums_bytes(parts, pixels_tile.into())
                        .ok_or_else(overflow),
                }
            }
            ConvAlgorithm::Pointwise { .. }
            | ConvAlgorithm::Depthwise { .. }
            | ConvAlgorithm::Direct => Ok(0),
        }
    }

    /// What is allocated for it.
    pub(super) fn workspace_bytes(&self, algorithm: ConvAlgorithm) -> Result<u64> {
        let written = self.written_bytes(algorithm)?;
        match algorithm {
            ConvAlgorithm::Im2col { image: Some(_), .. } => Ok(written),
            _ => {
                let rounded = self.constraints.budget.rounded_up(written);
                rounded.ok_or_else(|| Error::unsupported("a workspace that overflows"))
            }
        }
    }
}
