//! Columns in images: a device that pads them, and the order in which storages give way.

use super::{budget, geometry, Random, CONSTANT};
use etvk::base::error::Result;
use etvk::core::constraints::Constraints;
use etvk::core::conv::ConvAlgorithm;
use etvk::core::device::{DeviceClass, DeviceLimits, ImageExtents, ImageSizes};
use etvk::core::image::{ImageDimensions, ImageShape};
use etvk::core::options::{Options, ScratchStorage};
use etvk::core::tensor::Element;
use etvk::ops::conv2d::plan::{plan_conv2d, Problem};

/// A device whose images take more memory than their texels.
#[derive(Debug)]
pub(super) struct FakeImages {
    max_2d: u32,
    max_3d: u32,
    /// Rows and layers are rounded up to so many bytes.
    row_bytes: u64,
    layer_bytes: u64,
    /// And this is added.
    more_bytes: u64,
    half: bool,
}

impl FakeImages {
    pub(super) fn random(random: &mut Random) -> Self {
        let power = |random: &mut Random, low, high| 1u32 << random.int(low, high);
        Self {
            max_2d: power(random, 2, 14),
            max_3d: power(random, 2, 12),
            row_bytes: power(random, 0, 16).into(),
            layer_bytes: power(random, 0, 20).into(),
            more_bytes: match random.int(0, 2) {
                0 => 0,
                _ => power(random, 0, 24).into(),
            },
            half: random.int(0, 1) == 1,
        }
    }
}

impl FakeImages {
    /// Without any padding.
    pub(super) fn roomy() -> Self {
        Self {
            max_2d: 16_384,
            max_3d: 2048,
            row_bytes: 1,
            layer_bytes: 1,
            more_bytes: 0,
            half: true,
        }
    }

    /// Lowers the extents of 2-D and 3-D images.
    pub(super) fn narrow_to(&mut self, max_2d: u32, max_3d: u32) {
        (self.max_2d, self.max_3d) = (max_2d, max_3d);
    }

    pub(super) fn extents(&self) -> ImageExtents {
        let mut extents = ImageExtents::default();
        for dimensions in [ImageDimensions::Two, ImageDimensions::Three] {
            for element in [Element::F32, Element::F16] {
                if let Some(extent) = self.max_extent(dimensions, element) {
                    extents.set(dimensions, element, extent);
                }
            }
        }
        extents
    }

    fn max_extent(&self, dimensions: ImageDimensions, element: Element) -> Option<[u32; 3]> {
        if element == Element::F16 && !self.half {
            return None;
        }
        Some(match dimensions {
            ImageDimensions::Two => [self.max_2d, self.max_2d, 1],
            ImageDimensions::Three => [self.max_3d; 3],
        })
    }
}

impl ImageSizes for FakeImages {
    fn allocation_bytes(&self, image: ImageShape) -> Result<Option<u64>> {
        let Some(max) = self.max_extent(image.dimensions, image.element) else {
            return Ok(None);
        };
        if image.extent.iter().zip(max).any(|(&e, m)| e == 0 || e > m) {
            return Ok(None);
        }
        let [x, y, z] = image.extent.map(u64::from);
        let row = (x * 4 * image.element.size_bytes()).next_multiple_of(self.row_bytes);
        let layer = (row * y).next_multiple_of(self.layer_bytes);
        Ok(Some(layer * z + self.more_bytes))
    }
}

/// The geometry's K is 576: 144 texels, 2304 bytes per pixel.
#[test]
fn storages_give_way_in_order_and_say_why() {
    let roomy = FakeImages::roomy;
    let planned = |images: FakeImages, storage, workspace_bytes| {
        let mut limits = DeviceLimits::minimum();
        limits.class = DeviceClass::Cpu;
        limits.image_extents = images.extents();
        let options = Options {
            scratch_storage: Some(storage),
            ..budget(workspace_bytes)
        };
        let constraints = Constraints::new(&options, &limits);
        let plan = plan_conv2d(&Problem {
            geometry: &geometry(),
            weight: CONSTANT,
            element: Element::F32,
            constraints: &constraints,
            images: &images,
        });
        let plan = plan.expect("good");
        let ConvAlgorithm::Im2col {
            h_out_tile,
            w_out_tile,
            image,
            ..
        } = plan.algorithm
        else {
            panic!("{plan:?}");
        };
        let extent = image.map(|image| image.extent);
        ([h_out_tile, w_out_tile], extent, plan.reason)
    };
    let (flat, deep) = (ScratchStorage::Texture2d, ScratchStorage::Texture3d);
    let mib = 1 << 20;
    let (tile, extent, reason) = planned(roomy(), flat, 16 * mib);
    assert_eq!(
        (tile, extent),
        ([43, 128], Some([144, 43 * 128, 1])),
        "{reason}"
    );
    assert!(reason.contains("texture2d as asked"), "{reason}");
    let (tile, extent, reason) = planned(roomy(), deep, 16 * mib);
    assert_eq!(
        (tile, extent),
        ([43, 128], Some([144, 128, 43])),
        "{reason}"
    );
    assert!(reason.contains("texture3d as asked"), "{reason}");
    // Rows of 4 KiB: 32 rows of output instead of 56.
    let wide_rows = FakeImages {
        row_bytes: 4096,
        ..roomy()
    };
    let (tile, _, reason) = planned(wide_rows, flat, 16 * mib);
    assert_eq!(tile, [32, 128], "{reason}");
    // Narrower than a row of output.
    let small = FakeImages {
        max_2d: 1000,
        max_3d: 150,
        ..roomy()
    };
    let (tile, extent, reason) = planned(small, flat, 16 * mib);
    assert_eq!(
        (tile, extent),
        ([7, 128], Some([144, 7 * 128, 1])),
        "{reason}"
    );
    let cut = FakeImages {
        max_2d: 150,
        max_3d: 147,
        ..roomy()
    };
    let (tile, extent, reason) = planned(cut, flat, mib / 8);
    assert_eq!((tile, extent), ([1, 43], Some([144, 43, 1])), "{reason}");
    // K exceeds the 3-D extent, then both.
    let shallow = FakeImages {
        max_3d: 143,
        ..roomy()
    };
    let (_, extent, reason) = planned(shallow, deep, 16 * mib);
    assert_eq!(extent, Some([144, 43 * 128, 1]), "{reason}");
    assert!(reason.contains("no texture3d: K / 4 = 144"), "{reason}");
    let neither = FakeImages {
        max_2d: 143,
        max_3d: 143,
        ..roomy()
    };
    let (tile, extent, reason) = planned(neither, deep, 16 * mib);
    assert_eq!((tile, extent), ([43, 128], None), "{reason}");
    for part in ["no texture3d: K", "no texture2d: K", "columns in buffer"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    // Padding alone exceeds the budget.
    let padded = FakeImages {
        more_bytes: 16 * mib,
        ..roomy()
    };
    let (_, extent, reason) = planned(padded, flat, 16 * mib);
    assert_eq!(extent, None, "{reason}");
    assert!(reason.contains("for a pixel takes"), "{reason}");
    // And nearly so: what is left is used.
    let padded = FakeImages {
        more_bytes: 16 * mib - 300_000,
        ..roomy()
    };
    let (tile, extent, reason) = planned(padded, flat, 16 * mib);
    assert_eq!((tile, extent), ([1, 128], Some([144, 128, 1])), "{reason}");
}
