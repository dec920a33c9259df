//! A known pattern in memory that a run must write before it reads, for tests and diagnosis.

use super::super::commands::{Commands, Work};
use super::super::memory::Buffer;
use super::super::workspace::Held;
use super::{Session, REGIONS};
use crate::base::error::Result;
use crate::core::memory::Region;
use ash::vk;

/// What poisoned memory holds: NaN as one float32 and as two float16, a large number as an integer.
pub const POISON: u32 = 0x7FFF_7FFF;

impl Session {
    /// Fills the arena, the workspace and the outputs with `word`, and waits. Constants, mutable
    /// buffers and inputs stay. Afterwards a run that reads what it has not written, or that leaves
    /// an output unwritten, shows the pattern. For tests and diagnosis.
    pub fn fill(&mut self, word: u32) -> Result<()> {
        self.device.alive()?;
        let commands = Commands::new(&self.device)?;
        let held = self.workspace.as_ref().map(|lease| lease.lock());
        let held = held.transpose()?;
        let workspace = held.as_deref().and_then(Held::buffer);
        let own = REGIONS
            .into_iter()
            .filter(|region| matches!(region, Region::Arena | Region::Outputs))
            .filter_map(|region| self.buffer(region));
        let buffers: Vec<&Buffer> = own.chain(workspace).collect();
        let (handle, device) = (commands.handle(), &self.device.handle);
        commands.record(Work::Transfers, || {
            for buffer in buffers {
                // SAFETY: the commands are being recorded. Nobody else uses the buffer: this session
                // waits for its runs, and the workspace is locked.
                unsafe {
                    device.cmd_fill_buffer(handle, buffer.handle(), 0, vk::WHOLE_SIZE, word);
                }
            }
        })?;
        self.device.submit_and_wait(handle, self.fence.handle)?;
        self.invalidate_outputs()
    }
}
