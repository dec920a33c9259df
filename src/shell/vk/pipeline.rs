//! Compute pipelines, made once per device and shared by all delegates on it.

use super::cache_file::Identity;
use super::device::Device;
use super::pipeline_cache::identity;
use super::{failure, lock};
use crate::base::error::{Error, Result};
use crate::core::program::{Dispatch, Program};
use crate::core::shader::{BindingKind, Shader};
use crate::core::valid::check_dispatch;
use ash::vk;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// What recording needs of one dispatch's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) pipeline: vk::Pipeline,
    pub(super) layout: vk::PipelineLayout,
    pub(super) set_layout: vk::DescriptorSetLayout,
}

/// What a kernel binds as 0, 1, 2, ...
type Bindings = &'static [BindingKind];

/// The descriptor type of `kind`.
pub(super) fn descriptor_type(kind: BindingKind) -> vk::DescriptorType {
    match kind {
        BindingKind::Buffer => vk::DescriptorType::STORAGE_BUFFER,
        BindingKind::Image => vk::DescriptorType::STORAGE_IMAGE,
    }
}

/// All pipelines of a device. They live as long as it does.
pub(super) struct Pipelines {
    /// What caches in files must be of.
    pub(super) identity: Identity,
    pub(super) made: Mutex<Made>,
}

#[derive(Default)]
pub(super) struct Made {
    /// Only used under the lock that guards all of this.
    pub(super) cache: vk::PipelineCache,
    /// The files whose caches were taken over, and the pipelines that each has.
    pub(super) files: HashMap<PathBuf, BTreeSet<u64>>,
    modules: HashMap<Shader, vk::ShaderModule>,
    set_layouts: HashMap<Bindings, vk::DescriptorSetLayout>,
    /// By bindings and number of push words.
    layouts: HashMap<(Bindings, u32), vk::PipelineLayout>,
    pub(super) pipelines: HashMap<(Shader, Vec<u32>), vk::Pipeline>,
}

impl Pipelines {
    pub(super) fn new(
        device: &ash::Device,
        properties: &vk::PhysicalDeviceProperties,
    ) -> Result<Self> {
        let info = vk::PipelineCacheCreateInfo::default();
        // SAFETY: the device is alive.
        let cache = unsafe { device.create_pipeline_cache(&info, None) }
            .map_err(|e| failure("vkCreatePipelineCache", e))?;
        Ok(Self {
            identity: identity(properties),
            made: Mutex::new(Made {
                cache,
                ..Made::default()
            }),
        })
    }

    /// The pipeline of every dispatch of `program`; the missing ones are made on several threads.
    pub(super) fn of(device: &Device, program: &Program) -> Result<Vec<Bound>> {
        for (at, dispatch) in program.dispatches.iter().enumerate() {
            check(device, program, dispatch).map_err(|e| {
                e.context(format!("dispatch {at} ({})", dispatch.shader.info().name))
            })?;
        }
        let this = &device.pipelines;
        let mut made = lock(&this.made);
        let mut missing: Vec<(Shader, &[u32])> = Vec::new();
        let mut seen = HashSet::new();
        for dispatch in &program.dispatches {
            let key = (dispatch.shader, dispatch.spec.clone());
            if !made.pipelines.contains_key(&key) && seen.insert(key) {
                missing.push((dispatch.shader, &dispatch.spec));
            }
        }
        if !missing.is_empty() {
            make(device, &mut made, &missing)?;
        }
        let lost = || Error::internal("a pipeline is missing after it was made");
        program
            .dispatches
            .iter()
            .map(|dispatch| {
                let (bindings, words) = interface(dispatch.shader);
                let key = (dispatch.shader, dispatch.spec.clone());
                Ok(Bound {
                    pipeline: *made.pipelines.get(&key).ok_or_else(lost)?,
                    layout: *made.layouts.get(&(bindings, words)).ok_or_else(lost)?,
                    set_layout: *made.set_layouts.get(bindings).ok_or_else(lost)?,
                })
            })
            .collect()
    }

    /// Destroys everything; nothing may be used afterwards.
    pub(super) fn destroy(&mut self, device: &ash::Device) {
        let made = std::mem::take(
            self.made
                .get_mut()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        // SAFETY: recordings hold the device, so none is left that uses these.
        unsafe {
            for pipeline in made.pipelines.into_values() {
                device.destroy_pipeline(pipeline, None);
            }
            for layout in made.layouts.into_values() {
                device.destroy_pipeline_layout(layout, None);
            }
            for set_layout in made.set_layouts.into_values() {
                device.destroy_descriptor_set_layout(set_layout, None);
            }
            for module in made.modules.into_values() {
                device.destroy_shader_module(module, None);
            }
            device.destroy_pipeline_cache(made.cache, None);
        }
    }
}

/// Makes the pipelines `missing`: all of them, or none.
fn make(device: &Device, made: &mut Made, missing: &[(Shader, &[u32])]) -> Result<()> {
    let mut parts = Vec::with_capacity(missing.len());
    for &(shader, _) in missing {
        parts.push((made.module(device, shader)?, made.layout(device, shader)?));
    }
    let longest = missing
        .iter()
        .map(|(_, spec)| spec.len())
        .max()
        .unwrap_or(0);
    let entries: Vec<vk::SpecializationMapEntry> = (0u32..)
        .take(longest)
        .map(|id| vk::SpecializationMapEntry {
            constant_id: id,
            offset: id * 4,
            size: 4,
        })
        .collect();
    let data: Vec<Vec<u8>> = missing
        .iter()
        .map(|(_, spec)| spec.iter().flat_map(|word| word.to_ne_bytes()).collect())
        .collect();
    let specializations: Vec<vk::SpecializationInfo<'_>> = missing
        .iter()
        .zip(&data)
        .map(|((_, spec), data)| {
            vk::SpecializationInfo::default()
                .map_entries(&entries[..spec.len()])
                .data(data)
        })
        .collect();
    let infos: Vec<vk::ComputePipelineCreateInfo<'_>> = parts
        .iter()
        .zip(&specializations)
        .map(|(&(module, layout), specialization)| {
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main")
                .specialization_info(specialization);
            vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(layout)
        })
        .collect();
    let started = Instant::now();
    let (pipelines, threads) = create(device, made.cache, &infos).map_err(|(at, result)| {
        let error = device
            .check::<()>("vkCreateComputePipelines", Err(result))
            .err();
        let error = error.unwrap_or_else(|| Error::internal("vkCreateComputePipelines"));
        match missing.get(at) {
            Some((shader, spec)) => error.context(format!("{} {spec:?}", shader.info().name)),
            None => error,
        }
    })?;
    log::debug!(
        "made {} pipelines on {threads} threads in {:.1} ms",
        pipelines.len(),
        started.elapsed().as_secs_f64() * 1e3
    );
    for (&(shader, spec), pipeline) in missing.iter().zip(pipelines) {
        device.name_object(pipeline, &format!("etvk {} {spec:?}", shader.info().name));
        made.pipelines.insert((shader, spec.to_vec()), pipeline);
    }
    Ok(())
}

/// The pipelines of `infos`, and how many threads made them; or which of them the driver refused
/// first, and why. Drivers compile in the call, so threads share the work: each takes the next one
/// that nobody has. They stop at a failure; everything before it was taken earlier and ends, so
/// that which failure is told does not depend on timing.
fn create(
    device: &Device,
    cache: vk::PipelineCache,
    infos: &[vk::ComputePipelineCreateInfo<'_>],
) -> std::result::Result<(Vec<vk::Pipeline>, usize), (usize, vk::Result)> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(info) = infos.get(at) else {
                break;
            };
            let started = Instant::now();
            // SAFETY: modules and layouts belong to this device; all borrowed data outlives the
            // call. Threads may use one cache: it synchronizes itself.
            let created = unsafe {
                device
                    .handle
                    .create_compute_pipelines(cache, std::slice::from_ref(info), None)
            };
            log::trace!(
                "pipeline {at}: {:.1} ms",
                started.elapsed().as_secs_f64() * 1e3
            );
            let created = created.map_err(|(partial, result)| {
                destroy(device, partial);
                stop.store(true, Ordering::Relaxed);
                result
            });
            let first = |made: Vec<vk::Pipeline>| made.first().copied().unwrap_or_default();
            done.push((at, created.map(first)));
        }
        done
    };
    let most = thread::available_parallelism().map_or(1, usize::from);
    let mut threads = 1;
    let mut results = thread::scope(|scope| {
        // Where no thread can be had, this one does the work.
        let helpers: Vec<_> = (1..most.min(infos.len()))
            .map_while(|_| {
                let builder = thread::Builder::new().name("etvk pipelines".into());
                builder.spawn_scoped(scope, work).ok()
            })
            .collect();
        threads += helpers.len();
        let mut results = work();
        for helper in helpers {
            results.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|&(at, _)| at);
    match results.iter().find_map(|&(at, r)| Some((at, r.err()?))) {
        None => Ok((
            results.into_iter().filter_map(|(_, r)| r.ok()).collect(),
            threads,
        )),
        Some(refused) => {
            destroy(device, results.into_iter().filter_map(|(_, r)| r.ok()));
            Err(refused)
        }
    }
}

fn destroy(device: &Device, pipelines: impl IntoIterator<Item = vk::Pipeline>) {
    for pipeline in pipelines {
        // SAFETY: made just now and used by nothing; null is ignored.
        unsafe { device.handle.destroy_pipeline(pipeline, None) };
    }
}

impl Made {
    fn module(&mut self, device: &Device, shader: Shader) -> Result<vk::ShaderModule> {
        if let Some(&module) = self.modules.get(&shader) {
            return Ok(module);
        }
        let words = ash::util::read_spv(&mut std::io::Cursor::new(shader.info().spirv))
            .map_err(|e| Error::internal(format!("{}: {e}", shader.info().name)))?;
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: the code was made by the build and is whole.
        let created = unsafe { device.handle.create_shader_module(&info, None) };
        let module = device.check("vkCreateShaderModule", created)?;
        device.name_object(module, shader.info().name);
        self.modules.insert(shader, module);
        Ok(module)
    }

    fn set_layout(&mut self, device: &Device, kinds: Bindings) -> Result<vk::DescriptorSetLayout> {
        if let Some(&layout) = self.set_layouts.get(kinds) {
            return Ok(layout);
        }
        let bindings: Vec<vk::DescriptorSetLayoutBinding<'_>> = (0u32..)
            .zip(kinds)
            .map(|(binding, &kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(descriptor_type(kind))
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the device is alive; the bindings outlive the call.
        let created = unsafe { device.handle.create_descriptor_set_layout(&info, None) };
        let layout = device.check("vkCreateDescriptorSetLayout", created)?;
        self.set_layouts.insert(kinds, layout);
        Ok(layout)
    }

    fn layout(&mut self, device: &Device, shader: Shader) -> Result<vk::PipelineLayout> {
        let (bindings, words) = interface(shader);
        if let Some(&layout) = self.layouts.get(&(bindings, words)) {
            return Ok(layout);
        }
        let set_layouts = [self.set_layout(device, bindings)?];
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(words * 4)];
        let mut info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set_layouts);
        if words > 0 {
            info = info.push_constant_ranges(&ranges);
        }
        // SAFETY: the set layout belongs to this device.
        let created = unsafe { device.handle.create_pipeline_layout(&info, None) };
        let layout = device.check("vkCreatePipelineLayout", created)?;
        self.layouts.insert((bindings, words), layout);
        Ok(layout)
    }
}

/// Bindings and push words of `shader`.
fn interface(shader: Shader) -> (Bindings, u32) {
    let info = shader.info();
    (info.bindings, info.push_words)
}

/// What `check_dispatch` cannot know: how many buffers the driver binds.
fn check(device: &Device, program: &Program, dispatch: &Dispatch) -> Result<()> {
    check_dispatch(program, dispatch, device.limits())?;
    // Every device has room for four images; no kernel binds more than one.
    let bindings = dispatch.shader.info().bindings;
    let buffers = bindings.iter().filter(|&&k| k == BindingKind::Buffer);
    let buffers = u32::try_from(buffers.count()).unwrap_or(u32::MAX);
    if buffers > device.max_bindings() {
        return Err(Error::unsupported(format!(
            "{buffers} storage buffers exceed the device's limit of {}",
            device.max_bindings()
        )));
    }
    Ok(())
}
