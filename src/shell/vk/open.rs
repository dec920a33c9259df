//! The devices that are open: the one that the options ask for is found among them, or opened.

use super::device::{Opened, Owner};
use super::features::Features;
use super::gpu::Gpu;
use super::instance::{Instance, Validation, LIFETIME};
use super::physical::{choose, Candidate};
use super::queue::Queue;
use super::snapshot::Snapshot;
use super::{failure, hosted, lock};
use crate::base::error::{Error, Result};
use crate::core::options::Options;
use ash::vk;
use std::sync::{Arc, Mutex, Weak};

/// Those that this library opened.
static OPEN: Mutex<Vec<Weak<Gpu>>> = Mutex::new(Vec::new());

/// Those that outlive their last delegate because one of them asked for it.
static KEPT: Mutex<Vec<Arc<Gpu>>> = Mutex::new(Vec::new());

impl Gpu {
    /// The device that `options` ask for: an open one if it is still good, else a new one.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        if let Some(id) = options.host_device {
            return match options.device_index {
                None => hosted::open(id),
                Some(_) => Err(Error::argument(
                    "the options host_device and device_index exclude each other",
                )),
            };
        }
        let found = Found::search(options)?;
        let gpu = found.share_or_open()?;
        let mut kept = lock(&KEPT);
        // A lost device is kept no longer; it ends after the lock.
        let (lost, good): (Vec<_>, Vec<_>) = kept.drain(..).partition(|gpu| gpu.device.is_lost());
        *kept = good;
        if options.keep_device && !kept.iter().any(|other| Arc::ptr_eq(other, &gpu)) {
            kept.push(gpu.clone());
        }
        drop(kept);
        drop(lost);
        Ok(gpu)
    }

    /// Number of devices that are open.
    pub fn open_count() -> usize {
        lock(&OPEN)
            .iter()
            .filter(|gpu| gpu.strong_count() > 0)
            .count()
    }

    /// Lets go of the devices that the option `keep_device` keeps; those in use end with their last
    /// delegate.
    pub fn release_kept() {
        let kept = std::mem::take(&mut *lock(&KEPT));
        drop(kept);
    }

    /// Whether there is the device that `options` ask for. It is not opened: that takes long.
    pub fn probe(options: &Options) -> Result<()> {
        match options.host_device {
            Some(_) => Self::open(options).map(drop),
            None => Found::search(options).map(drop),
        }
    }
}

/// A physical device.
struct Found {
    instance: Arc<Instance>,
    handle: vk::PhysicalDevice,
    /// Its place among all of the instance.
    index: usize,
    /// The queue family to use.
    queue_family: u32,
}

impl Found {
    /// The one that `options` ask for.
    fn search(options: &Options) -> Result<Self> {
        let validation = match options.validation {
            true => Validation::On,
            false => Validation::Off,
        };
        let _lifetime = lock(&LIFETIME);
        let instance = Instance::shared(validation)?;
        // SAFETY: the instance is alive.
        let physical = unsafe { instance.handle.enumerate_physical_devices() }
            .map_err(|e| failure("no Vulkan device: vkEnumeratePhysicalDevices", e))?;
        let candidate = |&device: &vk::PhysicalDevice| {
            // SAFETY: `device` was enumerated from the instance.
            let (properties, families) = unsafe {
                (
                    instance.handle.get_physical_device_properties(device),
                    instance
                        .handle
                        .get_physical_device_queue_family_properties(device),
                )
            };
            Candidate::new(&properties, &families)
        };
        let candidates: Vec<Candidate> = physical.iter().map(candidate).collect();
        let chosen = choose(&candidates, options.device_index)?;
        Ok(Self {
            handle: physical[chosen.index],
            index: chosen.index,
            queue_family: chosen.queue_family,
            instance,
        })
    }

    /// What is open on it and good, else what is opened now. Two threads do not open it twice.
    fn share_or_open(self) -> Result<Arc<Gpu>> {
        let mut open = lock(&OPEN);
        open.retain(|gpu| gpu.strong_count() > 0);
        let good = |gpu: &Arc<Gpu>| {
            gpu.index() == self.index
                && Arc::ptr_eq(gpu.device.instance(), &self.instance)
                && !gpu.device.is_lost()
        };
        if let Some(gpu) = open.iter().filter_map(Weak::upgrade).find(good) {
            return Ok(gpu);
        }
        let gpu = self.open()?;
        open.push(Arc::downgrade(&gpu));
        drop(open);
        log::info!("device {}: {}", gpu.index(), gpu.name());
        Ok(gpu)
    }

    fn open(self) -> Result<Arc<Gpu>> {
        let snapshot = {
            let _lifetime = lock(&LIFETIME);
            Snapshot::ask(&self.instance, self.handle)?
        };
        let features = Features::usable(&snapshot);
        let handle = features.open(&self.instance, self.handle, self.queue_family)?;
        // SAFETY: the device was opened with the first queue of the family.
        let queue = unsafe { handle.get_device_queue(self.queue_family, 0) };
        Gpu::new(Opened {
            physical: self.handle,
            instance: self.instance,
            snapshot,
            index: self.index,
            features,
            handle,
            queue: Queue::new(queue, self.queue_family, None),
            owner: Owner::Us,
        })
    }
}
