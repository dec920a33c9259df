//! The calls between the host and this library that a thread is in. Records of the log wait for the
//! end of a call, when no lock of this library is held, and where one may be held while the host's
//! code runs, calls of this library are refused instead of waiting for ever.

use super::error::{Error, Result};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    // Without destructors: they are there as long as the thread is.
    /// Calls of this library that the thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether it is in host code that must not call this library.
    static CLOSED: Cell<bool> = const { Cell::new(false) };
}

/// Threads that are in a call of this library.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A call of this library, until it is dropped.
pub struct FromHost;

impl FromHost {
    /// Fails inside a callback that must not call this library.
    pub fn enter() -> Result<Self> {
        if CLOSED.get() {
            return Err(Error::argument(
                "called from inside a callback that must not call this library",
            ));
        }
        if DEPTH.get() == 0 {
            THREADS.fetch_add(1, Ordering::SeqCst);
        }
        DEPTH.set(DEPTH.get() + 1);
        Ok(Self)
    }
}

impl Drop for FromHost {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            THREADS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Whether this thread is in a call.
pub fn is_inside() -> bool {
    DEPTH.get() > 0
}

/// Whether any thread is.
pub fn any_inside() -> bool {
    THREADS.load(Ordering::SeqCst) > 0
}

/// Host code that must not call this library, until it is dropped.
pub struct Closed(bool);

impl Closed {
    /// Begins here, or goes on.
    pub fn enter() -> Self {
        Self(CLOSED.replace(true))
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        CLOSED.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_nest_and_end() {
        assert!(!is_inside());
        let outer = FromHost::enter().expect("open");
        let inner = FromHost::enter().expect("calls nest");
        drop(outer);
        assert!(is_inside() && any_inside());
        assert!(std::thread::spawn(|| !is_inside() && any_inside())
            .join()
            .expect("no panic"));
        drop(inner);
        assert!(!is_inside());
    }

    #[test]
    fn closed_code_calls_nothing() {
        let closed = Closed::enter();
        drop(Closed::enter());
        assert!(FromHost::enter().is_err() && !is_inside());
        drop(closed);
        assert!(FromHost::enter().is_ok());
    }
}
