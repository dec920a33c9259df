//! The convolution workspace: one memory object, of one delegate, or of several that then never run
//! at the same time.

use super::device::Device;
use super::lock;
use super::memory::{Buffer, Purpose};
use super::usage::Promise;
use crate::base::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// With whom a delegate shares its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// With nobody.
    Alone,
    /// With all delegates on the device that share and have this budget in bytes: the object is as
    /// large as the largest of their needs, so it stays within the budget of each.
    Budget(u64),
}

/// The memory object and who uses it.
pub(super) struct Workspace {
    held: Mutex<Held>,
}

/// What a lock on the workspace gives. Whoever holds it may submit work on the buffer, and waits
/// for that work before letting go.
#[derive(Default)]
pub(super) struct Held {
    buffer: Option<Buffer>,
    /// Counts the buffers that there were: a recording of an earlier one must not be submitted.
    generation: u64,
    /// The leases, the earliest first.
    users: Vec<u64>,
    next_user: u64,
}

/// Workspaces that others may join, by budget. Part of a device.
pub(super) type Shared = Mutex<Vec<(u64, Weak<Workspace>)>>;

/// One delegate's right to the workspace; the last one to go frees it.
pub(super) struct Lease {
    workspace: Arc<Workspace>,
    user: u64,
    need_bytes: u64,
    device: Arc<Device>,
}

impl Lease {
    /// A right to a workspace of at least `need_bytes` (not 0), which [`Lease::allocate`] makes.
    pub(super) fn new(device: &Arc<Device>, need_bytes: u64, sharing: Sharing) -> Self {
        let workspace = match sharing {
            Sharing::Alone => Arc::new(Workspace::new()),
            Sharing::Budget(budget_bytes) => join(&device.workspaces, budget_bytes),
        };
        let user = {
            let mut held = lock(&workspace.held);
            let user = held.next_user;
            held.next_user += 1;
            held.users.push(user);
            user
        };
        Self {
            workspace,
            user,
            need_bytes,
            device: device.clone(),
        }
    }

    /// What the workspace has to grow by; it does not shrink as long as the lease lives.
    pub(super) fn growth_bytes(&self) -> Result<u64> {
        let held = lock(&self.workspace.held);
        let has = held.buffer().filter(|b| b.size_bytes() >= self.need_bytes);
        if has.is_some() {
            return Ok(0);
        }
        let needs = self.device.required_bytes(self.need_bytes)?;
        Ok(needs.saturating_sub(held.buffer().map_or(0, Buffer::allocated_bytes)))
    }

    /// Makes the workspace. One that is there and too small is replaced: nobody is using it while
    /// it is locked, and the old one goes first, since both at once would exceed the budget.
    pub(super) fn allocate(&self, promise: Option<&Promise>) -> Result<()> {
        lock(&self.workspace.held).ensure(&self.device, self.need_bytes, promise)
    }

    /// What it was made for.
    pub(super) fn need_bytes(&self) -> u64 {
        self.need_bytes
    }

    /// Waits until nobody else uses the workspace, which is then large enough.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Held>> {
        let mut held = lock(&self.workspace.held);
        held.ensure(&self.device, self.need_bytes, None)?;
        Ok(held)
    }

    /// Its size as allocated, for the earliest lease; 0 for the others.
    pub(super) fn counted_bytes(&self) -> u64 {
        let held = lock(&self.workspace.held);
        let buffer = held
            .buffer()
            .filter(|_| held.users.first() == Some(&self.user));
        buffer.map_or(0, Buffer::allocated_bytes)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let user = self.user;
        lock(&self.workspace.held).users.retain(|&u| u != user);
    }
}

impl Workspace {
    fn new() -> Self {
        Self {
            held: Mutex::default(),
        }
    }
}

fn join(shared: &Shared, budget_bytes: u64) -> Arc<Workspace> {
    let mut shared = lock(shared);
    shared.retain(|(_, weak)| weak.strong_count() > 0);
    let found = shared.iter().find(|(budget, _)| *budget == budget_bytes);
    if let Some(workspace) = found.and_then(|(_, weak)| weak.upgrade()) {
        return workspace;
    }
    let workspace = Arc::new(Workspace::new());
    shared.push((budget_bytes, Arc::downgrade(&workspace)));
    workspace
}

impl Held {
    pub(super) fn buffer(&self) -> Option<&Buffer> {
        self.buffer.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    fn ensure(
        &mut self,
        device: &Arc<Device>,
        need_bytes: u64,
        promise: Option<&Promise>,
    ) -> Result<()> {
        let has_bytes = self.buffer().map_or(0, Buffer::size_bytes);
        if has_bytes >= need_bytes {
            return Ok(());
        }
        let make = |size_bytes| {
            let name = "etvk workspace";
            Buffer::new(device, name, size_bytes, Purpose::Aliased, promise)
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
