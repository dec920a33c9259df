//! Storage images as plain data: their shape, and what planners may ask a device about them.

use super::Element;
use crate::error::Error;
use std::fmt;
use std::sync::Arc;

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

/// What a device says of its storage images. A trait, so that planners are tested against devices
/// that align as no real one does.
pub trait Images: fmt::Debug + Send + Sync {
    /// Most texels along x, y, z; `None` where shaders cannot store such images.
    fn max_extent(&self, dimensions: ImageDimensions, element: Element) -> Option<[u32; 3]>;

    /// Bytes that the driver allocates for `image`, alignment of rows and layers included; `None`
    /// where it cannot be made.
    fn allocation_bytes(&self, image: ImageShape) -> Option<u64>;

    /// Why the device could not answer, if that has happened since this was last asked: plans made
    /// meanwhile rest on nothing.
    fn take_failure(&self) -> Option<Error> {
        None
    }
}

/// The [`Images`] of one device.
#[derive(Clone, Debug)]
pub struct DeviceImages(pub Arc<dyn Images>);

impl PartialEq for DeviceImages {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// No image at all.
#[derive(Clone, Copy, Debug)]
pub struct NoImages;

impl Images for NoImages {
    fn max_extent(&self, _: ImageDimensions, _: Element) -> Option<[u32; 3]> {
        None
    }

    fn allocation_bytes(&self, _: ImageShape) -> Option<u64> {
        None
    }
}
