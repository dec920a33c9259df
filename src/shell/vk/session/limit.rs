//! What a session promises itself of the memory limit before it allocates.

use super::super::memory::Buffer;
use super::super::upload;
use super::super::usage::{ProcessMemory, Promise};
use super::{traits_of, Session, REGIONS};
use crate::base::error::Result;
use crate::core::memory::{MemoryPlan, Region};

impl Session {
    /// Where there is a limit, promises all that `plan` needs, and tells how many bytes of it are
    /// allocated after the uploads.
    pub(super) fn promise_all(&self, plan: &MemoryPlan) -> Result<Option<(Promise, u64)>> {
        let Some(limit_bytes) = self.memory_limit_bytes else {
            return Ok(None);
        };
        let mut need = ProcessMemory::default();
        for region in REGIONS {
            let (_, purpose) = traits_of(region);
            let size_bytes = plan.region_bytes(region);
            if size_bytes > 0 {
                *need.of(purpose) += self.device.required_bytes(size_bytes)?;
            }
        }
        if let Some(lease) = &self.workspace {
            need.workspace_bytes = lease.growth_bytes()?;
        }
        let spare_bytes = need.total_bytes() - need.weight_bytes;
        let mut staging_bytes = 0;
        for region in [Region::Constants, Region::States] {
            let size_bytes = plan.region_bytes(region);
            if size_bytes > 0 {
                let size_bytes = upload::staging_bytes(size_bytes, Some(spare_bytes));
                staging_bytes = staging_bytes.max(self.device.required_bytes(size_bytes)?);
            }
        }
        need.staging_bytes += staging_bytes.saturating_sub(spare_bytes);
        Ok(Some((Promise::new(&need, limit_bytes)?, spare_bytes)))
    }

    /// Where there is a limit, promises what [`Session::prepare`] allocates beside what is there.
    pub(super) fn promise_larger(&self, plan: &MemoryPlan) -> Result<Option<Promise>> {
        let Some(limit_bytes) = self.memory_limit_bytes else {
            return Ok(None);
        };
        let mut need = ProcessMemory::default();
        for region in REGIONS {
            let has = self.buffer(region).map_or(0, Buffer::size_bytes);
            let needs = plan.region_bytes(region);
            if needs > has && region != Region::Constants {
                let (_, purpose) = traits_of(region);
                *need.of(purpose) += self.device.required_bytes(needs)?;
            }
        }
        match need.total_bytes() {
            0 => Ok(None),
            _ => Promise::new(&need, limit_bytes).map(Some),
        }
    }
}
