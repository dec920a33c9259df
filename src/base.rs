//! What everything else may use: errors, log records, threads.

pub mod error;
pub mod host_calls;
pub mod log_sink;
pub mod parallel;
