//! Pipeline caches in files that the caller names: taken over when a delegate is loaded, written
//! when its load made pipelines that the file does not have. Nothing here is an error: without the
//! file, loading is only slower.

use super::cache_file::{decode, encode, kernels_digest, pipeline_key, Contents, Identity};
use super::cache_place::{read, replace};
use super::device::Device;
use super::lock;
use super::pipeline::Made;
use ash::vk;
use std::collections::BTreeSet;
use std::path::Path;

/// What caches of a device with these properties hold good for.
pub(super) fn identity(properties: &vk::PhysicalDeviceProperties) -> Identity {
    Identity {
        vendor_id: properties.vendor_id,
        device_id: properties.device_id,
        driver_version: properties.driver_version,
        cache_uuid: properties.pipeline_cache_uuid,
        kernels: kernels_digest(),
    }
}

impl Device {
    /// Takes over what the file at `path` holds, unless that was done before. A file that is not
    /// there is no trouble; one that is of no use is told in the log.
    pub fn load_pipelines(&self, path: &Path) {
        let mut made = lock(&self.pipelines.made);
        if made.files.contains_key(path) {
            return;
        }
        let ignored = |why: &str| log::warn!("pipeline cache {}: {why}; ignored", path.display());
        let mut known = BTreeSet::new();
        match read(path) {
            Ok(None) => log::debug!("pipeline cache {}: no file yet", path.display()),
            Err(error) => ignored(&error.to_string()),
            Ok(Some(bytes)) => match decode(&self.pipelines.identity, &bytes) {
                Err(why) => ignored(why),
                Ok(contents) => match self.take_over(&mut made, &contents.data) {
                    Ok(()) => known = contents.keys,
                    Err(result) => ignored(&format!("{result:?}")),
                },
            },
        }
        made.files.insert(path.to_owned(), known);
    }

    /// `data` has passed [`decode`].
    fn take_over(&self, made: &mut Made, data: &[u8]) -> ash::prelude::VkResult<()> {
        let info = vk::PipelineCacheCreateInfo::default().initial_data(data);
        // SAFETY: the device is alive; the data came from this driver for this device, whole.
        let cache = unsafe { self.handle.create_pipeline_cache(&info, None) }?;
        if made.pipelines.is_empty() {
            // SAFETY: caches are only used under the lock of `made`; the old one holds nothing.
            unsafe { self.handle.destroy_pipeline_cache(made.cache, None) };
            made.cache = cache;
            return Ok(());
        }
        // SAFETY: as above; both are of this device, and the new one is known here alone.
        unsafe {
            let merged = self.handle.merge_pipeline_caches(made.cache, &[cache]);
            self.handle.destroy_pipeline_cache(cache, None);
            merged
        }
    }

    /// Writes all pipelines of this device to the file at `path`, if it does not have them all; see
    /// [`replace`] for what may be written over.
    pub fn save_pipelines(&self, path: &Path) {
        let mut made = lock(&self.pipelines.made);
        let keys = made.pipelines.keys();
        let mut keys: BTreeSet<u64> = keys.map(|(s, spec)| pipeline_key(*s, spec)).collect();
        if let Some(known) = made.files.get(path) {
            if keys.is_subset(known) {
                return;
            }
            keys.extend(known);
        }
        let failed =
            |why: &str| log::warn!("pipeline cache {}: {why}; not written", path.display());
        // SAFETY: the cache is alive, and only used under the lock of `made`.
        let data = match unsafe { self.handle.get_pipeline_cache_data(made.cache) } {
            Ok(data) => data,
            Err(result) => return failed(&format!("vkGetPipelineCacheData: {result:?}")),
        };
        let contents = Contents { keys, data };
        let Some(bytes) = encode(&self.pipelines.identity, &contents) else {
            return failed("it would be too large");
        };
        match replace(path, &bytes) {
            Ok(()) => {
                log::debug!("pipeline cache {}: {} bytes", path.display(), bytes.len());
                made.files.insert(path.to_owned(), contents.keys);
            }
            Err(error) => failed(&error.to_string()),
        }
    }
}
