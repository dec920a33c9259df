//! Which pieces of the host's memory overlap, in n log n: a program may have 65,536 ports.

use super::types::etvk_tensor;

/// Pieces of memory in order of their starts; empty ones are left out.
pub(super) struct Pieces(Vec<Piece>);

struct Piece {
    start: usize,
    end: usize,
    /// Among the tensors that it was made of.
    index: usize,
}

impl Piece {
    fn of(index: usize, tensor: &etvk_tensor) -> Self {
        let start = tensor.data.addr();
        let end = start.saturating_add(tensor.size_bytes);
        Self { start, end, index }
    }
}

impl Pieces {
    /// The pieces of `tensors`, or the indices of two that overlap, the lower first.
    pub(super) fn disjoint(tensors: &[etvk_tensor]) -> Result<Self, [usize; 2]> {
        let pieces = tensors.iter().enumerate().map(|(i, t)| Piece::of(i, t));
        let mut pieces: Vec<Piece> = pieces.filter(|p| p.start < p.end).collect();
        pieces.sort_unstable_by_key(|p| (p.start, p.index));
        // Where any two overlap, two neighbours do.
        match pieces.windows(2).find(|pair| pair[1].start < pair[0].end) {
            Some(pair) => {
                let mut both = [pair[0].index, pair[1].index];
                both.sort_unstable();
                Err(both)
            }
            None => Ok(Self(pieces)),
        }
    }

    /// Whether `tensor` overlaps one of them.
    pub(super) fn meet(&self, tensor: &etvk_tensor) -> bool {
        let piece = Piece::of(0, tensor);
        // They are disjoint, so that their ends are in order too.
        let after = self.0.partition_point(|p| p.end <= piece.start);
        piece.start < piece.end && self.0.get(after).is_some_and(|p| p.start < piece.end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::ETVK_MAX_RANK;
    use super::*;

    fn tensor(start: usize, size_bytes: usize) -> etvk_tensor {
        etvk_tensor {
            data: std::ptr::without_provenance_mut(start),
            size_bytes,
            dtype: 0,
            rank: 0,
            dims: [0; ETVK_MAX_RANK],
            dim_order: std::ptr::null(),
        }
    }

    /// By the definition: a byte that is in both.
    fn share(a: &etvk_tensor, b: &etvk_tensor) -> bool {
        let bytes = |t: &etvk_tensor| t.data.addr()..t.data.addr() + t.size_bytes;
        bytes(a).any(|byte| bytes(b).contains(&byte))
    }

    #[test]
    fn every_overlap_is_found_and_no_other() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % n as usize
        };
        let (mut apart, mut together) = (0, 0);
        for round in 0..4000u64 {
            let wide = 20 + round % 200;
            let count = 1 + below(6);
            let tensors: Vec<_> = (0..count).map(|_| tensor(below(wide), below(9))).collect();
            let found = Pieces::disjoint(&tensors);
            let any = (0..count).any(|i| (0..i).any(|j| share(&tensors[i], &tensors[j])));
            match found {
                Err([low, high]) => {
                    assert!(low < high && share(&tensors[low], &tensors[high]));
                    together += 1;
                }
                Ok(pieces) => {
                    assert!(!any, "round {round}");
                    apart += 1;
                    for start in 0..30 {
                        for size in [0, 1, 5, 40] {
                            let other = tensor(start, size);
                            let want = tensors.iter().any(|t| share(t, &other));
                            assert_eq!(pieces.meet(&other), want, "round {round}: {start} {size}");
                        }
                    }
                }
            }
        }
        assert!(apart > 500 && together > 500, "{apart} {together}");
    }

    #[test]
    fn the_end_of_the_address_space() {
        let last = tensor(usize::MAX - 4, 4);
        let pieces = Pieces::disjoint(std::slice::from_ref(&last));
        assert!(pieces.is_ok_and(|p| p.meet(&tensor(usize::MAX - 1, usize::MAX))));
        assert!(Pieces::disjoint(&[last, tensor(0, usize::MAX)]).is_err());
    }
}
