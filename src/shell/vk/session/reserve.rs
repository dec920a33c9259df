//! What a session reserves of the memory limit before it allocates.

use super::super::device::Device;
use super::super::ledger::{MemoryReport, Reservation};
use super::super::upload;
use super::super::workspace::Workspace;
use super::regions::{buffer_info, Regions, REGIONS};
use crate::base::error::Result;
use crate::core::memory::{MemoryPlan, Region};

/// Everything that a load allocates, under a limit.
pub(super) struct LoadReservation {
    pub(super) reservation: Reservation,
    /// What of it is allocated after the uploads.
    pub(super) spare_bytes: u64,
}

/// Reserves all that `plan` needs.
pub(super) fn reserve_load(
    device: &Device,
    workspace: Option<&Workspace>,
    plan: &MemoryPlan,
    limit_bytes: u64,
) -> Result<LoadReservation> {
    let mut need = MemoryReport::default();
    for region in REGIONS {
        let size_bytes = plan.region_bytes(region);
        if size_bytes > 0 {
            let purpose = buffer_info(region, size_bytes).purpose;
            *need.bytes_mut(purpose) += device.allocated_bytes(size_bytes)?;
        }
    }
    if let Some(workspace) = workspace {
        need.workspace_bytes = workspace.growth_bytes()?;
    }
    let spare_bytes = need.total_bytes() - need.weight_bytes;
    let mut staging_bytes = 0;
    for region in [Region::Constants, Region::States] {
        let size_bytes = plan.region_bytes(region);
        if size_bytes > 0 {
            let size_bytes = upload::staging_bytes(size_bytes, Some(spare_bytes));
            staging_bytes = staging_bytes.max(device.allocated_bytes(size_bytes)?);
        }
    }
    need.staging_bytes += staging_bytes.saturating_sub(spare_bytes);
    Ok(LoadReservation {
        reservation: Reservation::new(&need, limit_bytes)?,
        spare_bytes,
    })
}

/// Reserves what `plan` needs where `regions` are too small; `None` where they are not.
pub(super) fn reserve_growth(
    device: &Device,
    regions: &Regions,
    plan: &MemoryPlan,
    limit_bytes: u64,
) -> Result<Option<Reservation>> {
    let mut need = MemoryReport::default();
    for region in REGIONS {
        let size_bytes = plan.region_bytes(region);
        if size_bytes > regions.size_bytes(region) && region != Region::Constants {
            let purpose = buffer_info(region, size_bytes).purpose;
            *need.bytes_mut(purpose) += device.allocated_bytes(size_bytes)?;
        }
    }
    match need.total_bytes() {
        0 => Ok(None),
        _ => Reservation::new(&need, limit_bytes).map(Some),
    }
}
