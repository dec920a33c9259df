//! Work on parts of a large piece of memory, on several threads.

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, JoinHandle};

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

/// Threads that wait for work: starting one takes as long as copying 400 KiB. They start with the
/// first work that wants them, sleep between works, and have ended when this is dropped: a host may
/// unload the library then.
#[derive(Debug, Default)]
pub struct Workers {
    pool: OnceLock<Option<Pool>>,
}

#[derive(Debug)]
struct Pool {
    /// `Some` until it is dropped.
    pool: Option<ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Does `work` on every one of `items`, on at most `threads` threads, the caller's among them.
    /// Where no further thread can be had, the caller's does all.
    pub fn each<T: Send>(
        &self,
        threads: usize,
        items: impl Iterator<Item = T> + Send,
        work: impl Fn(T) + Sync,
    ) {
        let pool = match threads {
            0 | 1 => None,
            _ => self.pool.get_or_init(Pool::start).as_ref(),
        };
        let Some(pool) = pool.and_then(|pool| pool.pool.as_ref()) else {
            items.for_each(work);
            return;
        };
        let items = Mutex::new(items);
        let next = || items.lock().ok().and_then(|mut items| items.next());
        let run = || {
            while let Some(item) = next() {
                work(item);
            }
        };
        pool.in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| run());
            }
            run();
        });
    }
}

impl Pool {
    fn start() -> Option<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        let built = ThreadPoolBuilder::new()
            .num_threads(count.min(MAX_THREADS).saturating_sub(1).max(1))
            .spawn_handler(|worker| {
                let builder = thread::Builder::new().name("etvk worker".into());
                threads.push(builder.spawn(|| worker.run())?);
                Ok(())
            })
            .build();
        let pool = built.ok();
        let started = pool.is_some();
        // Of a pool that failed, the threads that did start end by themselves.
        let pool = Self { pool, threads };
        started.then_some(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.pool = None;
        for thread in self.threads.drain(..) {
            // It has no result; its panics were told to whoever gave it the work.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_done_once() {
        let workers = Workers::default();
        for threads in [1, 2, 5, 20] {
            let done: Vec<_> = (0..103).map(|_| AtomicUsize::new(0)).collect();
            workers.each(threads, 0..done.len(), |i| {
                done[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                done.iter().all(|n| n.load(Ordering::Relaxed) == 1),
                "{threads}"
            );
        }
    }

    #[test]
    fn several_callers_share_them() {
        let workers = Workers::default();
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        workers.each(3, 0..10, |i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 50 * 45);
    }

    #[test]
    fn little_work_stays_on_the_callers_thread() {
        assert_eq!(
            (parts(0, 10), parts(19, 10), parts(7, 0)),
            (1, 1, parts(7, 1))
        );
        assert!(parts(usize::MAX, 1) <= MAX_THREADS);
        let workers = Workers::default();
        let caller = thread::current().id();
        workers.each(1, 0..3, |_| assert_eq!(thread::current().id(), caller));
        assert!(workers.pool.get().is_none());
    }
}
