//! Timestamps between the dispatches of a recording.

use super::super::commands::Commands;
use super::super::device::Device;
use crate::base::error::{Error, Result};
use crate::core::program::Program;
use ash::vk;
use std::sync::Arc;

/// Whether dispatches are timed on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// They are not; nothing is recorded for it.
    Off,
    /// Each of them, where the queue has timestamps.
    On,
    /// Copies at the program's edges and what lies between them: a timestamp after every dispatch
    /// would keep neighbours from overlapping. The last dispatch of a span has all of its time.
    Spans,
}

/// A timestamp before the first dispatch and one after each that ends a span.
pub(super) struct Timestamps {
    pool: vk::QueryPool,
    count: u32,
    /// For every dispatch, whether a timestamp follows it.
    stamped: Vec<bool>,
    period_ns: f32,
    device: Arc<Device>,
}

impl Timestamps {
    /// `None` where nothing is timed.
    pub(super) fn new(
        device: &Arc<Device>,
        program: &Program,
        timing: Timing,
    ) -> Result<Option<Self>> {
        let Some(period_ns) = device.timestamp_period_ns() else {
            return Ok(None);
        };
        if timing == Timing::Off {
            return Ok(None);
        }
        let dispatches = &program.dispatches;
        let edge = |at: usize| dispatches.get(at).map(|d| program.at_edge(d));
        let ends = |at| timing == Timing::On || edge(at) != edge(at + 1);
        let stamped: Vec<bool> = (0..dispatches.len()).map(ends).collect();
        let stamps = stamped.iter().filter(|&&stamped| stamped).count();
        let count = u32::try_from(stamps + 1)
            .map_err(|_| Error::internal("too many dispatches to time"))?;
        let info = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(count);
        // SAFETY: the device is alive.
        let created = unsafe { device.handle.create_query_pool(&info, None) };
        Ok(Some(Self {
            pool: device.check("vkCreateQueryPool", created)?,
            count,
            stamped,
            period_ns,
            device: device.clone(),
        }))
    }

    /// Whether a timestamp follows dispatch `at`.
    pub(super) fn follows(&self, at: usize) -> bool {
        self.stamped.get(at) == Some(&true)
    }

    /// Within [`Commands::record`], before the first stamp.
    pub(super) fn reset(&self, commands: &Commands) {
        let device = &self.device.handle;
        // SAFETY: the commands are being recorded; the pool has as many queries.
        unsafe { device.cmd_reset_query_pool(commands.handle(), self.pool, 0, self.count) };
    }

    /// Stamp number `query`, within [`Commands::record`].
    pub(super) fn stamp(&self, commands: &Commands, query: u32) {
        if query < self.count {
            let (device, end) = (&self.device.handle, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
            // SAFETY: the commands are being recorded; the query exists.
            unsafe { device.cmd_write_timestamp(commands.handle(), end, self.pool, query) };
        }
    }

    /// Nanoseconds that each dispatch took in the last run, from the timestamp before it, 0 for those
    /// without their own; empty when nothing ran.
    pub(super) fn times_ns(&self) -> Result<Vec<f64>> {
        let mut ticks = vec![0u64; usize::try_from(self.count).unwrap_or(0)];
        // SAFETY: the pool has as many queries; no run of the recording is under way, because whoever
        // submits it waits.
        let read = unsafe {
            self.device.handle.get_query_pool_results(
                self.pool,
                0,
                &mut ticks,
                vk::QueryResultFlags::TYPE_64,
            )
        };
        if read == Err(vk::Result::NOT_READY) {
            return Ok(Vec::new());
        }
        self.device.check("vkGetQueryPoolResults", read)?;
        let mut pairs = ticks.windows(2);
        let mut time = |stamped: bool| match stamped.then(|| pairs.next()).flatten() {
            Some(pair) => pair[1].wrapping_sub(pair[0]) as f64 * f64::from(self.period_ns),
            None => 0.0,
        };
        Ok(self.stamped.iter().map(|&stamped| time(stamped)).collect())
    }
}

impl Drop for Timestamps {
    fn drop(&mut self) {
        if self.device.may_free() {
            // SAFETY: the GPU is done with it.
            unsafe { self.device.handle.destroy_query_pool(self.pool, None) };
        }
    }
}
