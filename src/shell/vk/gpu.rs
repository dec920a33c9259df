//! A device with everything that its delegates share: pipelines, workspaces, what is known of images,
//! threads.

use super::device::{Device, Opened};
use super::image::DriverImages;
use super::pipeline::Pipelines;
use super::workspace::SharedWorkspaces;
use crate::base::error::Result;
use crate::base::parallel::Workers;
use crate::core::device::{DeviceLimits, DeviceView, ImageSizes};
use std::sync::Arc;

/// One per open device, shared by all delegates on it; the last one to go ends it.
pub struct Gpu {
    pipelines: Pipelines,
    images: DriverImages,
    pub(super) workspaces: SharedWorkspaces,
    workers: Workers,
    pub(super) device: Arc<Device>,
}

impl Gpu {
    /// On a device that was just opened, which it takes over also on failure.
    pub(super) fn new(opened: Opened) -> Result<Arc<Self>> {
        let properties = opened.snapshot.properties;
        let device = Device::new(opened)?;
        Ok(Arc::new(Self {
            pipelines: Pipelines::new(&device, &properties)?,
            images: DriverImages::new(&device),
            workspaces: SharedWorkspaces::default(),
            workers: Workers::default(),
            device,
        }))
    }

    /// What planners may know of it.
    pub fn limits(&self) -> &DeviceLimits {
        self.device.limits()
    }

    /// What its driver allocates for images.
    pub fn images(&self) -> &dyn ImageSizes {
        &self.images
    }

    /// Both of these.
    pub fn view(&self) -> DeviceView<'_> {
        DeviceView {
            limits: self.limits(),
            images: self.images(),
        }
    }

    /// Its pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// Threads for copies between the host and the device.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Its name, as the driver gives it.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Its index among all enumerated devices.
    pub fn index(&self) -> usize {
        self.device.index()
    }

    /// Whether it runs under the validation layer.
    pub fn validated(&self) -> bool {
        self.device.validated()
    }

    /// Fails once the device is lost: nothing on it can be trusted any more.
    pub fn alive(&self) -> Result<()> {
        self.device.alive()
    }
}
