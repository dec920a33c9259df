//! Timestamps between the dispatches of a recording.

use super::Recording;
use crate::base::error::{Error, Result};
use ash::vk;

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

impl Recording {
    pub(super) fn make_queries(&mut self) -> Result<()> {
        let stamps = self.stamped.iter().filter(|&&stamped| stamped).count();
        let count = u32::try_from(stamps + 1)
            .map_err(|_| Error::internal("too many dispatches to time"))?;
        let info = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(count);
        // SAFETY: the device is alive.
        let created = unsafe { self.device.handle.create_query_pool(&info, None) };
        self.query_pool = self.device.check("vkCreateQueryPool", created)?;
        self.query_count = count;
        Ok(())
    }

    /// Nanoseconds that each dispatch took in the last run, from the timestamp before it, 0 for those
    /// without their own;
    /// empty when nothing was timed or nothing ran.
    pub fn times_ns(&self) -> Result<Vec<f64>> {
        let Some(period) = self.device.timestamp_period_ns() else {
            return Ok(Vec::new());
        };
        let mut ticks = vec![0u64; usize::try_from(self.query_count).unwrap_or(0)];
        if ticks.is_empty() {
            return Ok(Vec::new());
        }
        // SAFETY: the pool has as many queries; no run of this recording is under way, because
        // whoever submits it waits.
        let read = unsafe {
            self.device.handle.get_query_pool_results(
                self.query_pool,
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
            Some(pair) => pair[1].wrapping_sub(pair[0]) as f64 * f64::from(period),
            None => 0.0,
        };
        Ok(self.stamped.iter().map(|&stamped| time(stamped)).collect())
    }

    /// Within [`Commands::record`](super::super::commands::Commands::record), before the first stamp.
    pub(super) fn reset_queries(&self) {
        if self.query_count > 0 {
            let commands = self.commands();
            // SAFETY: called while the commands are being recorded; the pool has as many queries.
            unsafe {
                let device = &self.device.handle;
                device.cmd_reset_query_pool(commands, self.query_pool, 0, self.query_count);
            }
        }
    }

    pub(super) fn stamp(&self, query: usize) {
        let Ok(query) = u32::try_from(query) else {
            return;
        };
        if query < self.query_count {
            // SAFETY: called while the commands are being recorded; the query exists.
            unsafe {
                self.device.handle.cmd_write_timestamp(
                    self.commands(),
                    vk::PipelineStageFlags::BOTTOM_OF_PIPE,
                    self.query_pool,
                    query,
                );
            }
        }
    }
}
