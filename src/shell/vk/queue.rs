//! The queue that work is submitted to. It is locked while it is used, against our own threads and
//! against those of a host that shares it.

use super::lock;
use crate::base::host_calls::Closed;
use ash::vk;
use std::ffi::c_void;
use std::sync::Mutex;

/// The host's lock of its queue.
#[derive(Clone, Copy)]
pub struct QueueLock {
    lock: unsafe extern "C" fn(*mut c_void),
    unlock: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
}

// SAFETY: the context is only passed back to the host's functions, which any thread may call.
unsafe impl Send for QueueLock {}
// SAFETY: as above, several at once.
unsafe impl Sync for QueueLock {}

impl QueueLock {
    /// # Safety
    /// Both can be called with the context, on any thread, until the device is removed.
    pub unsafe fn new(
        lock: unsafe extern "C" fn(*mut c_void),
        unlock: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    ) -> Self {
        Self {
            lock,
            unlock,
            context,
        }
    }

    fn lock(&self) -> QueueGuard<'_> {
        // Our own lock of the queue is held.
        let _closed = Closed::enter();
        // SAFETY: the promise of `new`; devices that hold this keep the host's from being removed.
        unsafe { (self.lock)(self.context) };
        QueueGuard(self)
    }
}

/// Unlocks the host's queue at its end.
struct QueueGuard<'a>(&'a QueueLock);

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        let _closed = Closed::enter();
        // SAFETY: as in `lock`.
        unsafe { (self.0.unlock)(self.0.context) };
    }
}

/// A queue of a device.
pub(super) struct Queue {
    handle: Mutex<vk::Queue>,
    family: u32,
    host: Option<QueueLock>,
}

impl Queue {
    /// `host` locks it where the host uses it too.
    pub(super) fn new(handle: vk::Queue, family: u32, host: Option<QueueLock>) -> Self {
        Self {
            handle: Mutex::new(handle),
            family,
            host,
        }
    }

    pub(super) fn family(&self) -> u32 {
        self.family
    }

    /// Runs `body` while nobody else uses the queue.
    pub(super) fn with<T>(&self, body: impl FnOnce(vk::Queue) -> T) -> T {
        let queue = lock(&self.handle);
        let _guard = self.host.as_ref().map(QueueLock::lock);
        body(*queue)
    }
}
