//! Messages of the Khronos validation layer. Each one is logged, counted, and makes the next call
//! that looks (normally the call in progress) fail.

use super::lock;
use crate::base::error::{Error, Result};
use ash::vk;
use std::ffi::{c_void, CStr};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

static COUNT: AtomicU64 = AtomicU64::new(0);
static PENDING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Messages kept for the next failing call; a broken program can produce one per dispatch.
const MAX_PENDING: usize = 8;

/// Number of warnings and errors of the validation layer since the process started. Tests compare
/// it before and after, so that destruction is covered too.
pub fn message_count() -> u64 {
    COUNT.load(Ordering::Acquire)
}

/// Fails with the text of the messages that no call has reported yet.
pub fn check() -> Result<()> {
    let messages = std::mem::take(&mut *lock(&PENDING));
    if messages.is_empty() {
        return Ok(());
    }
    Err(Error::internal(format!(
        "Vulkan validation: {}",
        messages.join("; ")
    )))
}

fn note(text: String) {
    COUNT.fetch_add(1, Ordering::AcqRel);
    if log::log_enabled!(log::Level::Error) {
        log::error!("Vulkan validation: {text}");
    } else {
        // A message at the very end has no call left to fail: print it in any case.
        let _ = writeln!(std::io::stderr(), "etvk: Vulkan validation: {text}");
    }
    let mut pending = lock(&PENDING);
    if pending.len() < MAX_PENDING {
        pending.push(text);
    }
}

/// What the messenger listens to.
pub(super) fn messenger_info() -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
    use vk::{
        DebugUtilsMessageSeverityFlagsEXT as Severity, DebugUtilsMessageTypeFlagsEXT as Type,
    };
    vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(Severity::WARNING | Severity::ERROR)
        .message_type(Type::GENERAL | Type::VALIDATION | Type::PERFORMANCE)
        .pfn_user_callback(Some(on_message))
}

/// Called by the loader and the layer, on any thread.
unsafe extern "system" fn on_message(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    types: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    _user: *mut c_void,
) -> vk::Bool32 {
    // A panic must not unwind into C: a host's logger may panic.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: Vulkan passes a valid structure, or null which `as_ref` turns into `None`.
        let message = unsafe { data.as_ref() }.map_or(std::ptr::null(), |data| data.p_message);
        let text = if message.is_null() {
            "message without text".to_owned()
        } else {
            // SAFETY: a non-null message is a NUL-terminated string that outlives this call.
            unsafe { CStr::from_ptr(message) }
                .to_string_lossy()
                .into_owned()
        };
        if types.contains(vk::DebugUtilsMessageTypeFlagsEXT::GENERAL) {
            // The loader's remarks on other drivers of the machine; not about our calls.
            log::warn!("Vulkan loader: {text}");
        } else {
            note(text);
        }
    });
    vk::FALSE
}
