//! The convolution workspace: one memory object, of one delegate, or of several that then never run
//! at the same time.

use super::device::Device;
use super::ledger::Reservation;
use super::lock;
use super::memory::{Buffer, BufferInfo};
use super::purpose::Purpose;
use crate::base::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// With whom a delegate shares its workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// With nobody.
    #[default]
    Alone,
    /// With all delegates on the device that share and have this budget in bytes: the object is as
    /// large as the largest of their needs, so it stays within the budget of each.
    Budget(u64),
}

/// The workspace as one delegate has it; the last delegate to go frees it.
pub(super) struct Workspace {
    backing: Arc<Mutex<Backing>>,
    /// This delegate's number among the users.
    user: u64,
    need_bytes: u64,
    device: Arc<Device>,
}

/// The memory object and who uses it. Whoever locks it may submit work on the buffer, and waits for
/// that work before letting go.
#[derive(Default)]
pub(super) struct Backing {
    buffer: Option<Buffer>,
    /// Counts the buffers that there were: a recording of an earlier one must not be submitted.
    generation: u64,
    /// The earliest first.
    users: Vec<u64>,
    next_user: u64,
}

/// The workspaces of a device that others may join, by budget.
#[derive(Default)]
pub(super) struct SharedWorkspaces(Mutex<Vec<(u64, Weak<Mutex<Backing>>)>>);

impl SharedWorkspaces {
    fn join(&self, budget_bytes: u64) -> Arc<Mutex<Backing>> {
        let mut shared = lock(&self.0);
        shared.retain(|(_, weak)| weak.strong_count() > 0);
        let found = shared.iter().find(|(budget, _)| *budget == budget_bytes);
        if let Some(backing) = found.and_then(|(_, weak)| weak.upgrade()) {
            return backing;
        }
        let backing = Arc::default();
        shared.push((budget_bytes, Arc::downgrade(&backing)));
        backing
    }
}

impl Workspace {
    /// A right to at least `need_bytes` (not 0), which [`Workspace::allocate`] makes.
    pub(super) fn new(
        device: &Arc<Device>,
        shared: &SharedWorkspaces,
        need_bytes: u64,
        sharing: Sharing,
    ) -> Self {
        let backing = match sharing {
            Sharing::Alone => Arc::default(),
            Sharing::Budget(budget_bytes) => shared.join(budget_bytes),
        };
        let user = {
            let mut backing = lock(&backing);
            let user = backing.next_user;
            backing.next_user += 1;
            backing.users.push(user);
            user
        };
        Self {
            backing,
            user,
            need_bytes,
            device: device.clone(),
        }
    }

    /// What the object has to grow by; it does not shrink as long as this lives.
    pub(super) fn growth_bytes(&self) -> Result<u64> {
        let backing = lock(&self.backing);
        if backing.size_bytes() >= self.need_bytes {
            return Ok(0);
        }
        let needs = self.device.allocated_bytes(self.need_bytes)?;
        Ok(needs.saturating_sub(backing.buffer().map_or(0, Buffer::allocated_bytes)))
    }

    /// Makes the object. One that is there and too small is replaced: nobody is using it while it is
    /// locked, and the old one goes first, since both at once would exceed the budget.
    pub(super) fn allocate(&self, reservation: Option<&Reservation>) -> Result<()> {
        lock(&self.backing).ensure(&self.device, self.need_bytes, reservation)
    }

    /// What it was made for.
    pub(super) fn need_bytes(&self) -> u64 {
        self.need_bytes
    }

    /// Waits until nobody else uses the object, which is then large enough.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Backing>> {
        let mut backing = lock(&self.backing);
        backing.ensure(&self.device, self.need_bytes, None)?;
        Ok(backing)
    }

    /// The object's size as allocated, for its earliest user; 0 for the others.
    pub(super) fn counted_bytes(&self) -> u64 {
        let backing = lock(&self.backing);
        let first = backing.users.first() == Some(&self.user);
        let buffer = backing.buffer().filter(|_| first);
        buffer.map_or(0, Buffer::allocated_bytes)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let user = self.user;
        lock(&self.backing).users.retain(|&u| u != user);
    }
}

impl Backing {
    pub(super) fn buffer(&self) -> Option<&Buffer> {
        self.buffer.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    fn size_bytes(&self) -> u64 {
        self.buffer().map_or(0, Buffer::size_bytes)
    }

    fn ensure(
        &mut self,
        device: &Arc<Device>,
        need_bytes: u64,
        reservation: Option<&Reservation>,
    ) -> Result<()> {
        let has_bytes = self.size_bytes();
        if has_bytes >= need_bytes {
            return Ok(());
        }
        let make = |size_bytes| {
            let info = BufferInfo {
                name: "etvk workspace",
                size_bytes,
                purpose: Purpose::Workspace,
                reservation,
            };
            Buffer::new(device, &info)
        };
        self.buffer = None;
        self.generation += 1;
        match make(need_bytes) {
            Ok(buffer) => {
                self.buffer = Some(buffer);
                Ok(())
            }
            Err(error) => {
                // The others go on with what they had; if even that is gone, their next call tries.
                self.buffer = (has_bytes > 0).then(|| make(has_bytes).ok()).flatten();
                Err(error)
            }
        }
    }
}
