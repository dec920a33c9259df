//! Device memory of the whole process by kind, and what of it is reserved: a load with a limit learns
//! before it allocates whether all of it fits.

use super::lock;
use super::purpose::Purpose;
use crate::base::error::{Error, ErrorKind, Result};
use std::sync::Mutex;

/// Device memory by kind, as the driver allocated it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Convolution workspaces. A shared one is reported by the earliest of its delegates that lives,
    /// and is 0 for the others: sums over delegates are right.
    pub workspace_bytes: u64,
    /// Temporaries.
    pub activation_bytes: u64,
    /// Constants and mutable buffers.
    pub weight_bytes: u64,
    /// Host-visible inputs, outputs and uploads.
    pub staging_bytes: u64,
    /// Memory objects.
    pub allocations: u64,
}

impl MemoryReport {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.workspace_bytes + self.activation_bytes + self.weight_bytes + self.staging_bytes
    }

    pub(super) fn bytes_mut(&mut self, purpose: Purpose) -> &mut u64 {
        match purpose {
            Purpose::Workspace => &mut self.workspace_bytes,
            Purpose::Device => &mut self.activation_bytes,
            Purpose::Weights => &mut self.weight_bytes,
            Purpose::HostToDevice | Purpose::Upload | Purpose::DeviceToHost => {
                &mut self.staging_bytes
            }
        }
    }
}

/// Device memory of all delegates together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// What there is.
    pub now: MemoryReport,
    /// The most bytes that there were at one time.
    pub peak_bytes: u64,
}

struct Ledger {
    memory: ProcessMemory,
    /// By number, what of each reservation is not allocated yet.
    reserved: Vec<(u64, u64)>,
    /// Reservations that there ever were.
    count: u64,
}

impl Ledger {
    fn unallocated_mut(&mut self, reservation: Option<u64>) -> Option<&mut u64> {
        let mut all = self.reserved.iter_mut();
        all.find_map(|(number, bytes)| (Some(*number) == reservation).then_some(bytes))
    }
}

static LEDGER: Mutex<Ledger> = Mutex::new(Ledger {
    memory: ProcessMemory {
        now: MemoryReport {
            workspace_bytes: 0,
            activation_bytes: 0,
            weight_bytes: 0,
            staging_bytes: 0,
            allocations: 0,
        },
        peak_bytes: 0,
    },
    reserved: Vec::new(),
    count: 0,
});

/// What the process holds now.
pub fn process_memory() -> ProcessMemory {
    lock(&LEDGER).memory
}

/// Memory that was found to fit its limit; other limits count it until it is dropped.
pub(super) struct Reservation {
    number: u64,
}

impl Reservation {
    /// Reserves `need`, unless that and all that the process holds exceed `limit_bytes`.
    pub(super) fn new(need: &MemoryReport, limit_bytes: u64) -> Result<Self> {
        let mut ledger = lock(&LEDGER);
        let reserved: u64 = ledger.reserved.iter().map(|&(_, bytes)| bytes).sum();
        let used_bytes = ledger.memory.now.total_bytes() + reserved;
        let need_bytes = need.total_bytes();
        let sum = used_bytes.checked_add(need_bytes);
        if sum.is_none_or(|sum| sum > limit_bytes) {
            return Err(Error::new(
                ErrorKind::OutOfMemory,
                format!(
                    "{need_bytes} bytes of device memory are needed (weights {}, activations {}, \
                     staging {}, workspace {}) beside {used_bytes} in use; memory_limit_bytes is \
                     {limit_bytes}",
                    need.weight_bytes,
                    need.activation_bytes,
                    need.staging_bytes,
                    need.workspace_bytes
                ),
            ));
        }
        ledger.count += 1;
        let number = ledger.count;
        ledger.reserved.push((number, need_bytes));
        Ok(Self { number })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let number = self.number;
        lock(&LEDGER).reserved.retain(|&(n, _)| n != number);
    }
}

/// One allocation, charged to the ledger until this is dropped.
pub(super) struct Charge {
    purpose: Purpose,
    bytes: u64,
    reservation: Option<u64>,
}

impl Charge {
    /// Charges `bytes`, which are taken from `reservation` as far as it goes.
    pub(super) fn new(purpose: Purpose, bytes: u64, reservation: Option<&Reservation>) -> Self {
        let reservation = reservation.map(|r| r.number);
        let mut ledger = lock(&LEDGER);
        let memory = &mut ledger.memory;
        *memory.now.bytes_mut(purpose) += bytes;
        memory.now.allocations += 1;
        memory.peak_bytes = memory.peak_bytes.max(memory.now.total_bytes());
        if let Some(unallocated) = ledger.unallocated_mut(reservation) {
            *unallocated = unallocated.saturating_sub(bytes);
        }
        Self {
            purpose,
            bytes,
            reservation,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut ledger = lock(&LEDGER);
        let now = &mut ledger.memory.now;
        let bytes = now.bytes_mut(self.purpose);
        *bytes = bytes.saturating_sub(self.bytes);
        now.allocations = now.allocations.saturating_sub(1);
        // While the reservation stands, the bytes are reserved again.
        if let Some(unallocated) = ledger.unallocated_mut(self.reservation) {
            *unallocated += self.bytes;
        }
    }
}
