//! The Vulkan loader and instances. Instances are shared: one with validation, one without.

use super::{failure, forked, lock, validation};
use crate::base::error::{Error, ErrorKind, Result};
use ash::{ext, vk};
use std::ffi::CStr;
use std::sync::{Arc, Mutex};

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// The first version of Vulkan's headers with VK_KHR_cooperative_matrix.
const KNOWS_MATRICES: u32 = vk::make_api_version(0, 1, 3, 255);

/// Whether to run under the validation layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validation {
    Off,
    On,
}

/// A Vulkan 1.1 instance; never destroyed, nor is its messenger (see [`SHARED`]).
pub(super) struct Instance {
    pub(super) entry: ash::Entry,
    pub(super) handle: ash::Instance,
    pub(super) validation: Validation,
    /// Whether objects can be given names.
    pub(super) names: bool,
    /// Whether every layer knows VK_KHR_cooperative_matrix: an older validation layer refuses it.
    pub(super) layers_know_matrices: bool,
}

/// The loader stays for the life of the process: some drivers leave threads or thread-local
/// destructors behind, which must not find their code unmapped.
static LOADER: Mutex<Option<ash::Entry>> = Mutex::new(None);

/// Instances stay as well; they hold no device memory. The loader unmaps the driver with the last
/// instance, and NVIDIA's driver 580 could be mapped about ten times per process: from then on
/// vkCreateInstance said ERROR_INCOMPATIBLE_DRIVER.
static SHARED: Mutex<Vec<Arc<Instance>>> = Mutex::new(Vec::new());

/// Held while devices are made or destroyed. Vulkan allows that on several threads at once, but
/// NVIDIA's driver 580 crashed when one went while another came.
pub(super) static LIFETIME: Mutex<()> = Mutex::new(());

fn loader() -> Result<ash::Entry> {
    let mut slot = lock(&LOADER);
    if let Some(entry) = &*slot {
        return Ok(entry.clone());
    }
    // SAFETY: loading runs the initialisers of the system's Vulkan loader, which we must trust.
    let entry = unsafe { ash::Entry::load() }
        .map_err(|e| Error::new(ErrorKind::NoDevice, format!("no Vulkan loader: {e}")))?;
    Ok(slot.insert(entry).clone())
}

impl Instance {
    /// The shared instance, made at its first use.
    pub(super) fn shared(validation: Validation) -> Result<Arc<Self>> {
        forked::claim()?;
        let mut shared = lock(&SHARED);
        if let Some(instance) = shared.iter().find(|i| i.validation == validation) {
            return Ok(instance.clone());
        }
        let instance = Arc::new(Self::create(validation)?);
        shared.push(instance.clone());
        Ok(instance)
    }

    /// An instance that the host made, of Vulkan 1.1 or later.
    ///
    /// # Safety
    /// Both are what they are said to be, and stay.
    pub(super) unsafe fn of_host(
        get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr,
        instance: vk::Instance,
    ) -> Result<Self> {
        forked::claim()?;
        // SAFETY: the caller's promise; the name is a C string.
        let (entry, known) = unsafe {
            let known = get_instance_proc_addr(instance, c"vkGetDeviceProcAddr".as_ptr());
            let functions = ash::StaticFn {
                get_instance_proc_addr,
            };
            (ash::Entry::from_static_fn(functions), known.is_some())
        };
        if !known {
            return Err(Error::argument(
                "host device: get_instance_proc_addr does not know the instance",
            ));
        }
        Ok(Self {
            // SAFETY: as above.
            handle: unsafe { ash::Instance::load(entry.static_fn(), instance) },
            entry,
            validation: Validation::Off,
            names: false,
            // The host had the chance to enable them; its layers are its own.
            layers_know_matrices: true,
        })
    }

    fn create(validation: Validation) -> Result<Self> {
        let entry = loader()?;
        let wanted = Wanted::find(&entry, validation)?;
        let handle = wanted.create(&entry)?;
        if validation == Validation::On {
            let utils = ext::debug_utils::Instance::new(&entry, &handle);
            let info = validation::messenger_info();
            // SAFETY: the extension is enabled; the callback is a plain function.
            if let Err(e) = unsafe { utils.create_debug_utils_messenger(&info, None) } {
                // SAFETY: nothing was made from it.
                unsafe { handle.destroy_instance(None) };
                return Err(failure("vkCreateDebugUtilsMessengerEXT", e));
            }
        }
        Ok(Self {
            entry,
            handle,
            validation,
            names: wanted.names,
            layers_know_matrices: wanted.layers_know_matrices,
        })
    }
}

/// What an instance is made with.
struct Wanted {
    validation: Validation,
    /// VK_EXT_debug_utils.
    names: bool,
    /// VK_EXT_validation_features, for synchronization validation.
    synchronization: bool,
    layers_know_matrices: bool,
}

impl Wanted {
    /// What the loader and the validation layer have.
    fn find(entry: &ash::Entry, validation: Validation) -> Result<Self> {
        // SAFETY: the entry points come from a loaded loader.
        let version = unsafe { entry.try_enumerate_instance_version() }
            .map_err(|e| failure("vkEnumerateInstanceVersion", e))?
            .unwrap_or(vk::API_VERSION_1_0);
        if version < vk::API_VERSION_1_1 {
            return Err(Error::new(
                ErrorKind::NoDevice,
                "the Vulkan loader is older than version 1.1",
            ));
        }
        // SAFETY: as above.
        let present = unsafe { entry.enumerate_instance_extension_properties(None) }
            .map_err(|e| failure("vkEnumerateInstanceExtensionProperties", e))?;
        let mut wanted = Self {
            validation,
            names: offers(&present, ext::debug_utils::NAME),
            synchronization: false,
            layers_know_matrices: true,
        };
        if validation == Validation::On {
            wanted.ask_layer(entry)?;
        }
        Ok(wanted)
    }

    fn ask_layer(&mut self, entry: &ash::Entry) -> Result<()> {
        // SAFETY: the entry points come from a loaded loader; the layer's name is a C string.
        let in_layer =
            unsafe { entry.enumerate_instance_extension_properties(Some(VALIDATION_LAYER)) }
                .map_err(|e| {
                    let name = VALIDATION_LAYER.to_string_lossy();
                    Error::argument(format!("option validation: {name} is not there: {e:?}"))
                })?;
        // SAFETY: as above.
        let known = unsafe { entry.enumerate_instance_layer_properties() }
            .map_err(|e| failure("vkEnumerateInstanceLayerProperties", e))?;
        self.layers_know_matrices = known.iter().any(|layer| {
            layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER)
                && layer.spec_version >= KNOWS_MATRICES
        });
        self.synchronization = offers(&in_layer, ext::validation_features::NAME);
        self.names |= offers(&in_layer, ext::debug_utils::NAME);
        if !self.names {
            return Err(Error::argument("option validation: no VK_EXT_debug_utils"));
        }
        Ok(())
    }

    fn create(&self, entry: &ash::Entry) -> Result<ash::Instance> {
        let (mut layers, mut extensions) = (Vec::new(), Vec::new());
        if self.names {
            extensions.push(ext::debug_utils::NAME.as_ptr());
        }
        let application = vk::ApplicationInfo::default()
            .application_name(c"etvk")
            .engine_name(c"etvk")
            .api_version(vk::API_VERSION_1_1);
        let mut messenger = validation::messenger_info();
        let mut features = vk::ValidationFeaturesEXT::default().enabled_validation_features(&[
            vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION,
        ]);
        let mut info = vk::InstanceCreateInfo::default().application_info(&application);
        if self.validation == Validation::On {
            layers.push(VALIDATION_LAYER.as_ptr());
            info = info.push_next(&mut messenger);
        }
        if self.synchronization {
            extensions.push(ext::validation_features::NAME.as_ptr());
            info = info.push_next(&mut features);
        }
        let info = info
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        // SAFETY: every pointer in `info` lives until the end of this function.
        unsafe { entry.create_instance(&info, None) }
            .map_err(|e| failure("no Vulkan instance: vkCreateInstance", e))
    }
}

/// Whether `name` is among `extensions`.
pub(super) fn offers(extensions: &[vk::ExtensionProperties], name: &CStr) -> bool {
    extensions
        .iter()
        .any(|e| e.extension_name_as_c_str() == Ok(name))
}
