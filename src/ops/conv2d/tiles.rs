//! What follows from a tile: how it lies over a convolution, what it needs of a device, its code.

mod depthwise;
mod implicit;
mod winograd;

pub(super) use implicit::eights;
pub(super) use winograd::{quads, quads_per_part, regions as winograd_regions, weight_elements};
