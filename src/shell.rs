//! What touches the outside: Vulkan, loaded programs, and the C ABI.

pub mod delegate;
#[allow(
    unsafe_code,
    reason = "raw pointers from C: each is checked, and its use says why it is sound"
)]
pub mod ffi;
#[allow(
    unsafe_code,
    reason = "Vulkan is a C API: every call is unsafe and says why it is sound"
)]
pub mod vk;
