//! A choice in the making.

use super::problem::Problem;
use crate::base::error::{Error, Result};
use crate::core::constraints::Constraints;
use crate::core::conv::{ConvAlgorithm, ConvGeometry};
use crate::core::device::ImageSizes;
use crate::core::image::ImageShape;
use std::cell::RefCell;

/// An algorithm and why.
pub(super) type Choice = (ConvAlgorithm, String);

/// Why something is not taken.
pub(super) type Refused = String;

/// What the driver says of images, asked in the middle of a choice: where it fails to answer, the
/// choice is thrown away.
pub(super) struct Images<'a> {
    sizes: &'a dyn ImageSizes,
    failure: RefCell<Option<Error>>,
}

impl<'a> Images<'a> {
    fn new(sizes: &'a dyn ImageSizes) -> Self {
        let failure = RefCell::new(None);
        Self { sizes, failure }
    }

    pub(super) fn allocation_bytes(&self, image: ImageShape) -> Option<u64> {
        self.sizes.allocation_bytes(image).unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// Why the driver did not answer, if that has happened.
    pub(super) fn answered(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Chooses for one problem: each path in a file of its own.
pub(super) struct Planner<'a> {
    pub(super) problem: &'a Problem<'a>,
    pub(super) images: Images<'a>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        let images = Images::new(problem.images);
        Self { problem, images }
    }

    pub(super) fn geometry(&self) -> &'a ConvGeometry {
        self.problem.geometry
    }

    pub(super) fn constraints(&self) -> &'a Constraints {
        self.problem.constraints
    }
}
