//! Work on parts of a large piece of memory, on several threads.

use std::sync::Mutex;
use std::thread;

/// Threads at most: memory bandwidth is used up before.
const MAX_THREADS: usize = 8;

/// Parts that `bytes` are worth, which are as many threads as there may be; each has at least
/// `part_bytes`.
pub fn parts(bytes: usize, part_bytes: usize) -> usize {
    let worth = bytes / part_bytes.max(1);
    if worth <= 1 {
        return 1;
    }
    let most = thread::available_parallelism().map_or(1, usize::from);
    most.min(MAX_THREADS).min(worth)
}

/// Does `work` on every one of `items`, on at most `threads` threads, the caller's among them. Each
/// starts the next one and then takes items, so that no one waits for all of them to start: that takes
/// longer than copying a megabyte. Where no further thread can be had, those that there are do all.
pub fn each<T: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    if threads <= 1 {
        items.for_each(work);
        return;
    }
    let items = Mutex::new(Some(items));
    // Threads that start when nothing is left start no others.
    let next = || {
        let mut guard = items.lock().ok()?;
        let item = guard.as_mut()?.next();
        if item.is_none() {
            *guard = None;
        }
        item
    };
    let run = |first: Option<T>| {
        let mut item = first;
        while let Some(now) = item {
            work(now);
            item = next();
        }
    };
    thread::scope(|scope| chain(scope, &next, &run, threads - 1));
}

/// Starts a thread that does the same with `more - 1`, and runs.
fn chain<'scope, T: Send>(
    scope: &'scope thread::Scope<'scope, '_>,
    next: &'scope (dyn Fn() -> Option<T> + Sync),
    run: &'scope (dyn Fn(Option<T>) + Sync),
    more: usize,
) {
    let first = next();
    if first.is_some() && more > 0 {
        let builder = thread::Builder::new();
        let _alone = builder.spawn_scoped(scope, move || chain(scope, next, run, more - 1));
    }
    run(first);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_done_once() {
        for threads in [1, 2, 5] {
            let done: Vec<_> = (0..103).map(|_| AtomicUsize::new(0)).collect();
            each(threads, 0..done.len(), |i| {
                done[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                done.iter().all(|n| n.load(Ordering::Relaxed) == 1),
                "{threads}"
            );
        }
    }

    #[test]
    fn little_work_stays_on_the_callers_thread() {
        assert_eq!(
            (parts(0, 10), parts(19, 10), parts(7, 0)),
            (1, 1, parts(7, 1))
        );
        assert!(parts(usize::MAX, 1) <= MAX_THREADS);
    }
}
