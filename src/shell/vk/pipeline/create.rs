//! Pipelines made on several threads: drivers compile in the call.

use super::super::device::Device;
use ash::prelude::VkResult;
use ash::vk;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// A pipeline to make.
pub(super) struct Request<'a> {
    pub(super) module: vk::ShaderModule,
    pub(super) layout: vk::PipelineLayout,
    /// Specialization constants 0, 1, 2, ...
    pub(super) spec: &'a [u32],
}

/// Which request the driver refused first, and why.
pub(super) struct Refusal {
    pub(super) request: usize,
    pub(super) result: vk::Result,
}

/// The pipelines of `requests`: all of them, or none. Each thread takes the next request that nobody
/// has. They stop at a failure; every request before it was taken earlier and ends, so that which
/// failure is told does not depend on timing.
pub(super) fn create_all(
    device: &Device,
    cache: vk::PipelineCache,
    requests: &[Request<'_>],
) -> Result<Vec<vk::Pipeline>, Refusal> {
    let started = Instant::now();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(at) else {
                break;
            };
            let created = create(device, cache, request);
            if created.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            done.push((at, created));
        }
        done
    };
    let most = thread::available_parallelism().map_or(1, usize::from);
    let mut results = on_threads(most.min(requests.len()), work);
    results.sort_unstable_by_key(|&(at, _)| at);
    let refused = results.iter().find_map(|&(request, created)| {
        let result = created.err()?;
        Some(Refusal { request, result })
    });
    let pipelines: Vec<_> = results.into_iter().filter_map(|(_, r)| r.ok()).collect();
    match refused {
        None => {
            let ms = started.elapsed().as_secs_f64() * 1e3;
            log::debug!("made {} pipelines in {ms:.1} ms", pipelines.len());
            Ok(pipelines)
        }
        Some(refusal) => {
            pipelines.into_iter().for_each(|p| destroy(device, p));
            Err(refusal)
        }
    }
}

/// What `work` gives on each of `threads` threads, this one among them. Where no further thread can be
/// had, this one does all.
fn on_threads<T: Send>(threads: usize, work: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .map_while(|_| {
                let builder = thread::Builder::new().name("etvk pipelines".into());
                builder.spawn_scoped(scope, &work).ok()
            })
            .collect();
        let mut results = work();
        for helper in helpers {
            results.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    })
}

fn create(
    device: &Device,
    cache: vk::PipelineCache,
    request: &Request<'_>,
) -> VkResult<vk::Pipeline> {
    let started = Instant::now();
    let entries: Vec<vk::SpecializationMapEntry> = (0u32..)
        .zip(request.spec)
        .map(|(constant_id, _)| vk::SpecializationMapEntry {
            constant_id,
            offset: constant_id * 4,
            size: 4,
        })
        .collect();
    let words = request.spec.iter();
    let data: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
    let specialization = vk::SpecializationInfo::default()
        .map_entries(&entries)
        .data(&data);
    let stage = vk::PipelineShaderStageCreateInfo::default()
        .stage(vk::ShaderStageFlags::COMPUTE)
        .module(request.module)
        .name(c"main")
        .specialization_info(&specialization);
    let info = vk::ComputePipelineCreateInfo::default()
        .stage(stage)
        .layout(request.layout);
    // SAFETY: module and layout belong to this device; all borrowed data outlives the call. Threads
    // may use one cache: it synchronizes itself.
    let created = unsafe { device.handle.create_compute_pipelines(cache, &[info], None) };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    log::trace!("a pipeline: {ms:.1} ms");
    match created {
        Ok(made) => Ok(made.first().copied().unwrap_or_default()),
        Err((partial, result)) => {
            partial.into_iter().for_each(|p| destroy(device, p));
            Err(result)
        }
    }
}

fn destroy(device: &Device, pipeline: vk::Pipeline) {
    // SAFETY: made just now and used by nothing; null is ignored.
    unsafe { device.handle.destroy_pipeline(pipeline, None) };
}
