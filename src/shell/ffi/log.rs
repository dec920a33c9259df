//! Log records for a callback of C.

use crate::base::error::{Error, Result};
use crate::base::log_sink::Callback;
use crate::core::options::LogLevel;
use std::ffi::{c_char, c_void, CString};

type Function = unsafe extern "C" fn(*mut c_void, u32, *const c_char);

/// The host's pointer, which the header says is used on any thread.
struct Context(*mut c_void);

// SAFETY: it is only passed back to the host's callback, which is told that any thread may call.
unsafe impl Send for Context {}
// SAFETY: as above, several at once.
unsafe impl Sync for Context {}

impl Context {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// `function` with `context`, for the sink.
///
/// # Safety
/// The function can be called with the context until the callback is dropped.
pub(super) unsafe fn callback(function: Function, context: *mut c_void) -> Callback {
    let context = Context(context);
    Box::new(move |level, text| {
        let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
        // SAFETY: the caller's promise; the text ends, and lives for the call.
        unsafe { function(context.get(), level as u32, text.as_ptr()) };
    })
}

/// The level with that number.
pub(super) fn filter(level: u32) -> Result<LogLevel> {
    let known = LogLevel::iter().find(|filter| *filter as u32 == level);
    known.ok_or_else(|| Error::argument(format!("log level {level} does not exist")))
}
