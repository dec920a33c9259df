//! Named constants through the host's callbacks.

use super::types::{etvk_create_info, etvk_named_data_get, etvk_named_data_release};
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constant::ConstantData;
use crate::core::graph::ConstantSource;
use std::ffi::{c_void, CString};

/// The callbacks of one `etvk_delegate_create`.
pub(super) struct NamedData {
    get: etvk_named_data_get,
    release: etvk_named_data_release,
    context: *mut c_void,
}

impl NamedData {
    pub(super) fn new(info: &etvk_create_info) -> Self {
        Self {
            get: info.named_data_get,
            release: info.named_data_release,
            context: info.named_data_context,
        }
    }
}

/// Gives the bytes back on every path, a panic included.
struct Token<'a> {
    data: &'a NamedData,
    token: *mut c_void,
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if let Some(release) = self.data.release {
            // SAFETY: the callback and its context are the host's; the token came from its `get`
            // and is given back once.
            unsafe { release(self.data.context, self.token) };
        }
    }
}

impl ConstantData for NamedData {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let ConstantSource::Named { key, .. } = source else {
            return Err(Error::internal("only named constants come from the host"));
        };
        let missing =
            |why: &str| Error::new(ErrorKind::MissingData, format!("named data {key:?}: {why}"));
        let get = self.get.ok_or_else(|| missing("the host supplies none"))?;
        let c_key = CString::new(key.as_str()).map_err(|_| missing("the key contains a NUL"))?;
        let mut data = std::ptr::null();
        let mut size_bytes = 0;
        let mut token = std::ptr::null_mut();
        // SAFETY: the callback is the host's; every pointer lives for the call.
        let code = unsafe {
            get(
                self.context,
                c_key.as_ptr(),
                &mut data,
                &mut size_bytes,
                &mut token,
            )
        };
        if code != 0 {
            return Err(missing(&format!("the host answered {code}")));
        }
        let _token = Token { data: self, token };
        if size_bytes == 0 {
            return read(&[]);
        }
        if data.is_null() || isize::try_from(size_bytes).is_err() {
            return Err(missing(&format!(
                "the host gave {size_bytes} bytes at {data:?}"
            )));
        }
        // SAFETY: the host says that these bytes are valid until they are released.
        read(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size_bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::ffi::{c_char, CStr};

    #[derive(Default)]
    struct Host {
        code: i32,
        null: bool,
        got: Cell<u32>,
        released: Cell<u32>,
    }

    static BYTES: [u8; 3] = [1, 2, 3];

    unsafe extern "C" fn get(
        context: *mut c_void,
        key: *const c_char,
        data: *mut *const c_void,
        size_bytes: *mut usize,
        token: *mut *mut c_void,
    ) -> i32 {
        // SAFETY: the test passes a `Host`; the library passes valid pointers.
        unsafe {
            let host = &*context.cast::<Host>();
            assert_eq!(CStr::from_ptr(key), c"weight");
            host.got.set(host.got.get() + 1);
            *data = if host.null {
                std::ptr::null()
            } else {
                BYTES.as_ptr().cast()
            };
            *size_bytes = BYTES.len();
            *token = context;
            host.code
        }
    }

    unsafe extern "C" fn release(context: *mut c_void, token: *mut c_void) {
        assert_eq!(context, token);
        // SAFETY: as in `get`.
        let host = unsafe { &*context.cast::<Host>() };
        host.released.set(host.released.get() + 1);
    }

    fn run(host: &Host, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let context = std::ptr::from_ref(host).cast_mut().cast();
        let data = NamedData {
            get: Some(get),
            release: Some(release),
            context,
        };
        data.with_bytes(
            &ConstantSource::Named {
                key: "weight".into(),
                size_bytes: 3,
            },
            read,
        )
    }

    #[test]
    fn what_was_got_is_released_on_every_path() {
        let fine = Host::default();
        run(&fine, &mut |bytes| {
            assert_eq!((bytes, fine.released.get()), (BYTES.as_slice(), 0));
            Ok(())
        })
        .expect("read");
        let error = run(&fine, &mut |_| Err(Error::blob("too short"))).expect_err("passed on");
        assert_eq!(error.kind, ErrorKind::InvalidBlob);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = run(&fine, &mut |_| panic!("reader"));
        }));
        assert!(panic.is_err());
        assert_eq!((fine.got.get(), fine.released.get()), (3, 3));

        let null = Host {
            null: true,
            ..Host::default()
        };
        assert_eq!(
            run(&null, &mut |_| Ok(())).expect_err("null").kind,
            ErrorKind::MissingData
        );
        assert_eq!(null.released.get(), 1);

        let absent = Host {
            code: 32,
            ..Host::default()
        };
        let error = run(&absent, &mut |_| Ok(())).expect_err("absent");
        assert_eq!(error.kind, ErrorKind::MissingData);
        assert!(error.message.contains("weight") && error.message.contains("32"));
        assert_eq!(absent.released.get(), 0);
    }
}
