//! Placing temporaries in the order of their first use, and checking places, in n log n time: what
//! a program of very many temporaries gets.

use super::lifetime::{overflow, Usage};
use super::objects::Objects;
use crate::base::error::Result;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Gaps that are large enough and lie across the border of two objects are passed over, so many of them.
const MAX_GAPS_TRIED: usize = 64;

/// Free bytes below `end`, where everything beyond is free.
#[derive(Default)]
struct Gaps {
    /// Size and start.
    by_size: BTreeSet<(u64, u64)>,
    /// Start and size; no two touch.
    by_start: BTreeMap<u64, u64>,
    end: u64,
}

impl Gaps {
    /// The smallest gap that takes `size` bytes, the first of equal ones; else the end.
    fn take(&mut self, size: u64, objects: &Objects) -> Result<u64> {
        let large = self.by_size.range((size, 0)..).take(MAX_GAPS_TRIED);
        let mut found = None;
        for &(gap, start) in large {
            let from = objects.fit(start, size)?;
            if from - start <= gap - size {
                found = Some((gap, start, from));
                break;
            }
        }
        if let Some((gap, start, from)) = found {
            self.remove(start, gap);
            for (start, end) in [(start, from), (from + size, start + gap)] {
                if end > start {
                    self.insert(start, end - start);
                }
            }
            return Ok(from);
        }
        // A gap that touches the end grows into it.
        let end = self.end;
        let start = objects.fit(end, size)?;
        self.end = start.checked_add(size).ok_or_else(overflow)?;
        if start > end {
            self.insert(end, start - end);
        }
        Ok(start)
    }

    fn give(&mut self, mut start: u64, mut size: u64) {
        if let Some((&before, &gap)) = self.by_start.range(..start).next_back() {
            if before + gap == start {
                self.remove(before, gap);
                (start, size) = (before, size + gap);
            }
        }
        if let Some(&gap) = self.by_start.get(&(start + size)) {
            self.remove(start + size, gap);
            size += gap;
        }
        if start + size == self.end {
            self.end = start;
        } else {
            self.insert(start, size);
        }
    }

    fn insert(&mut self, start: u64, size: u64) {
        self.by_start.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn remove(&mut self, start: u64, size: u64) {
        self.by_start.remove(&start);
        self.by_size.remove(&(size, start));
    }
}

/// Offsets of temporaries and the arena's size: each in turn, as they appear, into the smallest gap
/// between those that live then.
pub(super) fn place_in_turn(usages: &[Usage], objects: &Objects) -> Result<(Vec<u64>, u64)> {
    let mut order: Vec<usize> = (0..usages.len()).collect();
    order.sort_by_key(|&i| (usages[i].first, Reverse(usages[i].size_bytes), i));
    let mut offsets = vec![0u64; usages.len()];
    let mut live: BinaryHeap<Reverse<(usize, u64, u64)>> = BinaryHeap::new();
    let (mut gaps, mut arena_bytes) = (Gaps::default(), 0);
    for i in order {
        let usage = &usages[i];
        while let Some(&Reverse((last, start, size))) = live.peek() {
            if last >= usage.first {
                break;
            }
            live.pop();
            gaps.give(start, size);
        }
        let size = objects.padded(usage.size_bytes)?;
        offsets[i] = gaps.take(size, objects)?;
        arena_bytes = arena_bytes.max(gaps.end);
        live.push(Reverse((usage.last, offsets[i], size)));
    }
    Ok((offsets, arena_bytes))
}

/// Whether no two that live at the same time share bytes.
pub(super) fn apart(usages: &[Usage], offsets: &[u64]) -> bool {
    let mut order: Vec<usize> = (0..usages.len()).collect();
    order.sort_by_key(|&i| usages[i].first);
    let mut live: BinaryHeap<Reverse<(usize, u64)>> = BinaryHeap::new();
    // Start and end of what lives; none of them overlap.
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    for i in order {
        while let Some(&Reverse((last, start))) = live.peek() {
            if last >= usages[i].first {
                break;
            }
            live.pop();
            taken.remove(&start);
        }
        let start = offsets[i];
        let end = start.saturating_add(usages[i].size_bytes);
        let before = taken.range(..end).next_back();
        if before.is_some_and(|(_, &before)| before > start) {
            return false;
        }
        taken.insert(start, end);
        live.push(Reverse((usages[i].last, start)));
    }
    true
}
