//! Offsets of temporaries in the arena: by lifetime, and for smaller input sizes never beyond what
//! was reserved for the largest.

use super::lifetime::{overflow, Reserved, Usage};
use super::objects::Objects;
use super::sweep::{apart, place_in_turn};
use crate::base::error::Result;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

/// A key to sort temporaries by.
type Order = fn(&Usage) -> (u64, usize);

/// The orders in which temporaries are placed. Greedy placing has anomalies, and which order wins
/// depends on the program: the smallest arena is taken, the earlier order when they are equal.
const ORDERS: [Order; 3] = [
    // The largest first (XNNPACK's planner does the same).
    |u| (u64::MAX - u.size_bytes, u.first),
    // As they appear.
    |u| (0, u.first),
    // The longest-lived first.
    |u| (u64::MAX - (u.last - u.first) as u64, u.first),
];

/// Temporaries for which all orders are tried, in quadratic time: far more than the largest networks
/// have. A hostile program is made of many small ones.
const MAX_TRIED: usize = 2048;

/// Offsets of temporaries, in order, and the arena's size.
pub fn plan_arena(usages: &[Usage], objects: &Objects) -> Result<(Vec<u64>, u64)> {
    if usages.len() > MAX_TRIED {
        return place_in_turn(usages, objects);
    }
    let mut best = place(usages, objects, ORDERS[0])?;
    for order in &ORDERS[1..] {
        let other = place(usages, objects, *order)?;
        if other.1 < best.1 {
            best = other;
        }
    }
    Ok(best)
}

/// Each in turn into the smallest gap between those that live at the same time.
fn place(usages: &[Usage], objects: &Objects, key: Order) -> Result<(Vec<u64>, u64)> {
    let mut order: Vec<usize> = (0..usages.len()).collect();
    order.sort_by_key(|&i| (key(&usages[i]), Reverse(usages[i].size_bytes), i));
    let mut offsets = vec![0u64; usages.len()];
    let mut placed: Vec<usize> = Vec::new(); // sorted by offset
    let mut arena_bytes = 0;
    for i in order {
        let size = objects.padded(usages[i].size_bytes)?;
        let (mut best, mut best_gap) = (None, u64::MAX);
        let mut cursor = 0u64;
        for &p in &placed {
            if !usages[p].lives_beside(&usages[i]) {
                continue;
            }
            let start = objects.fit(cursor, size)?;
            if let Some(gap) = offsets[p].checked_sub(cursor) {
                let fits = start.checked_add(size).is_some_and(|end| end <= offsets[p]);
                if fits && gap < best_gap {
                    (best, best_gap) = (Some(start), gap);
                }
            }
            let end = offsets[p]
                .checked_add(usages[p].size_bytes)
                .ok_or_else(overflow)?;
            cursor = cursor.max(objects.padded(end)?);
        }
        offsets[i] = match best {
            Some(start) => start,
            None => objects.fit(cursor, size)?,
        };
        arena_bytes = arena_bytes.max(offsets[i].checked_add(size).ok_or_else(overflow)?);
        let at = placed.partition_point(|&p| offsets[p] <= offsets[i]);
        placed.insert(at, i);
    }
    Ok((offsets, arena_bytes))
}

/// The offsets that the largest sizes gave, for the temporaries `nodes`, `usages` of smaller ones:
/// the k-th of a node lies where the k-th of that node lay. `None` when one is larger than what was
/// there, or when two that live at the same time would share bytes.
///
/// It is never `None` while both programs have the same temporaries in the same order, as operators
/// emit them whose structure does not depend on sizes: nothing grows, and with fewer tiles, or
/// another algorithm, dispatches go but two temporaries that never lived together still do not.
pub(super) fn as_reserved(
    reserved: &[Reserved],
    nodes: &[Option<usize>],
    usages: &[Usage],
) -> Option<Vec<u64>> {
    let mut free: HashMap<Option<usize>, VecDeque<&Reserved>> = HashMap::new();
    for place in reserved {
        free.entry(place.node).or_default().push_back(place);
    }
    let mut offsets = Vec::with_capacity(usages.len());
    for (node, usage) in nodes.iter().zip(usages) {
        let found = free.get_mut(node)?.pop_front()?;
        if found.size_bytes < usage.size_bytes {
            return None;
        }
        offsets.push(found.offset_bytes);
    }
    apart(usages, &offsets).then_some(offsets)
}

#[cfg(test)]
mod tests {
    use super::super::tests::random;
    use super::*;

    fn usages(state: &mut u64) -> Vec<Usage> {
        (0..random(state, 40))
            .map(|_| {
                let first = random(state, 30) as usize;
                Usage {
                    size_bytes: random(state, 5000) + 1,
                    first,
                    last: first + random(state, 8) as usize,
                }
            })
            .collect()
    }

    fn assert_apart(usages: &[Usage], offsets: &[u64], arena_bytes: u64, seed: u64) {
        for (i, (a, &a_start)) in usages.iter().zip(offsets).enumerate() {
            assert!(a_start + a.size_bytes <= arena_bytes, "seed {seed}");
            for (b, &b_start) in usages.iter().zip(offsets).skip(i + 1) {
                let overlap = a_start < b_start + b.size_bytes && b_start < a_start + a.size_bytes;
                assert!(!(a.lives_beside(b) && overlap), "seed {seed}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn live_ranges_never_overlap_in_bytes() {
        for seed in 0..500u64 {
            let mut state = seed;
            let align = [16, 64, 256][random(&mut state, 3) as usize];
            let usages = usages(&mut state);
            let objects = Objects::new(align, u64::MAX);
            let (offsets, arena_bytes) = plan_arena(&usages, &objects).expect("small");
            assert_eq!(offsets.len(), usages.len());
            assert!(offsets.iter().all(|o| o % align == 0), "seed {seed}");
            assert_apart(&usages, &offsets, arena_bytes, seed);
            // Not below what one dispatch needs, and not above one piece for each.
            let size = |u: &Usage| u.size_bytes.next_multiple_of(align);
            let at = |t| {
                usages
                    .iter()
                    .filter(|u| u.first <= t && t <= u.last)
                    .map(size)
                    .sum()
            };
            let least: u64 = (0..40).map(at).max().unwrap_or(0);
            assert!(least <= arena_bytes && arena_bytes <= usages.iter().map(size).sum());
        }
    }

    #[test]
    fn the_sweep_places_as_the_second_order_does() {
        for seed in 0..500u64 {
            let usages = usages(&mut seed.clone());
            let objects = Objects::new(64, u64::MAX);
            let swept = place_in_turn(&usages, &objects).expect("small");
            assert_eq!(
                swept,
                place(&usages, &objects, ORDERS[1]).expect("small"),
                "seed {seed}"
            );
            let (mut offsets, arena_bytes) = swept;
            assert!(apart(&usages, &offsets));
            for i in 1..offsets.len() {
                let (before, kept) = (offsets[i - 1], offsets[i]);
                offsets[i] = before;
                let beside = usages[i].lives_beside(&usages[i - 1]);
                assert!(!beside || !apart(&usages, &offsets), "seed {seed}");
                offsets[i] = kept;
            }
            assert_apart(&usages, &offsets, arena_bytes, seed);
        }
    }

    #[test]
    fn a_chain_needs_two_pieces() {
        // Each result lives until the next dispatch: two at a time, whatever the length.
        let usage = |size_bytes, first, last| Usage {
            size_bytes,
            first,
            last,
        };
        let objects = Objects::new(256, u64::MAX);
        let chain: Vec<Usage> = (0..50).map(|i| usage(1000, i, i + 1)).collect();
        assert_eq!(plan_arena(&chain, &objects).expect("small").1, 2048);
        let long: Vec<Usage> = (0..1 << 17).map(|i| usage(1000, i, i + 1)).collect();
        assert_eq!(plan_arena(&long, &objects).expect("small").1, 2048);
        assert_eq!(plan_arena(&[], &objects).expect("empty"), (vec![], 0));
        assert!(plan_arena(&[usage(u64::MAX - 3, 0, 0)], &objects).is_err());
    }

    #[test]
    fn what_shrinks_fits_where_it_lay() {
        let objects = Objects::new(16, u64::MAX);
        let (mut anomalies, mut shorter) = (0, 0);
        for seed in 0..3000u64 {
            let mut state = seed;
            let bound = usages(&mut state);
            let nodes: Vec<_> = bound
                .iter()
                .map(|u| (u.first > 0).then_some(u.first / 2))
                .collect();
            let (offsets, arena_bytes) = plan_arena(&bound, &objects).expect("small");
            let reserved: Vec<Reserved> = bound
                .iter()
                .zip(&offsets)
                .zip(&nodes)
                .map(|((usage, &offset_bytes), &node)| Reserved {
                    node,
                    size_bytes: usage.size_bytes,
                    offset_bytes,
                })
                .collect();
            let mut smaller = bound.clone();
            for usage in &mut smaller {
                usage.size_bytes -= random(&mut state, usage.size_bytes.div_ceil(16));
            }
            anomalies += u32::from(plan_arena(&smaller, &objects).expect("small").1 > arena_bytes);
            let again = as_reserved(&reserved, &nodes, &smaller).expect("the same structure");
            assert_apart(&smaller, &again, arena_bytes, seed);
            // What grows is refused, and so is what now lives beside another.
            if let Some(usage) = smaller.first_mut() {
                usage.size_bytes = bound[0].size_bytes + 1;
                assert_eq!(as_reserved(&reserved, &nodes, &smaller), None);
                let forever: Vec<Usage> = bound
                    .iter()
                    .map(|u| Usage {
                        first: 0,
                        last: 100,
                        ..*u
                    })
                    .collect();
                if let Some(offsets) = as_reserved(&reserved, &nodes, &forever) {
                    assert_apart(&forever, &offsets, arena_bytes, seed);
                } else {
                    shorter += 1;
                }
            }
        }
        assert!(
            anomalies > 0,
            "greedy placing never grew: nothing was tried"
        );
        assert!(shorter > 1000, "{shorter}");
    }

    #[test]
    fn nothing_crosses_the_border_of_an_object() {
        let (mut larger, mut gaps) = (0, 0);
        for seed in 0..600u64 {
            let mut state = seed;
            let usages = usages(&mut state);
            let most = 1 << (8 + random(&mut state, 6));
            let objects = Objects::new(64, most);
            for planned in [
                plan_arena(&usages, &objects),
                place_in_turn(&usages, &objects),
            ] {
                let (offsets, arena_bytes) = planned.expect("small");
                assert_apart(&usages, &offsets, arena_bytes, seed);
                for (usage, offset) in usages.iter().zip(&offsets) {
                    let inside = offset % objects.object_bytes;
                    let fits = inside + usage.size_bytes <= objects.object_bytes;
                    assert!(fits || inside == 0, "seed {seed}: {usage:?} at {offset}");
                    larger += u32::from(usage.size_bytes > objects.object_bytes);
                    gaps += u32::from(*offset > 0 && inside == 0);
                }
            }
        }
        assert!(larger > 100 && gaps > 100, "{larger} {gaps}");
    }
}
