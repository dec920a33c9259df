//! Where log records go: to the host's callback, else to stderr when the option `log` asks for it.
//! A Rust host that installed its own logger keeps it: the records go there.

use crate::base::error::{Error, Result};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Takes the level and the text of a record, on any thread, on several at once.
pub type Callback = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Sink;

static SINK: Sink = Sink;

/// Read while it is called, so that whoever replaces it knows that it has returned.
static CALLBACK: RwLock<Option<Callback>> = RwLock::new(None);

/// Whether the process's logger is ours.
static INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is in the callback: what is logged there would call it again.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as being in the callback, on every way out.
struct Inside;

impl Inside {
    /// `None` when it is there already, or when the thread is ending.
    fn enter() -> Option<Self> {
        let entered = INSIDE.try_with(|inside| !inside.replace(true));
        entered.unwrap_or(false).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("etvk")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(_inside) = Inside::enter() else {
            return;
        };
        let text = record.args().to_string();
        let callback = CALLBACK.read().unwrap_or_else(PoisonError::into_inner);
        match &*callback {
            Some(callback) => callback(record.level(), &text),
            None => eprintln!("etvk {}: {text}", record.level().as_str().to_lowercase()),
        }
    }

    fn flush(&self) {}
}

/// Whether records come here: not when a Rust host has its own logger.
fn install() -> bool {
    let ours = log::set_logger(&SINK).is_ok() || INSTALLED.load(Ordering::Acquire);
    if ours {
        INSTALLED.store(true, Ordering::Release);
    }
    ours
}

/// Passes records of at least `level` on from now on, in the whole process.
pub fn set_level(level: LevelFilter) {
    if install() {
        log::set_max_level(level);
    }
}

/// Sends records of at least `level` to `callback`, or to stderr. When it returns the callback
/// before is not running and will not be called again.
pub fn set_callback(callback: Option<Callback>, level: LevelFilter) -> Result<()> {
    if INSIDE.try_with(Cell::get).unwrap_or(false) {
        return Err(Error::argument("a log callback cannot replace itself"));
    }
    if !install() {
        return Err(Error::argument("the process has a Rust logger of its own"));
    }
    let mut slot = CALLBACK.write().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::replace(&mut *slot, callback);
    log::set_max_level(level);
    drop(slot);
    drop(before);
    Ok(())
}
