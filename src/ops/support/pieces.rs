//! Calls whose tensors are larger than what a kernel may bind, done piece by piece: each piece is the
//! same operator on slices of its operands, and writes a slice of the result.

use super::builder::{dense_layout, Cut, PieceTarget, ProgramBuilder};
use super::elementwise::broadcast_dims;
use super::window;
use crate::base::error::{Error, Result};
use crate::core::conv::tiles;
use crate::core::ids::ValueId;
use crate::core::tensor::Layout;
use std::ops::Range;

/// How a call can be cut.
pub struct Pieces<'a, T> {
    /// Its results.
    pub results: Vec<Whole>,
    /// Its operands that are tensors, for their sizes.
    pub operands: Vec<ValueId>,
    /// Ways to cut it, the best first.
    pub axes: Vec<Axis<'a, T>>,
}

/// One result of a call, whole.
pub struct Whole {
    /// The value.
    pub id: ValueId,
    /// Its dims now.
    pub dims: Vec<u32>,
    /// Its layout, if it lies in device memory.
    pub layout: Layout,
}

/// One way to cut a call.
pub struct Axis<'a, T> {
    /// Of each result, the dim along which pieces follow one another.
    pub result_dims: Vec<usize>,
    /// Pieces are whole numbers of so many elements, but for the last.
    pub unit: u32,
    /// Operands of which a piece needs less.
    pub cut: Vec<ValueId>,
    /// The piece that makes these elements of the dim.
    pub piece: Box<dyn Fn(Range<u32>) -> Result<Piece<T>> + 'a>,
}

/// A piece of a call.
pub struct Piece<T> {
    /// What is done on the slices.
    pub op: T,
    /// The slices.
    pub cuts: Vec<Cut>,
}

/// How a type of call is lowered and cut.
pub trait InPieces: Sized {
    /// Emits all of it.
    fn lower_whole(&self, program: &mut ProgramBuilder<'_>) -> Result<()>;
    /// How it can be cut; `None` where it can't.
    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>>;
}

/// Lowers `op`, in pieces where something of it is too large for a binding.
pub fn lower<T: InPieces>(op: &T, program: &mut ProgramBuilder<'_>) -> Result<()> {
    if !program.may_exceed() {
        return op.lower_whole(program);
    }
    let Some(pieces) = op.pieces(program)? else {
        return op.lower_whole(program);
    };
    let too_large = too_large(&pieces, program)?;
    let helps =
        |axis: &&Axis<'_, T>| extent(&pieces, axis) > 1 && shrinks(axis, &pieces, &too_large);
    let Some(axis) = pieces.axes.iter().find(helps) else {
        return op.lower_whole(program);
    };
    let mut targets = Vec::new();
    for result in &pieces.results {
        targets.push(program.whole(result.id, &result.dims, result.layout)?);
    }
    let (extent, unit) = (extent(&pieces, axis), axis.unit);
    let units = extent.div_ceil(unit);
    for (first, count) in tiles(units, units.div_ceil(2)) {
        let (start, len) = (first * unit, (count * unit).min(extent - first * unit));
        let piece = (axis.piece)(start..start + len)?;
        let slices = pieces.results.iter().zip(&targets).zip(&axis.result_dims);
        let slices: Vec<PieceTarget> = slices
            .map(|((result, target), &dim)| {
                let window = window::slice(target, dim, start, len, 1)?;
                Ok(PieceTarget {
                    id: result.id,
                    window,
                })
            })
            .collect::<Result<_>>()?;
        program.piece(&piece.cuts, &slices, |program| lower(&piece.op, program))?;
    }
    for (result, target) in pieces.results.iter().zip(targets) {
        program.filled(result.id, target);
    }
    Ok(())
}

fn extent<T>(pieces: &Pieces<'_, T>, axis: &Axis<'_, T>) -> u32 {
    let result = pieces.results.first().zip(axis.result_dims.first());
    let extent = result.and_then(|(result, &dim)| result.dims.get(dim));
    extent.copied().unwrap_or(0)
}

/// Values of a call that no kernel may bind whole.
fn too_large<T>(pieces: &Pieces<'_, T>, program: &mut ProgramBuilder<'_>) -> Result<Vec<ValueId>> {
    let mut found = Vec::new();
    for &id in &pieces.operands {
        let dims = program.dims(id)?;
        if !program.fits(id, &dims)? {
            found.push(id);
        }
    }
    for result in &pieces.results {
        if !program.fits(result.id, &result.dims)? {
            found.push(result.id);
        }
    }
    Ok(found)
}

fn shrinks<T>(axis: &Axis<'_, T>, pieces: &Pieces<'_, T>, too_large: &[ValueId]) -> bool {
    let is_result = |id: &ValueId| pieces.results.iter().any(|result| result.id == *id);
    too_large
        .iter()
        .any(|id| axis.cut.contains(id) || is_result(id))
}

impl Whole {
    /// The result `id` of `operands`, broadcast together; laid out as the first that has its dims.
    pub fn broadcast(
        program: &mut ProgramBuilder<'_>,
        operands: &[ValueId],
        id: ValueId,
    ) -> Result<Self> {
        let mut shapes = Vec::new();
        for &operand in operands {
            shapes.push(program.dims(operand)?);
        }
        let lent: Vec<&[u32]> = shapes.iter().map(Vec::as_slice).collect();
        let dims = broadcast_dims(&lent)?;
        let same = operands
            .iter()
            .zip(&shapes)
            .find(|(_, shape)| **shape == dims);
        match same {
            Some((&source, _)) => Self::like(program, source, id, dims),
            None => Ok(Self {
                id,
                dims,
                layout: Layout::Contiguous,
            }),
        }
    }

    /// The result `id` of `dims`, laid out as an element-wise kernel lays out what it makes of
    /// `source`.
    pub fn like(
        program: &mut ProgramBuilder<'_>,
        source: ValueId,
        id: ValueId,
        dims: Vec<u32>,
    ) -> Result<Self> {
        let layout = match dims.len() {
            4 => dense_layout(&program.tensor(source)?),
            _ => Layout::Contiguous,
        };
        Ok(Self { id, dims, layout })
    }
}

/// An axis along `dim` of the only result, of which the operands `cut` have the same elements in the
/// dims that are given; `op` does each piece.
pub fn cut_along<'a, T: Clone>(op: &'a T, dim: usize, cut: Vec<(ValueId, usize)>) -> Axis<'a, T> {
    Axis {
        result_dims: vec![dim],
        unit: 1,
        cut: cut.iter().map(|&(id, _)| id).collect(),
        piece: Box::new(move |range| {
            Ok(Piece {
                op: op.clone(),
                cuts: cuts(&cut, &range),
            })
        }),
    }
}

/// A call that makes each element of its result, which has `dims` in `layout`, from the same element
/// of its operands, broadcast as NumPy does.
pub fn pointwise<'a, T: Clone>(
    op: &'a T,
    program: &mut ProgramBuilder<'_>,
    operands: &[ValueId],
    result: Whole,
) -> Result<Pieces<'a, T>> {
    let rank = result.dims.len();
    let mut shapes = Vec::new();
    for &id in operands {
        let dims = program.dims(id)?;
        let lead = rank.checked_sub(dims.len());
        let lead =
            lead.ok_or_else(|| Error::internal("an operand of more dims than the result"))?;
        shapes.push((id, dims, lead));
    }
    let memory_order: Vec<usize> = match result.layout {
        Layout::ChannelsPacked if rank >= 3 => {
            let channels_last = (0..rank).filter(|&d| d != 1);
            channels_last.chain([1]).collect()
        }
        _ => (0..rank).collect(),
    };
    let axes = memory_order.into_iter().map(|dim| {
        let cut = shapes
            .iter()
            .filter(|(_, dims, lead)| dim >= *lead && dims[dim - lead] > 1)
            .map(|&(id, _, lead)| (id, dim - lead));
        cut_along(op, dim, cut.collect())
    });
    let axes = axes.collect();
    Ok(Pieces {
        results: vec![result],
        operands: operands.to_vec(),
        axes,
    })
}

/// How a window moves along one dim: output `i` reads from `i * stride - padding` on, `reach + 1`
/// elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Elements of the source.
    pub size: u32,
    /// Distance of neighbouring outputs in the source.
    pub stride: u32,
    /// Elements before the source that the first output reads.
    pub padding: u32,
    /// Distance of the first and the last element that an output reads.
    pub reach: u64,
}

impl Moving {
    /// The first element and the number of elements of the source that outputs `range` read, and
    /// the padding that is left before them. Beyond its end the slice is padded as the source is.
    pub fn slice(&self, range: &Range<u32>) -> (Range<u32>, u32) {
        let [size, stride, padding] = [self.size, self.stride, self.padding].map(i64::from);
        let reach = i64::try_from(self.reach).unwrap_or(i64::MAX / 4);
        let begin = i64::from(range.start) * stride - padding;
        let first = begin.clamp(0, size - 1);
        let last = (i64::from(range.end) - 1) * stride - padding + reach;
        let last = last.clamp(first, size - 1);
        let narrow = |n: i64| u32::try_from(n).unwrap_or(0);
        (narrow(first)..narrow(last + 1), narrow(first - begin))
    }

    /// The same for a transposed window: element `i` of the source reaches outputs
    /// `i * stride - padding` to that plus `reach`.
    pub fn scattered(&self, range: &Range<u32>) -> (Range<u32>, u32) {
        let [size, stride, padding] = [self.size, self.stride, self.padding].map(i64::from);
        let reach = i64::try_from(self.reach).unwrap_or(i64::MAX / 4);
        let (begin, end) = (i64::from(range.start), i64::from(range.end) - 1);
        let first = (begin + padding - reach + stride - 1).div_euclid(stride);
        let first = first.clamp(0, ((begin + padding) / stride).min(size - 1));
        let last = ((end + padding) / stride).clamp(first, size - 1);
        let narrow = |n: i64| u32::try_from(n).unwrap_or(0);
        (
            narrow(first)..narrow(last + 1),
            narrow(padding + begin - first * stride),
        )
    }
}

/// The same elements `range` of a dim of each of `values`.
pub fn cuts(values: &[(ValueId, usize)], range: &Range<u32>) -> Vec<Cut> {
    let cut = |&(id, dim): &(ValueId, usize)| Cut {
        id,
        dim,
        start: range.start,
        len: range.end - range.start,
    };
    // A value that is given twice is cut once.
    let mut found: Vec<Cut> = Vec::new();
    for cut in values.iter().map(cut) {
        if !found.contains(&cut) {
            found.push(cut);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every product of an output with an input is one of the piece that makes the output.
    #[test]
    fn slices_hold_what_outputs_read() {
        for (size, kernel, stride, padding, dilation) in [
            (9, 3, 1, 1, 1),
            (10, 3, 2, 1, 1),
            (7, 5, 1, 2, 1),
            (11, 3, 3, 0, 2),
            (5, 1, 2, 0, 1),
        ] {
            let reach = u64::from(dilation * (kernel - 1));
            let outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
            let scattered = (size - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding;
            for start in 0..outputs.max(scattered) {
                for end in start + 1..=outputs.max(scattered) {
                    let moving = Moving {
                        size,
                        stride,
                        padding,
                        reach,
                    };
                    for k in 0..kernel {
                        let tap = i64::from(k * dilation);
                        for o in start..end.min(outputs) {
                            let (slice, left) = moving.slice(&(start..end.min(outputs)));
                            let at = i64::from(o * stride) - i64::from(padding) + tap;
                            let there = i64::from((o - start) * stride) - i64::from(left) + tap;
                            let same = at == there + i64::from(slice.start);
                            let inside = (0..i64::from(size)).contains(&at);
                            let seen = (0..i64::from(slice.end - slice.start)).contains(&there);
                            assert!(same && inside == seen, "{start}..{end}, {o}, tap {k}");
                        }
                        for i in 0..size {
                            let o = i64::from(i * stride) - i64::from(padding) + tap;
                            if !(i64::from(start)..i64::from(end.min(scattered))).contains(&o) {
                                continue;
                            }
                            let range = start..end.min(scattered);
                            let (slice, left) = moving.scattered(&range);
                            assert!(slice.contains(&i), "{range:?}: {i} reaches {o}");
                            let there =
                                i64::from((i - slice.start) * stride) - i64::from(left) + tap;
                            assert_eq!(there, o - i64::from(start));
                        }
                    }
                }
            }
        }
    }
}
