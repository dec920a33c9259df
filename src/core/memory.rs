//! Where every buffer of a program lies, and which dispatches must wait for earlier ones. Pure.

mod arena;
mod hazards;
mod lifetime;
mod objects;
mod plan;
mod sweep;

pub use arena::plan_arena;
pub use hazards::hazards;
pub use lifetime::Usage;
pub use objects::Objects;
pub use plan::{plan_memory, plan_memory_within, MemoryPlan, Place, Region};

#[cfg(test)]
mod tests;
