//! Compute pipelines, made once per device and shared by all delegates on it.

mod create;

use super::cache_file::{kernels_digest, Identity};
use super::device::Device;
use super::lock;
use crate::base::error::{Error, Result};
use crate::core::program::{Dispatch, Program};
use crate::core::shader::{BindingKind, Shader};
use crate::core::valid::check_dispatch;
use ash::vk;
use create::{create_all, Request};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What recording needs of one dispatch's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PipelineHandles {
    pub(super) pipeline: vk::Pipeline,
    pub(super) layout: vk::PipelineLayout,
    pub(super) set_layout: vk::DescriptorSetLayout,
}

/// What a kernel binds as 0, 1, 2, ...
type Bindings = &'static [BindingKind];

/// What a pipeline layout is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Interface {
    bindings: Bindings,
    push_words: u32,
}

impl Interface {
    fn of(shader: Shader) -> Self {
        let info = shader.info();
        Self {
            bindings: info.bindings,
            push_words: info.push_words,
        }
    }
}

/// A kernel and its specialization constants.
type PipelineKey = (Shader, Vec<u32>);

/// The descriptor type of `kind`.
pub(super) fn descriptor_type(kind: BindingKind) -> vk::DescriptorType {
    match kind {
        BindingKind::Buffer => vk::DescriptorType::STORAGE_BUFFER,
        BindingKind::Image => vk::DescriptorType::STORAGE_IMAGE,
    }
}

/// All pipelines of a device. Whoever records them holds this.
pub struct Pipelines {
    /// What caches in files must be of.
    pub(super) identity: Identity,
    pub(super) store: Mutex<Store>,
    pub(super) device: Arc<Device>,
}

/// What was made so far.
#[derive(Default)]
pub(super) struct Store {
    /// Only used under the lock that guards all of this.
    pub(super) cache: vk::PipelineCache,
    /// The files whose caches were taken over, and the pipelines that each has.
    pub(super) files: HashMap<PathBuf, BTreeSet<u64>>,
    modules: HashMap<Shader, vk::ShaderModule>,
    set_layouts: HashMap<Bindings, vk::DescriptorSetLayout>,
    layouts: HashMap<Interface, vk::PipelineLayout>,
    pub(super) pipelines: HashMap<PipelineKey, vk::Pipeline>,
}

impl Pipelines {
    /// None yet, on a device with these properties.
    pub(super) fn new(
        device: &Arc<Device>,
        properties: &vk::PhysicalDeviceProperties,
    ) -> Result<Self> {
        let info = vk::PipelineCacheCreateInfo::default();
        // SAFETY: the device is alive.
        let cache = unsafe { device.handle.create_pipeline_cache(&info, None) };
        Ok(Self {
            identity: Identity {
                vendor_id: properties.vendor_id,
                device_id: properties.device_id,
                driver_version: properties.driver_version,
                cache_uuid: properties.pipeline_cache_uuid,
                kernels: kernels_digest(),
            },
            store: Mutex::new(Store {
                cache: device.check("vkCreatePipelineCache", cache)?,
                ..Store::default()
            }),
            device: device.clone(),
        })
    }

    /// The pipeline of every dispatch of `program`; the missing ones are made on several threads.
    pub(super) fn of(&self, program: &Program) -> Result<Vec<PipelineHandles>> {
        for (at, dispatch) in program.dispatches.iter().enumerate() {
            let checked = self.check(program, dispatch);
            checked.map_err(|e| e.context(format!("dispatch {at}")))?;
        }
        let mut store = lock(&self.store);
        let mut missing: Vec<PipelineKey> = Vec::new();
        let mut seen = HashSet::new();
        for dispatch in &program.dispatches {
            let key = (dispatch.shader, dispatch.spec.clone());
            if !store.pipelines.contains_key(&key) && seen.insert(key.clone()) {
                missing.push(key);
            }
        }
        if !missing.is_empty() {
            store.make(&self.device, missing)?;
        }
        let handles = program.dispatches.iter().map(|d| store.handles(d));
        let handles: Option<Vec<_>> = handles.collect();
        handles.ok_or_else(|| Error::internal("a pipeline is missing after it was made"))
    }

    /// What `check_dispatch` checks, and how many buffers the driver binds.
    fn check(&self, program: &Program, dispatch: &Dispatch) -> Result<()> {
        check_dispatch(program, dispatch, self.device.limits())?;
        // Every device has room for four images; no kernel binds more than one.
        let bindings = dispatch.shader.info().bindings;
        let buffers = bindings.iter().filter(|&&k| k == BindingKind::Buffer);
        let buffers = u32::try_from(buffers.count()).unwrap_or(u32::MAX);
        let most = self.device.max_bindings();
        if buffers > most {
            return Err(Error::unsupported(format!(
                "{buffers} storage buffers exceed the device's limit of {most}"
            )));
        }
        Ok(())
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        if !self.device.may_free() {
            return;
        }
        let store = self.store.get_mut();
        let store = std::mem::take(store.unwrap_or_else(PoisonError::into_inner));
        let device = &self.device.handle;
        // SAFETY: recordings held this, and are gone.
        unsafe {
            for pipeline in store.pipelines.into_values() {
                device.destroy_pipeline(pipeline, None);
            }
            for layout in store.layouts.into_values() {
                device.destroy_pipeline_layout(layout, None);
            }
            for set_layout in store.set_layouts.into_values() {
                device.destroy_descriptor_set_layout(set_layout, None);
            }
            for module in store.modules.into_values() {
                device.destroy_shader_module(module, None);
            }
            device.destroy_pipeline_cache(store.cache, None);
        }
    }
}

impl Store {
    fn handles(&self, dispatch: &Dispatch) -> Option<PipelineHandles> {
        let interface = Interface::of(dispatch.shader);
        let key = (dispatch.shader, dispatch.spec.clone());
        Some(PipelineHandles {
            pipeline: *self.pipelines.get(&key)?,
            layout: *self.layouts.get(&interface)?,
            set_layout: *self.set_layouts.get(interface.bindings)?,
        })
    }

    /// Makes the pipelines `missing`: all of them, or none.
    fn make(&mut self, device: &Device, missing: Vec<PipelineKey>) -> Result<()> {
        let mut requests = Vec::with_capacity(missing.len());
        for (shader, spec) in &missing {
            requests.push(Request {
                module: self.module(device, *shader)?,
                layout: self.layout(device, Interface::of(*shader))?,
                spec,
            });
        }
        let describe = |(shader, spec): &PipelineKey| format!("{} {spec:?}", shader.info().name);
        let created = create_all(device, self.cache, &requests);
        let pipelines = created.or_else(|refusal| {
            let error = device.check("vkCreateComputePipelines", Err(refusal.result));
            let place = missing.get(refusal.request).map(describe);
            error.map_err(|e| e.context(place.unwrap_or_default()))
        })?;
        for (key, pipeline) in missing.into_iter().zip(pipelines) {
            device.name_object(pipeline, &format!("etvk {}", describe(&key)));
            self.pipelines.insert(key, pipeline);
        }
        Ok(())
    }

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

    fn set_layout(
        &mut self,
        device: &Device,
        bindings: Bindings,
    ) -> Result<vk::DescriptorSetLayout> {
        if let Some(&layout) = self.set_layouts.get(bindings) {
            return Ok(layout);
        }
        let descriptions: Vec<vk::DescriptorSetLayoutBinding<'_>> = (0u32..)
            .zip(bindings)
            .map(|(binding, &kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(descriptor_type(kind))
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&descriptions);
        // SAFETY: the device is alive; the bindings outlive the call.
        let created = unsafe { device.handle.create_descriptor_set_layout(&info, None) };
        let layout = device.check("vkCreateDescriptorSetLayout", created)?;
        self.set_layouts.insert(bindings, layout);
        Ok(layout)
    }

    fn layout(&mut self, device: &Device, interface: Interface) -> Result<vk::PipelineLayout> {
        if let Some(&layout) = self.layouts.get(&interface) {
            return Ok(layout);
        }
        let set_layouts = [self.set_layout(device, interface.bindings)?];
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(interface.push_words * 4)];
        let mut info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set_layouts);
        if interface.push_words > 0 {
            info = info.push_constant_ranges(&ranges);
        }
        // SAFETY: the set layout belongs to this device.
        let created = unsafe { device.handle.create_pipeline_layout(&info, None) };
        let layout = device.check("vkCreatePipelineLayout", created)?;
        self.layouts.insert(interface, layout);
        Ok(layout)
    }
}
