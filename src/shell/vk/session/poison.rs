//! A known pattern in memory that a run must write before it reads, for tests and diagnosis.

use super::super::commands::{Commands, Work};
use super::super::memory::Buffer;
use super::super::workspace::{Backing, Workspace};
use super::Session;
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
        self.gpu.alive()?;
        let device = &self.gpu.device;
        let commands = Commands::new(device)?;
        let backing = self.workspace.as_ref().map(Workspace::lock).transpose()?;
        let buffers: Vec<&Buffer> = [Region::Arena, Region::Outputs]
            .into_iter()
            .filter_map(|region| self.regions.get(region))
            .chain(backing.as_deref().and_then(Backing::buffer))
            .collect();
        commands.record(Work::Transfers, || {
            for buffer in buffers {
                let (handle, buffer) = (commands.handle(), buffer.handle());
                // SAFETY: the commands are being recorded. Nobody else uses the buffer: this session
                // waits for its runs, and the workspace is locked.
                unsafe {
                    let device = &device.handle;
                    device.cmd_fill_buffer(handle, buffer, 0, vk::WHOLE_SIZE, word);
                }
            }
        })?;
        self.fence.run(&commands)?;
        self.invalidate_outputs()
    }
}
