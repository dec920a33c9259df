//! The memory of a new session: allocated, and filled with constants.

use super::super::commands::Fence;
use super::super::gpu::Gpu;
use super::super::ledger::Reservation;
use super::super::memory::{Buffer, BufferInfo};
use super::super::upload::{self, Staging, Uploader};
use super::super::workspace::Workspace;
use super::options::{ReadConstant, SessionOptions};
use super::regions::{buffer_info, Regions, REGIONS};
use super::reserve::{reserve_load, LoadReservation};
use crate::base::error::{Error, Result};
use crate::core::memory::{Place, PlacedProgram, Region};
use crate::core::program::{BufferKind, Upload};
use std::collections::HashMap;
use std::sync::Arc;

/// What a load ends with.
pub(super) struct Loaded {
    pub(super) regions: Regions,
    pub(super) workspace: Option<Workspace>,
    /// Where each constant lies.
    pub(super) constants: HashMap<Upload, Place>,
    pub(super) fence: Fence,
}

/// A load under way.
pub(super) struct Load<'a> {
    pub(super) gpu: &'a Arc<Gpu>,
    pub(super) placed: &'a PlacedProgram,
    pub(super) read: ReadConstant<'a>,
}

impl Load<'_> {
    /// Allocates what the plan says and uploads the constants.
    pub(super) fn run(&self, options: &SessionOptions) -> Result<Loaded> {
        let (device, plan) = (&self.gpu.device, &self.placed.plan);
        let workspace = (plan.workspace_bytes > 0).then(|| {
            let shared = &self.gpu.workspaces;
            Workspace::new(device, shared, plan.workspace_bytes, options.sharing)
        });
        let limit_bytes = options.memory_limit_bytes;
        let reserved = limit_bytes
            .map(|limit| reserve_load(device, workspace.as_ref(), plan, limit))
            .transpose()?;
        let reserved = reserved.as_ref();
        let reservation = reserved.map(|r| &r.reservation);
        let mut loaded = Loaded {
            regions: Regions::default(),
            workspace,
            constants: HashMap::new(),
            fence: Fence::new(device, options.timeout)?,
        };
        // What is uploaded goes first: its staging has gone when the rest is allocated.
        let uploaded = [Region::Constants, Region::States];
        for region in uploaded {
            self.allocate(&mut loaded.regions, region, reservation)?;
        }
        for region in uploaded {
            self.upload(&mut loaded, region, reserved)?;
        }
        for region in REGIONS {
            if !uploaded.contains(&region) {
                self.allocate(&mut loaded.regions, region, reservation)?;
            }
        }
        if let Some(workspace) = &loaded.workspace {
            workspace.allocate(reservation)?;
        }
        Ok(loaded)
    }

    fn allocate(
        &self,
        regions: &mut Regions,
        region: Region,
        reservation: Option<&Reservation>,
    ) -> Result<()> {
        let size_bytes = self.placed.plan.region_bytes(region);
        if size_bytes > 0 {
            let info = BufferInfo {
                reservation,
                ..buffer_info(region, size_bytes)
            };
            regions.set(region, Buffer::new(&self.gpu.device, &info)?);
        }
        Ok(())
    }

    fn upload(
        &self,
        loaded: &mut Loaded,
        region: Region,
        reserved: Option<&LoadReservation>,
    ) -> Result<()> {
        let Some(target) = loaded.regions.get(region) else {
            return Ok(());
        };
        let spare_bytes = reserved.map(|r| r.spare_bytes);
        let staging = Staging {
            size_bytes: upload::staging_bytes(target.size_bytes(), spare_bytes),
            reservation: reserved.map(|r| &r.reservation),
            fence: &loaded.fence,
            workers: self.gpu.workers(),
        };
        let mut uploader = Uploader::new(&self.gpu.device, target, &staging)?;
        let PlacedProgram { program, plan } = self.placed;
        for (buffer, place) in program.buffers.iter().zip(&plan.places) {
            let index = match buffer.kind {
                BufferKind::Constant(index) | BufferKind::State(index)
                    if place.region == region =>
                {
                    index
                }
                _ => continue,
            };
            let upload = program
                .uploads
                .get(index)
                .ok_or_else(|| Error::internal(format!("upload {index} does not exist")))?;
            let mut offered = false;
            (self.read)(upload, &mut |bytes| {
                offered = true;
                uploader.add(&upload.pack, bytes, place.offset_bytes, buffer.size_bytes)
            })
            .map_err(|e| e.context(format!("constant {}", upload.constant.0)))?;
            if !offered {
                return Err(Error::internal("constant data was not offered"));
            }
            if region == Region::Constants {
                loaded.constants.insert(upload.clone(), *place);
            }
        }
        uploader.flush()
    }
}
