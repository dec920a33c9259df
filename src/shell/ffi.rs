//! The C ABI: what `include/etvk.h` declares. Raw pointers become checked references here, and
//! nowhere else; nothing panics or throws across.
#![allow(
    clippy::missing_safety_doc,
    reason = "these comments become the header, whose rules at the top say it once"
)]

mod call;
mod convert;
mod host_device;
mod log;
mod named_data;
mod overlap;
mod registry;
mod types;

pub use host_device::*;
pub use types::*;

use crate::base::error::{Error, Result};
use crate::base::log_sink;
use crate::core::options::Options;
use crate::shell::delegate::host::fits;
use crate::shell::delegate::Delegate;
use crate::shell::vk::{process_memory, validation, Gpu};
use call::{copy_text, guard, write};
use registry::{with_delegate, REGISTRY};
use std::ffi::{c_char, c_void, CStr};

/// ETVK_ABI_VERSION of the library that is loaded.
#[no_mangle]
pub extern "C" fn etvk_abi_version() -> u32 {
    ETVK_ABI_VERSION
}

/// Version of the library that is loaded, such as "0.1.0".
#[no_mangle]
pub extern "C" fn etvk_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The package's version with a NUL.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };

/// Name of a status, such as "ETVK_STATUS_OK"; never null, whatever the number.
#[no_mangle]
pub extern "C" fn etvk_status_name(status: i32) -> *const c_char {
    types::status_name(status).as_ptr()
}

/// 1 when a tensor of the etvk_dtype host may be passed for a port of the etvk_dtype port, as an
/// input and as an output; 0 when not, and for numbers that are no etvk_dtype. Equal types fit;
/// int32 and int64 fit each other; so do float16, float32 and float64. Numbers are rounded to
/// nearest, and an integer that the port's type does not hold is an error of the call.
#[no_mangle]
pub extern "C" fn etvk_dtype_fits(host: u32, port: u32) -> u32 {
    let fits = types::dtype_of(host)
        .and_then(|host| Ok((host, types::dtype_of(port)?)))
        .is_ok_and(|(host, port)| fits(host, port));
    u32::from(fits)
}

/// What went wrong in this thread's last call; empty when nothing did. Never null.
#[no_mangle]
pub extern "C" fn etvk_last_error() -> *const c_char {
    call::last_error()
}

/// ETVK_STATUS_OK when there is the Vulkan device that these options ask for (null and 0 for none).
/// The first program that is loaded opens it. With validation on it also fails with messages that
/// no call has reported yet.
#[no_mangle]
pub unsafe extern "C" fn etvk_probe(options: *const etvk_option, option_count: u32) -> etvk_status {
    guard(|| {
        // SAFETY: the caller says that `options` points at that many.
        let options = resolve(unsafe { convert::options(options, option_count) }?)?;
        Gpu::probe(&options)?;
        if options.validation {
            validation::check()?;
        }
        Ok(())
    })
}

fn resolve(pairs: Vec<(&str, &str)>) -> Result<Options> {
    let options = Options::from_environment(&pairs)?;
    if let Some(level) = options.log {
        log_sink::set_level(level);
    }
    Ok(options)
}

/// Sends the log records of the whole process, up to that etvk_log_level, to the callback, which is
/// given the context; to stderr when it is null. The option log changes the level later. When this
/// returns, the callback before is not running and will not be called again. Records that nobody
/// wants cost one comparison.
#[no_mangle]
pub unsafe extern "C" fn etvk_set_log_callback(
    callback: etvk_log_callback,
    context: *mut c_void,
    level: u32,
) -> etvk_status {
    guard(|| {
        // SAFETY: the caller says that callback and context are good until they are replaced.
        let callback = callback.map(|callback| unsafe { log::callback(callback, context) });
        log_sink::set_callback(callback, log::filter(level)?)
    })
}

/// Device memory of the whole process.
#[no_mangle]
pub unsafe extern "C" fn etvk_memory_of_process(out: *mut etvk_process_memory) -> etvk_status {
    guard(|| {
        let memory = process_memory();
        let (now, number) = (memory.now, |n: usize| u64::try_from(n).unwrap_or(u64::MAX));
        let memory = etvk_process_memory {
            workspace_bytes: now.workspace_bytes,
            activation_bytes: now.activation_bytes,
            weight_bytes: now.weight_bytes,
            staging_bytes: now.staging_bytes,
            driver_bytes: now.total_bytes(),
            driver_allocations: now.allocations,
            peak_driver_bytes: memory.peak_bytes,
            delegates: number(REGISTRY.len()),
            devices: number(Gpu::open_count()),
        };
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, memory, "out") }
    })
}

/// Lets go of the devices that the option keep_device keeps. Those in use end with their last
/// delegate.
#[no_mangle]
pub extern "C" fn etvk_release_devices() -> etvk_status {
    guard(|| {
        Gpu::release_kept();
        Ok(())
    })
}

/// Loads a program: parses the blob, compiles it for its largest input sizes, uploads constants.
/// The blob and the named data may be freed when it returns.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_create(
    info: *const etvk_create_info,
    out: *mut *mut etvk_delegate,
) -> etvk_status {
    guard(|| {
        call::check_out(out, "out")?;
        // SAFETY: the caller says that `info` points at `struct_size` bytes.
        let info = unsafe { convert::sized(info) }?;
        if info.blob.is_null() {
            return Err(Error::argument("blob is null"));
        }
        // SAFETY: as above, for what the structure points at.
        let (options, blob) = unsafe {
            (
                convert::options(info.options, info.option_count)?,
                call::slice(info.blob.cast::<u8>(), info.blob_size_bytes, "blob")?,
            )
        };
        let named = named_data::NamedData::new(&info);
        let delegate = Delegate::create(blob, &resolve(options)?, &named)?;
        convert::check_ports(&delegate)?;
        // SAFETY: `out` was checked above.
        unsafe { write(out, REGISTRY.add(delegate), "out") }
    })
}

/// Ends a delegate and frees all that it held. Null, and what was destroyed before, are ignored.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_destroy(delegate: *mut etvk_delegate) {
    guard(|| {
        let Some(entry) = REGISTRY.remove(delegate) else {
            return Ok(());
        };
        let validated = entry.delegate.gpu().validated();
        drop(entry);
        if validated {
            validation::check()?;
        }
        Ok(())
    });
}

/// Number of inputs.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_input_count(
    delegate: *const etvk_delegate,
    out: *mut u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: the caller says that `out` is writable; `write` checks what can be checked.
        unsafe { write(out, count(d.program()?.inputs.len())?, "out") }
    })
}

/// Number of outputs.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_output_count(
    delegate: *const etvk_delegate,
    out: *mut u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, count(d.program()?.outputs.len())?, "out") }
    })
}

/// Describes one input.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_input(
    delegate: *const etvk_delegate,
    index: u32,
    out: *mut etvk_port,
) -> etvk_status {
    with_delegate(delegate, |d| {
        let port = convert::port(pick(&d.program()?.inputs, index, "inputs")?)?;
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, port, "out") }
    })
}

/// Describes one output.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_output(
    delegate: *const etvk_delegate,
    index: u32,
    out: *mut etvk_port,
) -> etvk_status {
    with_delegate(delegate, |d| {
        let port = convert::port(pick(&d.program()?.outputs, index, "outputs")?)?;
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, port, "out") }
    })
}

/// Sets the dims of all inputs at once, each at most its max_dims; on error nothing changes.
/// Afterwards the outputs tell their new dims.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_resize(
    delegate: *mut etvk_delegate,
    inputs: *const etvk_input_shape,
    input_count: u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: the caller says that `inputs` points at that many.
        let inputs = unsafe { call::slice(inputs, call::size(input_count)?, "inputs") }?;
        d.resize(&convert::shapes(inputs, &d.program()?.inputs)?)
    })
}

/// Tells that the host does not receive the first count outputs, which are mutable buffers: a run
/// leaves them for the next one. ExecuTorch programs exported without alias_buffer_mutations are
/// such. ETVK_STATUS_UNSUPPORTED where the program does not say which constants they start from;
/// on error nothing changes.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_keep_outputs(
    delegate: *mut etvk_delegate,
    count: u32,
) -> etvk_status {
    with_delegate(delegate, |d| d.keep_outputs(call::size(count)?))
}

/// ETVK_STATUS_UNSUPPORTED when other, a delegate of the same program, has a copy of its own of a
/// mutable buffer that one of the two writes and the other only reads: results after the first run
/// would be wrong. Exporters make such programs where they cut a model in parts.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_check_beside(
    delegate: *const etvk_delegate,
    other: *const etvk_delegate,
) -> etvk_status {
    with_delegate(delegate, |d| {
        d.check_beside(&REGISTRY.find(other)?.delegate)
    })
}

/// Runs once and waits. Outputs are written only on success. An output's memory may overlap an
/// input's, but not another output's.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_execute(
    delegate: *mut etvk_delegate,
    inputs: *const etvk_tensor,
    input_count: u32,
    outputs: *const etvk_tensor,
    output_count: u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: the caller says that both point at that many, and each tensor at its bytes.
        unsafe {
            let inputs = call::slice(inputs, call::size(input_count)?, "inputs")?;
            let outputs = call::slice(outputs, call::size(output_count)?, "outputs")?;
            convert::Tensors::new(inputs, outputs)?
                .with(|inputs, outputs| d.execute(inputs, outputs))
        }
    })
}

/// Device memory by kind.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_memory(
    delegate: *const etvk_delegate,
    out: *mut etvk_memory,
) -> etvk_status {
    with_delegate(delegate, |d| {
        let memory = d.memory()?;
        let memory = etvk_memory {
            workspace_bytes: memory.workspace_bytes,
            workspace_budget_bytes: d.options().workspace_bytes,
            activation_bytes: memory.activation_bytes,
            weight_bytes: memory.weight_bytes,
            staging_bytes: memory.staging_bytes,
            driver_bytes: memory.total_bytes(),
            driver_allocations: memory.allocations,
        };
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, memory, "out") }
    })
}

/// Number of convolutions.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_convolution_count(
    delegate: *const etvk_delegate,
    out: *mut u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, count(d.program()?.convolutions.len())?, "out") }
    })
}

/// How one convolution is done for the current dims.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_convolution(
    delegate: *const etvk_delegate,
    index: u32,
    out: *mut etvk_convolution,
) -> etvk_status {
    with_delegate(delegate, |d| {
        let program = d.program()?;
        let report = pick(&program.convolutions, index, "convolutions")?;
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(out, convert::convolution(report), "out") }
    })
}

/// What the last run took on the GPU, one event per dispatch in order: writes at most capacity of
/// them to events, and to *count how many there are: none unless the option profile is on and the
/// current dims have run. events may be null when capacity is 0.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_profile(
    delegate: *const etvk_delegate,
    events: *mut etvk_profile_event,
    capacity: u32,
    count: *mut u32,
) -> etvk_status {
    with_delegate(delegate, |d| {
        call::check_out(count, "count")?;
        if capacity > 0 {
            call::check_out(events, "events")?;
        }
        let timed = d.profile()?;
        for (index, dispatch) in timed.iter().take(call::size(capacity)?).enumerate() {
            // SAFETY: the caller says that `events` has room for `capacity`, which `index` is
            // below.
            unsafe {
                write(
                    events.add(index),
                    convert::profile_event(dispatch),
                    "events",
                )
            }?;
        }
        // SAFETY: as in `etvk_delegate_input_count`.
        unsafe { write(count, self::count(timed.len())?, "count") }
    })
}

/// Everything that is known of the delegate, as JSON text. Writes at most size bytes, the NUL
/// included, and to *needed (may be null) the whole length with the NUL. buffer may be null when
/// size is 0.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_report(
    delegate: *const etvk_delegate,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: the caller says that `buffer` has `size` bytes and that `needed` is writable.
        unsafe { copy_text(&d.report()?, buffer, size, needed) }
    })
}

/// Name of the device, written as etvk_delegate_report writes.
#[no_mangle]
pub unsafe extern "C" fn etvk_delegate_device_name(
    delegate: *const etvk_delegate,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> etvk_status {
    with_delegate(delegate, |d| {
        // SAFETY: as in `etvk_delegate_report`.
        unsafe { copy_text(d.gpu().name(), buffer, size, needed) }
    })
}

fn count(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::internal("more than 2^32 of them"))
}

fn pick<'a, T>(items: &'a [T], index: u32, what: &str) -> Result<&'a T> {
    usize::try_from(index)
        .ok()
        .and_then(|i| items.get(i))
        .ok_or_else(|| {
            Error::argument(format!(
                "index {index}, the program has {} {what}",
                items.len()
            ))
        })
}
