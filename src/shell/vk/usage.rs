//! Device memory of the whole process by kind, and what is promised of it: a load with a limit
//! learns before it allocates whether all of it fits.

use super::lock;
use super::memory::Purpose;
use crate::base::error::{Error, ErrorKind, Result};
use std::sync::Mutex;

/// Device memory of all delegates together, as allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Convolution workspaces.
    pub workspace_bytes: u64,
    /// Temporaries.
    pub activation_bytes: u64,
    /// Constants and mutable buffers.
    pub weight_bytes: u64,
    /// Host-visible inputs, outputs and uploads.
    pub staging_bytes: u64,
    /// Memory objects.
    pub allocations: u64,
    /// The most bytes that there were at one time.
    pub peak_bytes: u64,
}

impl ProcessMemory {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.workspace_bytes + self.activation_bytes + self.weight_bytes + self.staging_bytes
    }

    pub(super) fn of(&mut self, purpose: Purpose) -> &mut u64 {
        match purpose {
            Purpose::Aliased => &mut self.workspace_bytes,
            Purpose::Device => &mut self.activation_bytes,
            Purpose::Weights => &mut self.weight_bytes,
            Purpose::HostToDevice | Purpose::Upload | Purpose::DeviceToHost => {
                &mut self.staging_bytes
            }
        }
    }
}

struct Books {
    now: ProcessMemory,
    /// By number, what of each is not allocated yet.
    promises: Vec<(u64, u64)>,
    made: u64,
}

static BOOKS: Mutex<Books> = Mutex::new(Books {
    now: ProcessMemory {
        workspace_bytes: 0,
        activation_bytes: 0,
        weight_bytes: 0,
        staging_bytes: 0,
        allocations: 0,
        peak_bytes: 0,
    },
    promises: Vec::new(),
    made: 0,
});

/// What the process holds now.
pub fn process_memory() -> ProcessMemory {
    lock(&BOOKS).now
}

/// Memory that was found to fit its limit; other limits count it until it is dropped.
pub(super) struct Promise {
    number: u64,
}

impl Promise {
    /// Promises `need`, unless that and all that the process holds exceed `limit_bytes`.
    pub(super) fn new(need: &ProcessMemory, limit_bytes: u64) -> Result<Self> {
        let mut books = lock(&BOOKS);
        let promised: u64 = books.promises.iter().map(|&(_, bytes)| bytes).sum();
        let (held, need_bytes) = (books.now.total_bytes() + promised, need.total_bytes());
        if held
            .checked_add(need_bytes)
            .is_none_or(|sum| sum > limit_bytes)
        {
            return Err(Error::new(
                ErrorKind::OutOfMemory,
                format!(
                    "{need_bytes} bytes of device memory are needed (weights {}, activations {}, \
                     staging {}, workspace {}) beside {held} in use; memory_limit_bytes is \
                     {limit_bytes}",
                    need.weight_bytes,
                    need.activation_bytes,
                    need.staging_bytes,
                    need.workspace_bytes
                ),
            ));
        }
        books.made += 1;
        let number = books.made;
        books.promises.push((number, need_bytes));
        Ok(Self { number })
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let number = self.number;
        lock(&BOOKS).promises.retain(|&(n, _)| n != number);
    }
}

/// One allocation in the books, until it is dropped.
pub(super) struct Entry {
    purpose: Purpose,
    bytes: u64,
    promise: Option<u64>,
}

impl Entry {
    /// Enters `bytes`, which are taken from `promise` as far as it goes.
    pub(super) fn new(purpose: Purpose, bytes: u64, promise: Option<&Promise>) -> Self {
        let promise = promise.map(|p| p.number);
        let mut books = lock(&BOOKS);
        *books.now.of(purpose) += bytes;
        books.now.allocations += 1;
        books.now.peak_bytes = books.now.peak_bytes.max(books.now.total_bytes());
        if let Some((_, left)) = books.promises.iter_mut().find(|(n, _)| Some(*n) == promise) {
            *left = left.saturating_sub(bytes);
        }
        Self {
            purpose,
            bytes,
            promise,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut books = lock(&BOOKS);
        let of = books.now.of(self.purpose);
        *of = of.saturating_sub(self.bytes);
        books.now.allocations = books.now.allocations.saturating_sub(1);
        // While the promise stands, the bytes are promised again.
        if let Some((_, left)) = books
            .promises
            .iter_mut()
            .find(|(n, _)| Some(*n) == self.promise)
        {
            *left += self.bytes;
        }
    }
}
