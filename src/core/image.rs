//! Storage images as plain data.

use crate::core::tensor::Element;

/// Number of dimensions of a storage image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ImageDimensions {
    Two,
    Three,
}

/// A storage image. One texel holds four neighbouring elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// 2-D or 3-D.
    pub dimensions: ImageDimensions,
    /// Texels along x, y, z; z is 1 when it is 2-D.
    pub extent: [u32; 3],
    /// Type of the four elements; `F32` or `F16`.
    pub element: Element,
}

impl ImageShape {
    /// Bytes of its texels, without any alignment; saturates.
    pub fn texel_bytes(&self) -> u64 {
        self.extent
            .iter()
            .fold(4 * self.element.size_bytes(), |n, &e| {
                n.saturating_mul(e.into())
            })
    }
}
