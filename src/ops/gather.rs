//! Elements picked by a tensor of indices: gather, index_select, index with one tensor, embedding.
//!
//! Indices are known on the device alone, so a bad one cannot be an error: negative ones count from
//! the end, and what is still outside is clamped. Nothing outside the tensor is ever read.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, Pieces, Whole};
use crate::ops::support::window::{existing_dim, insert, slice};
use crate::ops::support::{Args, Op};

/// Loop dims of the kernel.
const MAX_RANK: usize = 6;

/// A call of one of the operators that pick by indices.
#[derive(Clone)]
pub struct Gather {
    form: Form,
    input: ValueId,
    dim: i64,
    indices: ValueId,
    output: ValueId,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// The indices' dims stand in place of the axis.
    Replace,
    /// The indices have the input's rank: each result element has an index of its own.
    Along,
}

impl Op for Gather {
    const NAMES: &'static [&'static str] = &[
        "aten.embedding.default",
        "aten.gather.default",
        "aten.index.Tensor",
        "aten.index_select.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (form, dim, indices) = match args.op() {
            "aten.embedding.default" => {
                args.expect_len(6)?;
                (Form::Replace, 0, args.tensor(1)?)
            }
            "aten.gather.default" => {
                args.expect_len(5)?;
                (Form::Along, args.int(1)?, args.tensor(2)?)
            }
            "aten.index_select.default" => {
                args.expect_len(4)?;
                (Form::Replace, args.int(1)?, args.tensor(2)?)
            }
            _ => {
                args.expect_len(3)?;
                let list = args.tensors(1)?;
                let mut given = list
                    .iter()
                    .enumerate()
                    .filter_map(|(d, id)| Some((d, (*id)?)));
                match (given.next(), given.next()) {
                    (Some((d, id)), None) => {
                        let d = i64::try_from(d).map_err(|_| Error::blob("too many dims"))?;
                        (Form::Replace, d, id)
                    }
                    _ => {
                        return Err(Error::unsupported(
                            "indexing with other than one tensor of indices",
                        ))
                    }
                }
            }
        };
        Ok(Self {
            form,
            input: args.tensor(0)?,
            dim,
            indices,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let indices = program.operand(self.indices, Want::Any)?;
        if !matches!(indices.dtype, DType::I32 | DType::I64) {
            return Err(Error::unsupported(format!(
                "indices of type {:?}",
                indices.dtype
            )));
        }
        let axis = existing_dim(self.dim, &source.dims)?;
        let (axis_size, axis_stride) = (source.dims[axis], source.strides[axis]);
        let loops = match self.form {
            Form::Replace => replace(&source, &indices, axis),
            Form::Along => along(&source, &indices, axis)?,
        };
        let dims = loops.dims;
        let layout = match dims.len() {
            4 => dense_layout(&source),
            _ => Layout::Contiguous,
        };
        let target = program.output_any(self.output, &dims, layout)?;
        if target.numel() > 0 && axis_size == 0 {
            return Err(Error::blob(format!(
                "indices into dim {axis} of {:?}",
                source.dims
            )));
        }
        if (target.element == Element::I32) != (source.element == Element::I32) {
            return Err(Error::blob(format!(
                "{:?} from {:?}",
                target.dtype, source.dtype
            )));
        }
        let strided = Strided::new(&dims, &[&loops.indices, &loops.source, &target])?;
        let mut push = strided.push(MAX_RANK)?;
        push.push(crate::ops::support::planes::signed(axis_size.into())?);
        push.push(crate::ops::support::planes::signed(axis_stride)?);
        let half = source.element == Element::F16 || target.element == Element::F16;
        let rank = u32::try_from(strided.rank()).map_err(|_| Error::internal("rank"))?;
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::GatherHalf
            } else {
                Shader::GatherPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![rank, source.element as u32, target.element as u32],
            workgroups: program.line(strided.count(), LINE_LOCAL_SIZE)?,
            push,
            bindings: vec![
                Bind::read(&indices),
                Bind::read(&source),
                Bind::write(&target),
            ],
        })
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let (source, indices) = (program.dims(self.input)?, program.dims(self.indices)?);
        let axis = existing_dim(self.dim, &source)?;
        let mut dims = source.clone();
        let mut axes = Vec::new();
        match self.form {
            Form::Replace => {
                dims.splice(axis..=axis, indices.iter().copied());
                for d in 0..dims.len() {
                    let behind = axis + indices.len();
                    let cut = match d {
                        _ if d < axis => (self.input, d),
                        _ if d < behind => (self.indices, d - axis),
                        _ => (self.input, d - behind + axis + 1),
                    };
                    axes.push(cut_along(self, d, vec![cut]));
                }
            }
            Form::Along => {
                dims.clone_from(&indices);
                for d in 0..dims.len() {
                    // The operand may be longer than the indices along other dims.
                    let mut cut = vec![(self.indices, d)];
                    if d != axis {
                        cut.push((self.input, d));
                    }
                    axes.push(cut_along(self, d, cut));
                }
            }
        }
        Ok(Some(Pieces {
            results: vec![Whole::like(program, self.input, self.output, dims)?],
            operands: vec![self.input, self.indices],
            axes,
        }))
    }
}

/// The result's dims, and both operands as windows that broadcast to them; the source without its
/// axis.
struct Loops {
    dims: Vec<u32>,
    indices: Tensor,
    source: Tensor,
}

fn replace(source: &Tensor, indices: &Tensor, axis: usize) -> Loops {
    let mut without = source.clone();
    without.dims.remove(axis);
    without.strides.remove(axis);
    let mut dims = without.dims.clone();
    dims.splice(axis..axis, indices.dims.iter().copied());
    for &n in indices.dims.iter().rev() {
        without = insert(&without, axis, n);
    }
    // The dims behind the axis repeat the indices.
    let mut repeated = indices.clone();
    for &n in &source.dims[axis + 1..] {
        let end = repeated.dims.len();
        repeated = insert(&repeated, end, n);
    }
    Loops {
        dims,
        indices: repeated,
        source: without,
    }
}

fn along(source: &Tensor, indices: &Tensor, axis: usize) -> Result<Loops> {
    let wrong = || {
        Error::blob(format!(
            "indices of dims {:?} for dims {:?} along dim {axis}",
            indices.dims, source.dims
        ))
    };
    if source.dims.len() != indices.dims.len() {
        return Err(wrong());
    }
    let mut narrow = source.clone();
    for (d, &n) in indices.dims.iter().enumerate() {
        if d == axis {
            narrow.dims[d] = n;
            narrow.strides[d] = 0;
        } else {
            narrow = slice(&narrow, d, 0, n, 1).map_err(|_| wrong())?;
        }
    }
    Ok(Loops {
        dims: indices.dims.clone(),
        indices: indices.clone(),
        source: narrow,
    })
}
