//! Counts the host memory of a thread, and ends the process when a program takes forever.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    // Const initialised and without destructors: an allocator may touch them at any time.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    let now = NOW.get() + bytes;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most memory that this thread has held since the start, beyond what it held then.
pub(super) struct Meter(isize);

impl Meter {
    pub(super) fn start() -> Self {
        PEAK.set(NOW.get());
        Self(NOW.get())
    }

    pub(super) fn peak_bytes(&self) -> usize {
        (PEAK.get() - self.0).max(0) as usize
    }
}

/// Panics are collected, not printed: [`place`] tells where the last one of this thread was.
pub(super) fn quiet() {
    let usual = std::panic::take_hook();
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != here {
            return usual(info);
        }
        let place = info.location().map(ToString::to_string);
        PLACE.with(|slot| *slot.borrow_mut() = place.unwrap_or_default());
    }));
}

/// File, line and column of the last panic.
pub(super) fn place() -> String {
    PLACE.with(|slot| slot.borrow().clone())
}

/// `message` with its numbers cut: the same failure of another program is the same text.
pub(super) fn without_numbers(message: &str) -> String {
    let (place, text) = message.split_once(": ").unwrap_or(("", message));
    let mut kind = format!("{place}: ");
    for c in text.chars().take(100) {
        match c {
            '0'..='9' if kind.ends_with('#') => {}
            '0'..='9' => kind.push('#'),
            c => kind.push(c),
        }
    }
    kind
}

/// Ends the process when nothing new is begun for too long.
pub(super) struct Watch {
    number: Arc<AtomicU64>,
    seed: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn start(limit: Duration) -> Self {
        let watch = Self {
            number: Arc::new(AtomicU64::new(u64::MAX)),
            seed: Arc::default(),
            over: Arc::default(),
        };
        let (number, seed, over) = (watch.number.clone(), watch.seed.clone(), watch.over.clone());
        std::thread::spawn(move || {
            let (mut last, mut since) = (u64::MAX, Instant::now());
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                let now = number.load(Ordering::Relaxed);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if now != u64::MAX && since.elapsed() > limit {
                    let seed = seed.load(Ordering::Relaxed);
                    eprintln!("FUZZ_SEED={seed} FUZZ_FIRST={now}: no end after {limit:?}");
                    std::process::abort();
                }
            }
        });
        watch
    }

    /// Program `number` of `seed` begins.
    pub(super) fn at(&self, seed: u64, number: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
