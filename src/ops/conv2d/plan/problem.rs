//! What is planned: one convolution on one device.

use crate::core::constraints::Constraints;
use crate::core::conv::{ConvGeometry, WeightSource};
use crate::core::device::ImageSizes;
use crate::core::tensor::Element;

/// More tiles than this are only launch overhead: a budget that small is served by the direct kernel,
/// whose sums run in the same order and give the same bits. It also bounds the length of a program.
pub const MAX_TILES: u64 = 2048;

/// One convolution, and all that its plan depends on.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// Sizes.
    pub geometry: &'a ConvGeometry,
    /// Where the weight comes from.
    pub weight: WeightSource,
    /// How input, weight and output lie in memory.
    pub element: Element,
    /// The device and the caller's choices.
    pub constraints: &'a Constraints,
    /// What the driver says of images.
    pub images: &'a dyn ImageSizes,
}
