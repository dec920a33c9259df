//! Pipeline caches in files that the caller names: taken over when a delegate is loaded, written
//! when its load made pipelines that the file does not have. Nothing here is an error: without the
//! file, loading is only slower.

use super::cache_file::{decode, encode, pipeline_key, CachedPipelines};
use super::cache_place::{read, replace};
use super::lock;
use super::pipeline::{Pipelines, Store};
use ash::prelude::VkResult;
use ash::vk;
use std::collections::BTreeSet;
use std::path::Path;

impl Pipelines {
    /// Takes over what the file at `path` holds, unless that was done before. A file that is not
    /// there is no trouble; one that is of no use is told in the log.
    pub fn load(&self, path: &Path) {
        let mut store = lock(&self.store);
        if store.files.contains_key(path) {
            return;
        }
        let ignored = |why: &str| log::warn!("pipeline cache {}: {why}; ignored", path.display());
        let mut known = BTreeSet::new();
        match read(path) {
            Ok(None) => log::debug!("pipeline cache {}: no file yet", path.display()),
            Err(error) => ignored(&error.to_string()),
            Ok(Some(bytes)) => match decode(&self.identity, &bytes) {
                Err(why) => ignored(why),
                Ok(cached) => match self.take_over(&mut store, &cached.data) {
                    Ok(()) => known = cached.keys,
                    Err(result) => ignored(&format!("{result:?}")),
                },
            },
        }
        store.files.insert(path.to_owned(), known);
    }

    /// `data` has passed [`decode`].
    fn take_over(&self, store: &mut Store, data: &[u8]) -> VkResult<()> {
        let info = vk::PipelineCacheCreateInfo::default().initial_data(data);
        // SAFETY: the device is alive; the data came from this driver for this device, whole.
        let cache = unsafe { self.device.handle.create_pipeline_cache(&info, None) }?;
        if store.pipelines.is_empty() {
            // SAFETY: caches are only used under the lock of `store`; the old one holds nothing.
            unsafe { self.device.handle.destroy_pipeline_cache(store.cache, None) };
            store.cache = cache;
            return Ok(());
        }
        // SAFETY: as above; both are of this device, and the new one is known here alone.
        unsafe {
            let merged = self
                .device
                .handle
                .merge_pipeline_caches(store.cache, &[cache]);
            self.device.handle.destroy_pipeline_cache(cache, None);
            merged
        }
    }

    /// Writes all pipelines of this device to the file at `path`, if it does not have them all; see
    /// [`replace`] for what may be written over.
    pub fn save(&self, path: &Path) {
        let mut store = lock(&self.store);
        let keys = store.pipelines.keys();
        let mut keys: BTreeSet<u64> = keys.map(|(s, spec)| pipeline_key(*s, spec)).collect();
        if let Some(known) = store.files.get(path) {
            if keys.is_subset(known) {
                return;
            }
            keys.extend(known);
        }
        let failed =
            |why: &str| log::warn!("pipeline cache {}: {why}; not written", path.display());
        // SAFETY: the cache is alive, and only used under the lock of `store`.
        let data = match unsafe { self.device.handle.get_pipeline_cache_data(store.cache) } {
            Ok(data) => data,
            Err(result) => return failed(&format!("vkGetPipelineCacheData: {result:?}")),
        };
        let cached = CachedPipelines { keys, data };
        let Some(bytes) = encode(&self.identity, &cached) else {
            return failed("it would be too large");
        };
        match replace(path, &bytes) {
            Ok(()) => {
                log::debug!("pipeline cache {}: {} bytes", path.display(), bytes.len());
                store.files.insert(path.to_owned(), cached.keys);
            }
            Err(error) => failed(&error.to_string()),
        }
    }
}
