//! The structures and numbers of the C ABI, under the names that C sees.
#![allow(non_camel_case_types, reason = "the names of the C header")]
#![allow(clippy::enum_variant_names, reason = "C has no namespaces")]

use crate::base::error::{Error, ErrorKind, Result};
use crate::core::tensor::DType;
use std::ffi::{c_char, c_void, CStr};

/// Grows when a structure or a function changes its meaning; additions leave it.
pub const ETVK_ABI_VERSION: u32 = 1;
/// First number of the library's version.
pub const ETVK_VERSION_MAJOR: u32 = 0;
/// Second number of the library's version.
pub const ETVK_VERSION_MINOR: u32 = 1;
/// Third number of the library's version.
pub const ETVK_VERSION_PATCH: u32 = 0;
/// Most dimensions of a tensor.
pub const ETVK_MAX_RANK: usize = 8;
/// Size of etvk_convolution.reason, its NUL included.
pub const ETVK_REASON_SIZE: usize = 160;

/// Size of the names in etvk_profile_event, their NUL included.
pub const ETVK_NAME_SIZE: usize = 96;

/// etvk_profile_event.node of what no node of the program asked for.
pub const ETVK_NO_NODE: u32 = u32::MAX;

/// What a call ended with. The numbers are frozen.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum etvk_status {
    /// Done; outputs are written.
    ETVK_STATUS_OK = 0,
    /// Null, a wrong size, dtype or shape, a bad option.
    ETVK_STATUS_INVALID_ARGUMENT = 1,
    /// Header, flatbuffer or graph of the blob is malformed.
    ETVK_STATUS_INVALID_BLOB = 2,
    /// A known operator with arguments that are not supported.
    ETVK_STATUS_UNSUPPORTED = 3,
    /// An operator that this library does not know.
    ETVK_STATUS_UNKNOWN_OPERATOR = 4,
    /// A named constant that the host could not supply.
    ETVK_STATUS_MISSING_DATA = 5,
    /// Host or device memory, or a stated limit, is too small.
    ETVK_STATUS_OUT_OF_MEMORY = 6,
    /// No Vulkan loader, no device, not the one asked for, or a process that was forked (rule 7).
    ETVK_STATUS_NO_DEVICE = 7,
    /// The device was lost: every later call says so too. Destroy its delegates and create again.
    ETVK_STATUS_DEVICE_LOST = 8,
    /// A broken invariant of the library, or a message of the validation layer.
    ETVK_STATUS_INTERNAL = 9,
    /// A panic was caught; the delegate can only be destroyed.
    ETVK_STATUS_PANIC = 10,
    /// The device did not finish within the time of the option timeout_ms. It counts as lost from now
    /// on, and memory that it may still use is never freed.
    ETVK_STATUS_TIMEOUT = 11,
}

use etvk_status::*;

/// Every status with its name.
const STATUSES: [(etvk_status, &CStr); 12] = [
    (ETVK_STATUS_OK, c"ETVK_STATUS_OK"),
    (
        ETVK_STATUS_INVALID_ARGUMENT,
        c"ETVK_STATUS_INVALID_ARGUMENT",
    ),
    (ETVK_STATUS_INVALID_BLOB, c"ETVK_STATUS_INVALID_BLOB"),
    (ETVK_STATUS_UNSUPPORTED, c"ETVK_STATUS_UNSUPPORTED"),
    (
        ETVK_STATUS_UNKNOWN_OPERATOR,
        c"ETVK_STATUS_UNKNOWN_OPERATOR",
    ),
    (ETVK_STATUS_MISSING_DATA, c"ETVK_STATUS_MISSING_DATA"),
    (ETVK_STATUS_OUT_OF_MEMORY, c"ETVK_STATUS_OUT_OF_MEMORY"),
    (ETVK_STATUS_NO_DEVICE, c"ETVK_STATUS_NO_DEVICE"),
    (ETVK_STATUS_DEVICE_LOST, c"ETVK_STATUS_DEVICE_LOST"),
    (ETVK_STATUS_INTERNAL, c"ETVK_STATUS_INTERNAL"),
    (ETVK_STATUS_PANIC, c"ETVK_STATUS_PANIC"),
    (ETVK_STATUS_TIMEOUT, c"ETVK_STATUS_TIMEOUT"),
];

/// Name of the status with that number.
pub(super) fn status_name(number: i32) -> &'static CStr {
    let found = STATUSES.iter().find(|(status, _)| *status as i32 == number);
    found.map_or(c"unknown status", |(_, name)| name)
}

impl From<ErrorKind> for etvk_status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => ETVK_STATUS_INVALID_ARGUMENT,
            ErrorKind::InvalidBlob => ETVK_STATUS_INVALID_BLOB,
            ErrorKind::Unsupported => ETVK_STATUS_UNSUPPORTED,
            ErrorKind::UnknownOperator => ETVK_STATUS_UNKNOWN_OPERATOR,
            ErrorKind::MissingData => ETVK_STATUS_MISSING_DATA,
            ErrorKind::OutOfMemory => ETVK_STATUS_OUT_OF_MEMORY,
            ErrorKind::NoDevice => ETVK_STATUS_NO_DEVICE,
            ErrorKind::DeviceLost => ETVK_STATUS_DEVICE_LOST,
            ErrorKind::Timeout => ETVK_STATUS_TIMEOUT,
            ErrorKind::Internal => ETVK_STATUS_INTERNAL,
        }
    }
}

/// Element types; the numbers are those of serialized programs.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum etvk_dtype {
    ETVK_DTYPE_BOOL = 0,
    ETVK_DTYPE_UINT8 = 1,
    ETVK_DTYPE_INT8 = 2,
    ETVK_DTYPE_INT32 = 3,
    ETVK_DTYPE_FLOAT16 = 4,
    ETVK_DTYPE_FLOAT32 = 5,
    ETVK_DTYPE_FLOAT64 = 6,
    ETVK_DTYPE_INT64 = 7,
}

use etvk_dtype::*;

/// Both names of every element type.
const DTYPES: [(etvk_dtype, DType); 8] = [
    (ETVK_DTYPE_BOOL, DType::Bool),
    (ETVK_DTYPE_UINT8, DType::U8),
    (ETVK_DTYPE_INT8, DType::I8),
    (ETVK_DTYPE_INT32, DType::I32),
    (ETVK_DTYPE_FLOAT16, DType::F16),
    (ETVK_DTYPE_FLOAT32, DType::F32),
    (ETVK_DTYPE_FLOAT64, DType::F64),
    (ETVK_DTYPE_INT64, DType::I64),
];

/// The element type with that number.
pub(super) fn dtype_of(number: u32) -> Result<DType> {
    let found = DTYPES.iter().find(|(dtype, _)| *dtype as u32 == number);
    found
        .map(|&(_, dtype)| dtype)
        .ok_or_else(|| Error::argument(format!("dtype {number} does not exist")))
}

/// The number of that element type.
pub(super) fn dtype_number(dtype: DType) -> u32 {
    let found = DTYPES.iter().find(|(_, d)| *d == dtype);
    found.map_or(u32::MAX, |&(number, _)| number as u32)
}

/// A loaded program. Opaque.
pub struct etvk_delegate {
    _opaque: [u8; 0],
}

/// One option. Keys and values are those of the environment variables ETVK_..., in lower case.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_option {
    /// NUL-terminated, such as "workspace_bytes".
    pub key: *const c_char,
    /// NUL-terminated, such as "16777216".
    pub value: *const c_char,
}

/// Supplies a named constant. Returns 0 and sets *data, *size_bytes and *token; any other number
/// means that it is not there. The bytes stay valid until release(context, token). Both are called
/// on the thread of etvk_delegate_create, and may call this library.
pub type etvk_named_data_get = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        key: *const c_char,
        data: *mut *const c_void,
        size_bytes: *mut usize,
        token: *mut *mut c_void,
    ) -> i32,
>;

/// Takes back what a successful etvk_named_data_get gave; called exactly once for each.
pub type etvk_named_data_release =
    Option<unsafe extern "C" fn(context: *mut c_void, token: *mut c_void)>;

/// How much is logged: records of the level and of those before it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum etvk_log_level {
    ETVK_LOG_OFF = 0,
    ETVK_LOG_ERROR = 1,
    ETVK_LOG_WARN = 2,
    ETVK_LOG_INFO = 3,
    ETVK_LOG_DEBUG = 4,
    ETVK_LOG_TRACE = 5,
}

/// Takes a log record: its etvk_log_level, and its text, NUL-terminated and valid for the call. The
/// records of a call of this library come on its thread, when it ends and holds no lock; with them
/// come those of threads of this library and of the driver. Outside of any call, the driver's come
/// on its own threads. It may run on several threads at once. It may call this library, whose
/// records are then dropped, but for etvk_set_log_callback, and not on threads of the driver: both
/// are ETVK_STATUS_INVALID_ARGUMENT. It must return soon, as rule 3 says. To see the records of a
/// call that never ends, let them go to stderr.
pub type etvk_log_callback =
    Option<unsafe extern "C" fn(context: *mut c_void, level: u32, message: *const c_char)>;

/// What etvk_delegate_create takes. Set it to zero, then fill it: later versions append members
/// whose zero means what there was before, and a larger struct_size than the library knows is
/// accepted as long as the rest is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_create_info {
    /// sizeof(etvk_create_info).
    pub struct_size: u32,
    /// Number of options.
    pub option_count: u32,
    /// Options; the environment fills what is not given. May be null when there are none.
    pub options: *const etvk_option,
    /// The program as the exporter wrote it.
    pub blob: *const c_void,
    /// Its length.
    pub blob_size_bytes: usize,
    /// May be null when every constant is in the blob.
    pub named_data_get: etvk_named_data_get,
    /// May be null when nothing has to be released.
    pub named_data_release: etvk_named_data_release,
    /// Passed to both.
    pub named_data_context: *mut c_void,
}

/// What a port carries.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum etvk_port_kind {
    /// A tensor.
    ETVK_PORT_TENSOR = 0,
    /// An integer that sizes depend on. It travels as a tensor of one int64 or int32, and an input
    /// must be what the last resize said.
    ETVK_PORT_INTEGER = 1,
}

/// An input or output as the program is set up now (dims), and at most (max_dims).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_port {
    /// An etvk_port_kind.
    pub kind: u32,
    /// What the host passes: an etvk_dtype.
    pub dtype: u32,
    /// Number of dims.
    pub rank: u32,
    /// Sizes now, outermost first.
    pub dims: [u32; ETVK_MAX_RANK],
    /// Sizes at most.
    pub max_dims: [u32; ETVK_MAX_RANK],
    /// Contiguous, of dims and dtype.
    pub size_bytes: u64,
}

/// One input of etvk_delegate_resize.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_input_shape {
    /// Number of dims; must be the port's.
    pub rank: u32,
    /// Sizes, outermost first.
    pub dims: [u32; ETVK_MAX_RANK],
    /// Read for ETVK_PORT_INTEGER inputs, and only then.
    pub integer: i64,
}

/// Host memory of one input or output. dtype may differ from the port's as etvk_dtype_fits says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_tensor {
    /// The bytes; those of inputs are not written.
    pub data: *mut c_void,
    /// How many there are; at least what dims and dtype need.
    pub size_bytes: usize,
    /// An etvk_dtype.
    pub dtype: u32,
    /// Number of dims.
    pub rank: u32,
    /// Must equal the port's current dims.
    pub dims: [u32; ETVK_MAX_RANK],
    /// rank entries, outermost dimension in memory first; null means contiguous (0, 1, 2, ...).
    pub dim_order: *const u8,
}

/// Device memory of one delegate.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_memory {
    /// Asked from the driver for convolution workspace. Of delegates that share one, the earliest
    /// tells it and the others tell 0, so that sums are right; so does driver_bytes.
    pub workspace_bytes: u64,
    /// What the option workspace_bytes allows.
    pub workspace_budget_bytes: u64,
    /// Intermediate tensors.
    pub activation_bytes: u64,
    /// Packed constants.
    pub weight_bytes: u64,
    /// Host-visible inputs and outputs.
    pub staging_bytes: u64,
    /// All device memory of this delegate, as allocated.
    pub driver_bytes: u64,
    /// Number of memory objects.
    pub driver_allocations: u64,
}

/// One dispatch of the last run. Times are from the begin of the run on the GPU, in nanoseconds;
/// dispatches follow each other without gaps.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_profile_event {
    /// Node id in the blob, which the exporter's debug maps know; ETVK_NO_NODE for copies between
    /// the host's layout and the device's.
    pub node: u32,
    /// Number of workgroups in x, y, z.
    pub workgroups: [u32; 3],
    /// When the dispatch before it ended; 0 for the first.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Operator of the node, such as "aten.convolution.default"; empty without a node. Of nodes
    /// that were fused, the first. NUL-terminated.
    pub operator_name: [c_char; ETVK_NAME_SIZE],
    /// The kernel, NUL-terminated.
    pub kernel: [c_char; ETVK_NAME_SIZE],
}

/// Device memory of the whole process: of all delegates, and of loads that are under way. All but
/// the peak is 0 before the first delegate and after the last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct etvk_process_memory {
    /// Convolution workspaces.
    pub workspace_bytes: u64,
    /// Intermediate tensors.
    pub activation_bytes: u64,
    /// Packed constants.
    pub weight_bytes: u64,
    /// Host-visible inputs, outputs and uploads.
    pub staging_bytes: u64,
    /// All of it, as allocated.
    pub driver_bytes: u64,
    /// Number of memory objects.
    pub driver_allocations: u64,
    /// The most driver_bytes that there were at one time.
    pub peak_driver_bytes: u64,
    /// Number of delegates.
    pub delegates: u64,
    /// Number of open devices.
    pub devices: u64,
}

/// How a convolution is done.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum etvk_conv_algorithm {
    /// A matrix product over the input as it lies.
    ETVK_CONV_POINTWISE = 0,
    /// One filter per channel.
    ETVK_CONV_DEPTHWISE = 1,
    /// Every output element on its own.
    ETVK_CONV_DIRECT = 2,
    /// im2col and matrix product, tile by tile in the workspace.
    ETVK_CONV_IM2COL = 3,
    /// A matrix product whose left operand is gathered from the input.
    ETVK_CONV_IMPLICIT = 4,
    /// Winograd's F(4x4, 3x3), one kernel; sums of parts of the inputs in the workspace.
    ETVK_CONV_WINOGRAD = 5,
}

/// One convolution of the program, for the current dims. Pairs are height, width.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the field's own terms")]
pub struct etvk_convolution {
    /// Node id in the blob.
    pub node: u32,
    pub n: u32,
    pub c_in: u32,
    pub h_in: u32,
    pub w_in: u32,
    pub c_out: u32,
    pub h_out: u32,
    pub w_out: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub groups: u32,
    /// 1 for a transposed convolution.
    pub transposed: u32,
    /// An etvk_conv_algorithm.
    pub algorithm: u32,
    /// Output rows per tile, at most; h_out where nothing is tiled.
    pub h_out_tile: u32,
    /// Output columns per tile, at most.
    pub w_out_tile: u32,
    pub tile_count: u32,
    pub dispatch_count: u32,
    /// Of this convolution, of the workspace that all share.
    pub workspace_bytes: u64,
    /// Predicted device memory traffic.
    pub moved_bytes: u64,
    /// Why this algorithm, NUL-terminated.
    pub reason: [c_char; ETVK_REASON_SIZE],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_written_once() {
        let numbers = [ETVK_VERSION_MAJOR, ETVK_VERSION_MINOR, ETVK_VERSION_PATCH];
        assert_eq!(
            numbers.map(|n| n.to_string()).join("."),
            env!("CARGO_PKG_VERSION")
        );
    }

    #[test]
    fn every_status_has_its_own_number_and_name() {
        for (number, (status, name)) in (0..).zip(STATUSES) {
            assert_eq!(status as i32, number);
            assert_eq!(name.to_str().expect("ASCII"), format!("{status:?}"));
        }
        assert_eq!(status_name(-1), c"unknown status");
        assert_eq!(status_name(12), c"unknown status");
    }

    #[test]
    fn dtypes_translate_both_ways() {
        for (number, dtype) in DTYPES {
            assert_eq!(dtype_of(number as u32).expect("known"), dtype);
            assert_eq!(dtype_number(dtype), number as u32);
        }
        assert!(dtype_of(8).is_err() && dtype_of(u32::MAX).is_err());
    }
}
