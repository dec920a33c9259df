//! Reductions over any dims: sum, mean, amax, amin, argmax, argmin.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::{Element, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, Pieces, Whole};
use crate::ops::support::rows::Rows;
use crate::ops::support::window::wrap_dims;
use crate::ops::support::{Args, Op};

/// A call of one of the reductions.
#[derive(Clone)]
pub struct Reduce {
    kind: Kind,
    input: ValueId,
    /// Empty is all dims.
    dims: Vec<i64>,
    keep: Keep,
    output: ValueId,
}

/// Numbered as in `shaders/reduce.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Sum = 0,
    Mean = 1,
    Amax = 2,
    Amin = 3,
    Argmax = 4,
    Argmin = 5,
}

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    /// Reduced dims stay, with size 1.
    Dims,
    /// Reduced dims go away.
    None,
}

impl Op for Reduce {
    const NAMES: &'static [&'static str] = &[
        "aten.amax.default",
        "aten.amin.default",
        "aten.argmax.default",
        "aten.argmin.default",
        "aten.mean.default",
        "aten.mean.dim",
        "aten.sum.default",
        "aten.sum.dim_IntList",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (kind, len) = match args.op() {
            "aten.sum.default" => (Kind::Sum, 3),
            "aten.mean.default" => (Kind::Mean, 3),
            "aten.sum.dim_IntList" => (Kind::Sum, 5),
            "aten.mean.dim" => (Kind::Mean, 5),
            "aten.amax.default" => (Kind::Amax, 4),
            "aten.amin.default" => (Kind::Amin, 4),
            "aten.argmax.default" => (Kind::Argmax, 4),
            _ => (Kind::Argmin, 4),
        };
        args.expect_len(len)?;
        let over_all = len == 3;
        let dims = if over_all {
            None
        } else {
            args.optional_ints(1)?
        };
        let keep = !over_all && args.bool(2)?;
        Ok(Self {
            kind,
            input: args.tensor(0)?,
            dims: dims.unwrap_or_default(),
            keep: if keep { Keep::Dims } else { Keep::None },
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut source = program.operand(self.input, Want::Any)?;
        let rank = source.dims.len();
        let reduced = wrap_dims(&self.dims, rank)?;
        let in_row: Vec<bool> = (0..rank)
            .map(|d| reduced.is_empty() || reduced.contains(&d))
            .collect();
        let kept: Vec<u32> = source
            .dims
            .iter()
            .zip(&in_row)
            .map(|(&n, &reduced)| if reduced { 1 } else { n })
            .collect();
        let empty = source.dims.iter().zip(&in_row).any(|(&n, &r)| r && n == 0);
        if empty && !matches!(self.kind, Kind::Sum | Kind::Mean) {
            return Err(Error::blob(format!(
                "{:?} over no elements of {:?}",
                self.kind, source.dims
            )));
        }
        let mut dims = kept.clone();
        if self.keep == Keep::None {
            let mut marks = in_row.iter();
            dims.retain(|_| marks.next() == Some(&false));
        }
        // A result that keeps its dims keeps its layout.
        let layout = match self.keep {
            Keep::Dims => dense_layout(&source),
            Keep::None => Layout::Contiguous,
        };
        let target = program.output_any(self.output, &dims, layout)?;
        let wide = with_dims(&target, &kept, &in_row, self.keep);
        let rows = match Rows::new(&source, &wide, &in_row)? {
            Some(rows) => rows,
            None => {
                source = program.read(&source, Want::Dense(Layout::Contiguous))?;
                Rows::new(&source, &wide, &in_row)?.ok_or_else(|| {
                    Error::unsupported(format!(
                        "reduction over {:?} of {:?}",
                        self.dims, source.dims
                    ))
                })?
            }
        };
        self.emit(program, &rows, &source, &target)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let source = program.dims(self.input)?;
        let reduced = wrap_dims(&self.dims, source.len())?;
        let kept = |d: &usize| !reduced.is_empty() && !reduced.contains(d);
        let (mut dims, mut axes) = (Vec::new(), Vec::new());
        for (d, &size) in source.iter().enumerate() {
            match (kept(&d), self.keep) {
                (true, _) => {
                    axes.push(cut_along(self, dims.len(), vec![(self.input, d)]));
                    dims.push(size);
                }
                (false, Keep::Dims) => dims.push(1),
                (false, Keep::None) => {}
            }
        }
        Ok(Some(Pieces {
            results: vec![Whole::like(program, self.input, self.output, dims)?],
            operands: vec![self.input],
            axes,
        }))
    }
}

impl Reduce {
    fn emit(
        &self,
        program: &mut ProgramBuilder<'_>,
        rows: &Rows,
        source: &Tensor,
        target: &Tensor,
    ) -> Result<()> {
        let shader = match (source.element, target.element) {
            (Element::I32, Element::F16) => {
                return Err(Error::unsupported("an integer reduction to fp16"))
            }
            (Element::I32, _) => Shader::ReduceInt,
            (Element::F16, _) | (_, Element::F16) => Shader::ReduceHalf,
            _ => Shader::ReducePlain,
        };
        let mut spec = rows.spec().to_vec();
        spec.extend([
            source.element as u32,
            target.element as u32,
            self.kind as u32,
        ]);
        program.dispatch_words(DispatchDesc {
            shader,
            local_size: rows.local_size(),
            spec,
            push: rows.push()?,
            bindings: vec![Bind::read(source), Bind::write(target)],
            workgroups: rows.workgroups(program)?,
        })
    }
}

/// `target` with the reduced dims as sizes of 1.
fn with_dims(target: &Tensor, kept: &[u32], in_row: &[bool], keep: Keep) -> Tensor {
    if keep == Keep::Dims {
        return target.clone();
    }
    let mut strides = target.strides.iter();
    let wide = in_row.iter().map(|&reduced| match reduced {
        true => 0,
        false => strides.next().copied().unwrap_or(0),
    });
    Tensor {
        strides: wide.collect(),
        dims: kept.to_vec(),
        ..target.clone()
    }
}
