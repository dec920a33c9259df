//! The delegates that are alive. A handle is looked up, never dereferenced: null, garbage and
//! destroyed handles are errors, and destroying a delegate in use ends it after that use.

use super::call::guard;
use super::types::{etvk_delegate, etvk_status};
use crate::base::error::{Error, Result};
use crate::shell::delegate::Delegate;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A delegate and whether a call on it has panicked.
pub(super) struct Entry {
    pub(super) delegate: Delegate,
    poisoned: AtomicBool,
}

/// All delegates, by handle.
pub(super) struct Registry {
    entries: Mutex<BTreeMap<usize, Arc<Entry>>>,
    /// The next handle: a number that was no delegate's before, so that one which is used after its
    /// end never means another.
    next: AtomicUsize,
}

/// Where no address of an object is, nor a small number.
const FIRST_HANDLE: usize = 0x1_0010;
const HANDLE_STEP: usize = 16;

pub(super) static REGISTRY: Registry = Registry {
    entries: Mutex::new(BTreeMap::new()),
    next: AtomicUsize::new(FIRST_HANDLE),
};

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `delegate` and returns its handle.
    pub(super) fn add(&self, delegate: Delegate) -> *mut etvk_delegate {
        let entry = Arc::new(Entry {
            delegate,
            poisoned: AtomicBool::new(false),
        });
        let handle = self.next.fetch_add(HANDLE_STEP, Ordering::Relaxed);
        self.lock().insert(handle, entry);
        std::ptr::without_provenance_mut(handle)
    }

    /// Number of delegates.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Forgets the delegate; the last one to hold it ends it.
    pub(super) fn remove(&self, handle: *const etvk_delegate) -> Option<Arc<Entry>> {
        self.lock().remove(&handle.addr())
    }

    pub(super) fn find(&self, handle: *const etvk_delegate) -> Result<Arc<Entry>> {
        if handle.is_null() {
            return Err(Error::argument("delegate is null"));
        }
        let found = self.lock().get(&handle.addr()).cloned();
        found.ok_or_else(|| Error::argument("delegate is not one that is alive"))
    }
}

/// Poisons the delegate when the stack unwinds through it.
struct PoisonOnPanic<'a>(&'a Entry);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poisoned.store(true, Ordering::Release);
        }
    }
}

/// [`guard`] with the delegate that `handle` names.
pub(super) fn with_delegate(
    handle: *const etvk_delegate,
    body: impl FnOnce(&Delegate) -> Result<()>,
) -> etvk_status {
    guard(|| {
        let entry = REGISTRY.find(handle)?;
        if entry.poisoned.load(Ordering::Acquire) {
            return Err(Error::internal("an earlier call on this delegate panicked"));
        }
        let _poison = PoisonOnPanic(&entry);
        body(&entry.delegate)
    })
}
