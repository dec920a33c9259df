//! The bindings, and just enough around them to call safely from tests.
#![allow(
    non_camel_case_types,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "generated names"
)]

include!("../bindings/etvk.rs");

use std::ffi::{c_char, c_void, CStr, CString};

// The library must be linked although only its C symbols are used.
use etvk as _;

pub fn last_error() -> String {
    unsafe { CStr::from_ptr(etvk_last_error()) }
        .to_str()
        .expect("UTF-8")
        .to_owned()
}

/// Named data that counts what it lends.
pub struct Named {
    pub key: CString,
    pub bytes: Vec<u8>,
    pub lent: std::cell::Cell<u32>,
    pub returned: std::cell::Cell<u32>,
}

impl Named {
    pub fn new(key: &str, bytes: Vec<u8>) -> Self {
        let key = CString::new(key).expect("no NUL");
        Self {
            key,
            bytes,
            lent: 0.into(),
            returned: 0.into(),
        }
    }

    pub fn floats(key: &str, numbers: &[f32]) -> Self {
        Self::new(key, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
}

unsafe extern "C" fn get(
    context: *mut c_void,
    key: *const c_char,
    data: *mut *const c_void,
    size_bytes: *mut usize,
    token: *mut *mut c_void,
) -> i32 {
    unsafe {
        let named = &*context.cast::<Named>();
        if CStr::from_ptr(key) != named.key.as_c_str() {
            return 32;
        }
        named.lent.set(named.lent.get() + 1);
        *data = named.bytes.as_ptr().cast();
        *size_bytes = named.bytes.len();
        *token = context;
        0
    }
}

unsafe extern "C" fn release(context: *mut c_void, token: *mut c_void) {
    assert_eq!(context, token);
    let named = unsafe { &*context.cast::<Named>() };
    named.returned.set(named.returned.get() + 1);
}

pub fn create_info(blob: &[u8], named: &Named) -> etvk_create_info {
    etvk_create_info {
        struct_size: size_of::<etvk_create_info>() as u32,
        option_count: 0,
        options: std::ptr::null(),
        blob: blob.as_ptr().cast(),
        blob_size_bytes: blob.len(),
        named_data_get: Some(get),
        named_data_release: Some(release),
        named_data_context: std::ptr::from_ref(named).cast_mut().cast(),
    }
}

/// A delegate that is destroyed with its owner, which must leave no error behind.
pub struct Delegate(pub *mut etvk_delegate);

impl Delegate {
    pub fn create(blob: &[u8], named: &Named) -> Result<Self, (etvk_status, String)> {
        let mut handle = std::ptr::null_mut();
        match unsafe { etvk_delegate_create(&create_info(blob, named), &mut handle) } {
            ETVK_STATUS_OK => Ok(Self(handle)),
            status => {
                assert!(handle.is_null(), "out was written on failure");
                Err((status, last_error()))
            }
        }
    }

    pub fn execute(&self, inputs: &[etvk_tensor], outputs: &[etvk_tensor]) -> etvk_status {
        let counts = [inputs.len() as u32, outputs.len() as u32];
        unsafe {
            etvk_delegate_execute(
                self.0,
                inputs.as_ptr(),
                counts[0],
                outputs.as_ptr(),
                counts[1],
            )
        }
    }

    pub fn resize(&self, dims: &[u32]) -> etvk_status {
        let shape = etvk_input_shape {
            rank: dims.len() as u32,
            dims: padded(dims),
            integer: 0,
        };
        unsafe { etvk_delegate_resize(self.0, &shape, 1) }
    }

    pub fn output(&self, index: u32) -> etvk_port {
        let mut port = std::mem::MaybeUninit::uninit();
        let status = unsafe { etvk_delegate_output(self.0, index, port.as_mut_ptr()) };
        assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
        unsafe { port.assume_init() }
    }

    pub fn input(&self, index: u32) -> etvk_port {
        let mut port = std::mem::MaybeUninit::uninit();
        let status = unsafe { etvk_delegate_input(self.0, index, port.as_mut_ptr()) };
        assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
        unsafe { port.assume_init() }
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        unsafe { etvk_delegate_destroy(self.0) };
        if !std::thread::panicking() {
            assert_eq!(last_error(), "", "destroying said something");
        }
    }
}

unsafe impl Send for Delegate {}
unsafe impl Sync for Delegate {}

pub fn padded(dims: &[u32]) -> [u32; 8] {
    let mut out = [0; 8];
    out[..dims.len()].copy_from_slice(dims);
    out
}

/// A contiguous fp32 tensor.
pub fn tensor(data: &mut [f32], dims: &[u32]) -> etvk_tensor {
    etvk_tensor {
        data: data.as_mut_ptr().cast(),
        size_bytes: size_of_val(data),
        dtype: ETVK_DTYPE_FLOAT32,
        rank: dims.len() as u32,
        dims: padded(dims),
        dim_order: std::ptr::null(),
    }
}
