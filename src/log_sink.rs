//! Prints log records to stderr when the option `log` asks for it. A host that installed its own
//! logger keeps it: the records go there.

use log::{LevelFilter, Log, Metadata, Record};
use std::sync::atomic::{AtomicBool, Ordering};

struct Stderr;

static STDERR: Stderr = Stderr;

/// Whether the process's logger is ours.
static INSTALLED: AtomicBool = AtomicBool::new(false);

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("etvk")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!(
                "etvk {}: {}",
                record.level().as_str().to_lowercase(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}

/// Prints records of at least `level` from now on, in the whole process.
pub fn set_level(level: LevelFilter) {
    // An error means that the host's own logger is installed; its level is the host's to choose.
    let ours = log::set_logger(&STDERR).is_ok() || INSTALLED.load(Ordering::Acquire);
    if ours {
        INSTALLED.store(true, Ordering::Release);
        log::set_max_level(level);
    }
}
