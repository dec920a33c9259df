//! Resampling of planes to another size: nearest and bilinear.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::Element;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, cuts, Axis, Piece, Pieces, Whole};
use crate::ops::support::planes::{channels_last, push, signed, with_batch};
use crate::ops::support::{Args, Op};
use std::ops::Range;

/// A call of `aten.upsample_nearest2d` or `aten.upsample_bilinear2d`.
#[derive(Clone)]
pub struct Resample {
    input: ValueId,
    size: Option<Vec<i64>>,
    scale: Option<Vec<f64>>,
    kind: Kind,
    /// What the call is of a larger one, if it is a piece.
    part: Option<Part>,
    output: ValueId,
}

/// A piece of a resampling: rows of the target, and the rows of the source that they are made of.
#[derive(Clone, Debug)]
struct Part {
    /// Height and width of the whole source and target.
    whole_in: [u32; 2],
    whole_out: [u32; 2],
    rows: Range<u32>,
    /// First row of the source that the piece has.
    source_row: u32,
}

/// Numbered as in `shaders/resample.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Nearest = 0,
    Bilinear = 1,
    /// The corners of source and target coincide.
    BilinearCorners = 2,
}

impl Op for Resample {
    const NAMES: &'static [&'static str] = &[
        "aten.upsample_bilinear2d.vec",
        "aten.upsample_nearest2d.vec",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (kind, scale) = if args.op() == "aten.upsample_nearest2d.vec" {
            args.expect_len(4)?;
            (Kind::Nearest, 2)
        } else {
            args.expect_len(5)?;
            match args.bool(2)? {
                true => (Kind::BilinearCorners, 3),
                false => (Kind::Bilinear, 3),
            }
        };
        Ok(Self {
            input: args.tensor(0)?,
            size: args.optional_ints(1)?,
            scale: args.optional_doubles(scale)?,
            kind,
            part: None,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let &[n, c, h_in, w_in] = source.dims.as_slice() else {
            return Err(Error::blob(format!("resampling of dims {:?}", source.dims)));
        };
        if source.element == Element::I32 || h_in == 0 || w_in == 0 {
            return Err(Error::unsupported(format!(
                "resampling of {:?} {:?}",
                source.dtype, source.dims
            )));
        }
        let part = self.part(&source.dims)?;
        let rows = part.rows.end - part.rows.start;
        let dims = [n, c, rows, part.whole_out[1]];
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        let (source, target) = (with_batch(&source)?, with_batch(&target)?);
        let mut words = push(&source, &target)?;
        for size in part.whole_in {
            words.push(signed(size.into())?);
        }
        for i in 0..2 {
            words.push(self.step(i, part.whole_in[i], part.whole_out[i]).to_bits());
        }
        words.extend([
            signed(part.rows.start.into())?,
            signed(part.source_row.into())?,
        ]);
        let half = source.element == Element::F16 || target.element == Element::F16;
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::ResampleHalf
            } else {
                Shader::ResamplePlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                channels_last(&target),
                source.element as u32,
                target.element as u32,
                self.kind as u32,
            ],
            push: words,
            bindings: vec![Bind::read(&source), Bind::write(&target)],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let source = program.dims(self.input)?;
        let &[n, c, h_in, _] = source.as_slice() else {
            return Ok(None);
        };
        let part = self.part(&source)?;
        let dims = vec![n, c, part.rows.end - part.rows.start, part.whole_out[1]];
        Ok(Some(Pieces {
            results: vec![Whole::like(program, self.input, self.output, dims)?],
            operands: vec![self.input],
            axes: vec![
                cut_along(self, 0, vec![(self.input, 0)]),
                Axis {
                    result_dims: vec![2],
                    unit: 1,
                    cut: vec![self.input],
                    piece: Box::new(move |range| {
                        let (op, slice) = self.piece(&part, h_in, &range);
                        let cuts = cuts(&[(self.input, 2)], &slice);
                        Ok(Piece { op, cuts })
                    }),
                },
                cut_along(self, 1, vec![(self.input, 1)]),
            ],
        }))
    }
}

impl Resample {
    /// What the call is of the whole resampling: for a call that is no piece, all of it.
    fn part(&self, source: &[u32]) -> Result<Part> {
        match (&self.part, source) {
            (Some(part), _) => Ok(part.clone()),
            (None, &[_, _, h_in, w_in]) => {
                let whole_out = self.output_size([h_in, w_in])?;
                Ok(Part {
                    whole_in: [h_in, w_in],
                    whole_out,
                    rows: 0..whole_out[0],
                    source_row: 0,
                })
            }
            _ => Err(Error::blob(format!("resampling of dims {source:?}"))),
        }
    }

    /// What makes rows `range` of what `part` makes from `size` rows of the source, and which of
    /// them it reads.
    fn piece(&self, part: &Part, size: u32, range: &Range<u32>) -> (Self, Range<u32>) {
        let rows = part.rows.start + range.start..part.rows.start + range.end;
        let step = f64::from(self.step(0, part.whole_in[0], part.whole_out[0]));
        let half = if self.kind == Kind::Bilinear {
            0.5
        } else {
            0.0
        };
        let position = |row: u32| ((f64::from(row) + half) * step - half).max(0.0);
        // One row more on either side: the kernel computes in single precision.
        let first = (position(rows.start) as u32).saturating_sub(1);
        let last = (position(rows.end - 1) as u32).saturating_add(2);
        let relative = |row: u32| row.saturating_sub(part.source_row).min(size - 1);
        let (first, last) = (relative(first), relative(last));
        let part = Part {
            rows,
            source_row: part.source_row + first,
            ..part.clone()
        };
        let op = Self {
            part: Some(part),
            ..self.clone()
        };
        (op, first..last + 1)
    }

    fn output_size(&self, input: [u32; 2]) -> Result<[u32; 2]> {
        let wrong = || {
            Error::blob(format!(
                "resampling of {input:?} to size {:?}, scale {:?}",
                self.size, self.scale
            ))
        };
        let sizes = match (&self.size, &self.scale) {
            (Some(size), _) => size.clone(),
            // PyTorch multiplies in double and truncates.
            (None, Some(scale)) => input
                .iter()
                .zip(scale)
                .map(|(&n, s)| (f64::from(n) * s) as i64)
                .collect(),
            (None, None) => return Err(wrong()),
        };
        let [h, w] = sizes.as_slice() else {
            return Err(wrong());
        };
        let size = |n: i64| u32::try_from(n).ok().filter(|&n| n > 0).ok_or_else(wrong);
        Ok([size(*h)?, size(*w)?])
    }

    /// Distance of neighbours in the source, in single precision as PyTorch computes it: a scale
    /// that was given counts, even where sizes were rounded.
    fn step(&self, i: usize, size: u32, size_out: u32) -> f32 {
        if self.kind == Kind::BilinearCorners {
            return match size_out {
                1 => 0.0,
                _ => (size - 1) as f32 / (size_out - 1) as f32,
            };
        }
        match self.scale.as_ref().and_then(|s| s.get(i)) {
            Some(&scale) if scale > 0.0 => (1.0 / scale) as f32,
            _ => size as f32 / size_out as f32,
        }
    }
}
