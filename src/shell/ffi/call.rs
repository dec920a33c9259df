//! What every entry point does: catch panics, keep the last error, check pointers.

use super::types::etvk_status;
use crate::base::error::{Error, Result};
use crate::base::host_calls::{is_inside, FromHost};
use crate::base::log_sink;
use crate::shell::vk::forked;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Room for a text that is kept when the thread is ending.
const LATE_BYTES: usize = 512;

thread_local! {
    /// The text of [`last_error`]; nothing is allocated where nothing went wrong, so that a thread
    /// which first calls while it is ending leaves nothing behind.
    static LAST_ERROR: RefCell<Option<CString>> = const { RefCell::new(None) };
    /// The same once the thread is ending and that has been destroyed: without a destructor it is
    /// there as long as the thread is. Ends with a NUL always.
    static LATE_ERROR: Cell<[u8; LATE_BYTES]> = const { Cell::new([0; LATE_BYTES]) };
}

fn set_last_error(text: &str) {
    let c_text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    let late = LAST_ERROR.try_with(|last| *last.borrow_mut() = Some(c_text));
    if late.is_err() {
        let mut cut = [0; LATE_BYTES];
        let end = (0..LATE_BYTES)
            .rev()
            .find(|&end| text.is_char_boundary(end));
        let kept = &text.as_bytes()[..end.unwrap_or(0).min(text.len())];
        cut[..kept.len()].copy_from_slice(kept);
        LATE_ERROR.set(cut);
    }
}

/// Nothing went wrong.
fn clear_last_error() {
    if LAST_ERROR.try_with(RefCell::take).is_err() {
        LATE_ERROR.set([0; LATE_BYTES]);
    }
}

/// The text of this thread's last failure. It stays where it is until the next one.
pub(super) fn last_error() -> *const c_char {
    let text = |last: &RefCell<Option<CString>>| match &*last.borrow() {
        Some(text) => text.as_ptr(),
        None => c"".as_ptr(),
    };
    LAST_ERROR
        .try_with(text)
        .unwrap_or_else(|_| LATE_ERROR.with(|late| late.as_ptr().cast_const().cast()))
}

/// Passes records of the log on, which may make calls of its own: the last error outlives them.
fn deliver_records() {
    if log_sink::are_waiting() {
        let kept = LAST_ERROR.try_with(RefCell::take);
        log_sink::deliver();
        if let Ok(kept) = kept {
            let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = kept);
        }
    }
}

/// Runs `body`; its error or panic becomes a status and a text. In a forked process it does not run:
/// every lock may be held there by a thread that is gone.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> etvk_status {
    if let Err(error) = forked::check() {
        set_last_error(&error.message);
        return error.kind.into();
    }
    clear_last_error();
    let call = FromHost::enter();
    let outcome = match &call {
        Ok(_) => catch_unwind(AssertUnwindSafe(body)),
        Err(refused) => Ok(Err(refused.clone())),
    };
    let status = match outcome {
        Ok(Ok(())) => {
            // A callback may have failed to call this library.
            clear_last_error();
            etvk_status::ETVK_STATUS_OK
        }
        Ok(Err(error)) => {
            set_last_error(&error.message);
            log::debug!("{:?}: {}", error.kind, error.message);
            error.kind.into()
        }
        Err(panic) => {
            set_last_error(&format!("panic: {}", panic_text(panic.as_ref())));
            // Dropping a payload may panic again.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                std::mem::forget(second);
            }
            etvk_status::ETVK_STATUS_PANIC
        }
    };
    // A call inside another, from a callback: the other's locks may be held.
    if call.is_ok() {
        drop(call);
        if !is_inside() {
            deliver_records();
        }
    }
    status
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// A count that C passes as 32 bits.
pub(super) fn size(count: u32) -> Result<usize> {
    usize::try_from(count).map_err(|_| Error::argument("a count exceeds the address space"))
}

/// `count` values at `start`, which may be null when there are none.
///
/// # Safety
/// When `start` is neither null nor misaligned, `count` values must be readable there for `'a`.
pub(super) unsafe fn slice<'a, T>(start: *const T, count: usize, what: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_pointer(start, count, what)?;
    // SAFETY: not null, aligned, of a possible size; the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(start, count) })
}

fn check_pointer<T>(start: *const T, count: usize, what: &str) -> Result<()> {
    if start.is_null() {
        return Err(Error::argument(format!("{what} is null")));
    }
    if !start.is_aligned() {
        return Err(Error::argument(format!("{what} is not aligned")));
    }
    let bytes = count.checked_mul(size_of::<T>());
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(Error::argument(format!(
            "{what}: {count} exceed the address space"
        )));
    }
    Ok(())
}

/// Checks that a result could be written to `out`.
pub(super) fn check_out<T>(out: *mut T, what: &str) -> Result<()> {
    check_pointer(out, 1, what)
}

/// Writes `value` to `out`.
///
/// # Safety
/// When `out` is neither null nor misaligned, it must be writable.
pub(super) unsafe fn write<T>(out: *mut T, value: T, what: &str) -> Result<()> {
    check_out(out, what)?;
    // SAFETY: not null and aligned; the caller vouches for the rest.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes as much of `text` as fits, with a NUL, and to `needed` the size of all of it.
///
/// # Safety
/// When `buffer` is not null, `size` bytes must be writable there; `needed` as in [`write`].
pub(super) unsafe fn copy_text(
    text: &str,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> Result<()> {
    if size > 0 && buffer.is_null() {
        return Err(Error::argument("buffer is null but size is not 0"));
    }
    if !needed.is_null() {
        // SAFETY: the caller's promise.
        unsafe { write(needed, text.len() + 1, "needed") }?;
    }
    if let Some(room) = size.checked_sub(1) {
        let mut length = room.min(text.len());
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        // SAFETY: `length < size` bytes and the NUL fit; text and buffer do not overlap, as the
        // text is ours.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, length);
            buffer.add(length).write(0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;
    use std::ffi::CStr;

    fn last_error() -> String {
        // SAFETY: the pointer is valid until this thread's next call.
        let text = unsafe { CStr::from_ptr(super::super::etvk_last_error()) };
        text.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn errors_and_panics_become_statuses_and_texts() {
        assert_eq!(
            guard(|| Err(Error::argument("a\0b"))),
            ErrorKind::InvalidArgument.into()
        );
        assert_eq!(last_error(), "a\u{fffd}b");
        assert_eq!(guard(|| Ok(())), etvk_status::ETVK_STATUS_OK);
        assert_eq!(last_error(), "");
        assert_eq!(
            guard(|| panic!("number {}", 7)),
            etvk_status::ETVK_STATUS_PANIC
        );
        assert_eq!(last_error(), "panic: number 7");
        struct Spiteful;
        impl Drop for Spiteful {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let status = guard(|| std::panic::panic_any(Spiteful));
        assert_eq!(status, etvk_status::ETVK_STATUS_PANIC);
    }

    #[test]
    fn the_last_error_is_per_thread() {
        guard(|| Err(Error::argument("mine")));
        let other = std::thread::spawn(last_error).join().expect("thread");
        assert_eq!((other.as_str(), last_error().as_str()), ("", "mine"));
    }

    #[test]
    fn text_is_cut_at_a_character_and_always_ends() {
        for size in 0..8 {
            let mut buffer = [0x55 as c_char; 8];
            let mut needed = 0;
            // SAFETY: both are ours.
            unsafe { copy_text("a\u{e9}b", buffer.as_mut_ptr(), size, &mut needed) }.expect("fits");
            assert_eq!(needed, 5);
            let want: &[u8] = match size {
                0 => b"",
                1 => b"\0",
                2 | 3 => b"a\0",
                4 => b"a\xc3\xa9\0",
                _ => b"a\xc3\xa9b\0",
            };
            let got: Vec<u8> = buffer.iter().map(|&c| c as u8).collect();
            assert_eq!(&got[..want.len()], want);
            assert!(got[want.len()..].iter().all(|&c| c == 0x55), "size {size}");
        }
        // SAFETY: null is allowed for a size of 0, and null `needed` always.
        unsafe {
            assert!(copy_text("x", std::ptr::null_mut(), 0, std::ptr::null_mut()).is_ok());
            assert!(copy_text("x", std::ptr::null_mut(), 1, std::ptr::null_mut()).is_err());
        }
    }
}
