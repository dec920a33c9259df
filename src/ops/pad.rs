//! A border of one value; negative widths crop.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::program::Access;
use crate::core::shader::Shader;
use crate::core::tensor::{Element, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, Cut, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{Axis, Piece, Pieces, Whole};
use crate::ops::support::planes::signed;
use crate::ops::support::window::slice;
use crate::ops::support::{Args, Op};
use std::ops::Range;

/// Loop dims of the kernel.
const MAX_RANK: usize = 5;

/// A call of `aten.constant_pad_nd`.
#[derive(Clone)]
pub struct Pad {
    input: ValueId,
    /// Pairs of widths before and after, from the last dim.
    widths: Vec<i64>,
    value: f64,
    /// Dims of the input.
    rank: usize,
    output: ValueId,
}

impl Op for Pad {
    const NAMES: &'static [&'static str] = &["aten.constant_pad_nd.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(4)?;
        Ok(Self {
            input: args.tensor(0)?,
            widths: args.ints(1)?,
            value: args.number(2)?,
            rank: args.spec(0)?.dims.len(),
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut source = program.operand(self.input, Want::Any)?;
        let layout = dense_layout(&source);
        let mut dims = source.dims.clone();
        let mut before = vec![0u32; dims.len()];
        let rank = dims.len();
        let wrong = || Error::blob(format!("padding {:?} of {dims:?}", self.widths));
        if self.widths.len() % 2 != 0 || self.widths.len() / 2 > rank {
            return Err(wrong());
        }
        let mut padded = dims.clone();
        for (i, pair) in self.widths.chunks_exact(2).enumerate() {
            let d = rank - 1 - i;
            let size = i64::from(dims[d]);
            let total = size.saturating_add(pair[0]).saturating_add(pair[1]);
            padded[d] = u32::try_from(total).map_err(|_| wrong())?;
            // What remains of the source, and the border before it. Nothing may remain.
            let first = pair[0].min(0).saturating_neg().min(size);
            let end = size.saturating_add(pair[1].min(0)).max(first);
            let [first, len] = [first, end - first].map(|n| u32::try_from(n).unwrap_or(0));
            source = slice(&source, d, first, len, 1)?;
            before[d] = u32::try_from(pair[0].max(0)).map_err(|_| wrong())?;
        }
        dims = padded;
        let target = program.output_any(self.output, &dims, layout)?;
        let integer = target.element == Element::I32;
        if integer != (source.element == Element::I32) {
            return Err(Error::blob(format!(
                "{:?} from {:?}",
                target.dtype, source.dtype
            )));
        }
        let loops = merge(&source, &target, &before);
        if loops.len() > MAX_RANK {
            return Err(Error::unsupported(format!(
                "padding {:?} of dims {:?}",
                self.widths, source.dims
            )));
        }
        let value = if integer {
            self.value as i32 as u32
        } else {
            (self.value as f32).to_bits()
        };
        // Nothing is read where nothing remains, but validation sees the whole buffer being bound.
        let read = match source.numel() {
            0 => Bind::whole(source.buffer, Access::Read),
            _ => Bind::read(&source),
        };
        let half = source.element == Element::F16 || target.element == Element::F16;
        let rank = u32::try_from(loops.len()).map_err(|_| Error::internal("rank"))?;
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::PadHalf
            } else {
                Shader::PadPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![rank, source.element as u32, target.element as u32],
            push: push(&source, &target, value, &loops)?,
            bindings: vec![read, Bind::write(&target)],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let source = program.dims(self.input)?;
        let rank = source.len();
        let mut dims = source.clone();
        let mut axes = Vec::new();
        for d in 0..rank {
            let i = 2 * (rank - 1 - d);
            let width = |i: usize| self.widths.get(i).copied().unwrap_or(0);
            let (before, after) = (width(i), width(i + 1));
            let size = i64::from(source[d]);
            dims[d] = u32::try_from(size + before + after).unwrap_or(0);
            axes.push(Axis {
                result_dims: vec![d],
                unit: 1,
                cut: vec![self.input],
                piece: Box::new(move |range| Ok(self.piece(d, size, before, &range))),
            });
        }
        Ok(Some(Pieces {
            results: vec![Whole::like(program, self.input, self.output, dims)?],
            operands: vec![self.input],
            axes,
        }))
    }
}

impl Pad {
    /// What makes elements `range` of dim `d` of the result, of a source of `size` there with a
    /// border of `before`, which cuts where it is negative.
    fn piece(&self, d: usize, size: i64, before: i64, range: &Range<u32>) -> Piece<Self> {
        let (start, end) = (i64::from(range.start), i64::from(range.end));
        // The elements of the source that lie there; perhaps none.
        let first = (start - before).clamp(0, size);
        let last = (end - before).clamp(first, size);
        let mut widths = self.widths.clone();
        let rank_left = widths.len() / 2;
        let i = 2 * (self.rank - 1 - d);
        if rank_left * 2 <= i {
            widths.resize(i + 2, 0);
        }
        let border = (first + before - start).clamp(0, end - start);
        widths[i] = border;
        widths[i + 1] = (end - start) - border - (last - first);
        let [start, len] = [first, last - first].map(|n| u32::try_from(n).unwrap_or(0));
        Piece {
            op: Self {
                widths,
                ..self.clone()
            },
            cuts: vec![Cut {
                id: self.input,
                dim: d,
                start,
                len,
            }],
        }
    }
}

/// One loop of the kernel, over a dim of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Loop {
    size: u32,
    before: u32,
    source_size: u32,
    source_stride: i64,
    target_stride: i64,
}

/// The loops in the order of the target's memory; neighbours without a border are merged.
fn merge(source: &Tensor, target: &Tensor, before: &[u32]) -> Vec<Loop> {
    let mut loops: Vec<Loop> = (0..target.dims.len())
        .map(|d| Loop {
            size: target.dims[d],
            before: before[d],
            source_size: source.dims[d],
            source_stride: source.strides[d],
            target_stride: target.strides[d],
        })
        .filter(|l| l.size != 1 || l.source_size != 1)
        .collect();
    loops.sort_by_key(|l| std::cmp::Reverse(l.target_stride.unsigned_abs()));
    let mut merged: Vec<Loop> = Vec::new();
    for inner in loops {
        let bare = |l: &Loop| l.before == 0 && l.size == l.source_size;
        let size = i64::from(inner.size);
        match merged.last_mut() {
            Some(outer)
                if bare(outer)
                    && bare(&inner)
                    && outer.source_stride == inner.source_stride.saturating_mul(size)
                    && outer.target_stride == inner.target_stride.saturating_mul(size)
                    && outer.size.checked_mul(inner.size).is_some() =>
            {
                let size = outer.size * inner.size;
                *outer = Loop {
                    size,
                    source_size: size,
                    ..inner
                };
            }
            _ => merged.push(inner),
        }
    }
    if merged.is_empty() {
        merged.push(Loop {
            size: 1,
            before: 0,
            source_size: 1,
            source_stride: 0,
            target_stride: 0,
        });
    }
    merged
}

fn push(source: &Tensor, target: &Tensor, value: u32, loops: &[Loop]) -> Result<Vec<u32>> {
    let count = u32::try_from(target.numel())
        .map_err(|_| Error::unsupported(format!("{} elements", target.numel())))?;
    let mut words = vec![count, signed(source.offset)?, signed(target.offset)?, value];
    let fields: [fn(&Loop) -> i64; 5] = [
        |l| i64::from(l.size),
        |l| l.source_stride,
        |l| l.target_stride,
        |l| i64::from(l.before),
        |l| i64::from(l.source_size),
    ];
    for field in fields {
        for d in 0..MAX_RANK {
            words.push(signed(loops.get(d).map_or(0, field))?);
        }
    }
    Ok(words)
}
