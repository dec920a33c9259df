//! Where log records go: to the host's callback, else to stderr when the option `log` asks for it.
//! A Rust host that installed its own logger keeps it: the records go there.
//!
//! The callback is the host's code and may do anything, so it is called where this library holds no
//! lock: records wait for the end of the call that they are of. On threads that are in no call, this
//! library's own and the driver's, they wait for the end of any call.

use super::error::{Error, Result};
use super::host_calls::{any_inside, is_inside, Closed};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Takes the level and the text of a record, on any thread, on several at once.
pub type Callback = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Sink;

static SINK: Sink = Sink;

/// Read while it is called, so that whoever replaces it knows that it has returned.
static CALLBACK: RwLock<Option<Callback>> = RwLock::new(None);

/// Whether there is a callback. Where locks are held it must not be asked for itself: it may be
/// running, and wait for them.
static HAS_CALLBACK: AtomicBool = AtomicBool::new(false);

/// Whether the process's logger is ours.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Records that wait on a thread, at most. More are counted and dropped.
const MAX_WAITING: usize = 10_000;

/// Records that wait for the end of a call.
#[derive(Default)]
struct Waiting {
    records: Vec<(Level, String)>,
    dropped: usize,
}

impl Waiting {
    const NONE: Self = Self {
        records: Vec::new(),
        dropped: 0,
    };

    fn push(&mut self, level: Level, text: String) {
        match self.records.len() < MAX_WAITING {
            true => self.records.push((level, text)),
            false => self.dropped += 1,
        }
    }

    fn take(&mut self) -> Vec<(Level, String)> {
        let mut records = std::mem::take(&mut self.records);
        if let dropped @ 1.. = std::mem::take(&mut self.dropped) {
            let text = format!("{dropped} further records of this call are lost");
            records.push((Level::Warn, text));
        }
        records
    }
}

/// Of threads that are in no call.
static OTHERS: Mutex<Waiting> = Mutex::new(Waiting::NONE);

thread_local! {
    /// Of this thread's call.
    static OWN: RefCell<Waiting> = const { RefCell::new(Waiting::NONE) };
    /// Whether this thread is in the callback: what is logged there would call it again.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as being in the callback, on every way out.
struct Inside;

impl Inside {
    /// `None` when it is there already.
    fn enter() -> Option<Self> {
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

fn others() -> MutexGuard<'static, Waiting> {
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("etvk")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || INSIDE.get() {
            return;
        }
        let (level, text) = (record.level(), record.args().to_string());
        if !HAS_CALLBACK.load(Ordering::Acquire) {
            print(level, &text);
        } else if is_inside() {
            // A thread that is ending has nothing left to keep it in.
            let mut text = Some(text);
            let keep = |own: &RefCell<Waiting>| {
                let text = text.take();
                own.borrow_mut().push(level, text.unwrap_or_default());
            };
            if OWN.try_with(keep).is_err() {
                others().push(level, text.unwrap_or_default());
            }
        } else {
            others().push(level, text);
            if !any_inside() {
                // Locks of the driver may be held.
                let _closed = Closed::enter();
                deliver();
            }
        }
    }

    fn flush(&self) {}
}

/// To stderr; where that is closed there is nowhere to say so.
fn print(level: Level, text: &str) {
    let level = level.as_str().to_lowercase();
    let _ = writeln!(std::io::stderr(), "etvk {level}: {text}");
}

/// Whether records wait that [`deliver`] would pass on.
pub fn are_waiting() -> bool {
    let own = OWN.try_with(|own| !own.borrow().records.is_empty());
    HAS_CALLBACK.load(Ordering::Acquire)
        && !INSIDE.get()
        && (own.unwrap_or(false) || !others().records.is_empty())
}

/// Passes on what waits, of this thread and of those that are in no call. No lock may be held.
pub fn deliver() {
    let Some(_inside) = Inside::enter() else {
        return;
    };
    let own = OWN.try_with(|own| own.borrow_mut().take());
    let mut records = own.unwrap_or_default();
    records.append(&mut others().take());
    if records.is_empty() {
        return;
    }
    let callback = CALLBACK.read().unwrap_or_else(PoisonError::into_inner);
    for (level, text) in records.iter().filter(|(l, _)| *l <= log::max_level()) {
        match &*callback {
            Some(callback) => callback(*level, text),
            None => print(*level, text),
        }
    }
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
    if INSIDE.get() {
        return Err(Error::argument("a log callback cannot replace itself"));
    }
    if !install() {
        return Err(Error::argument("the process has a Rust logger of its own"));
    }
    let mut slot = CALLBACK.write().unwrap_or_else(PoisonError::into_inner);
    HAS_CALLBACK.store(callback.is_some(), Ordering::Release);
    let before = std::mem::replace(&mut *slot, callback);
    log::set_max_level(level);
    drop(slot);
    drop(before);
    Ok(())
}
