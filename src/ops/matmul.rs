//! Matrix products: `linear`, `mm`, `bmm`, `addmm`.

use crate::base::error::{Error, Result};
use crate::core::broadcast;
use crate::core::gemm::GemmKernel;
use crate::core::graph::{Step, ValueId};
use crate::core::tensor::{DType, Element, Layout, Tensor, CHANNEL_PACK};
use crate::ops::support::builder::{ProgramBuilder, Want};
use crate::ops::support::gemm::packed::{self, Form};
use crate::ops::support::gemm::{self, epilogue, Bias, Epilogue, Gemm, GemmSizes, Matrix};
use crate::ops::support::pieces::{cut_along, Axis, Pieces, Whole};
use crate::ops::support::{Args, Op};

/// A matrix product `a * b`, with something added.
#[derive(Clone)]
pub struct Matmul {
    a: ValueId,
    b: ValueId,
    /// Whether B is given as `[n, k]`.
    b_is_transposed: bool,
    added: Added,
    alpha: f32,
    output: ValueId,
    epilogue: Epilogue,
}

#[derive(Clone)]
enum Added {
    Nothing,
    /// One number per column.
    PerColumn(ValueId),
    /// A tensor that broadcasts to the result, times a factor.
    Broadcast(ValueId, f32),
}

impl Op for Matmul {
    const NAMES: &'static [&'static str] = &[
        "aten.linear.default",
        "aten.mm.default",
        "aten.bmm.default",
        "aten.addmm.default",
    ];
    fn parse(args: &Args<'_>) -> Result<Self> {
        let (first, added, alpha) = match args.op() {
            "aten.linear.default" => {
                args.expect_len(4)?;
                let bias = args.optional_tensor(2)?;
                (0, bias.map_or(Added::Nothing, Added::PerColumn), 1.0)
            }
            "aten.addmm.default" => {
                args.expect_len(6)?;
                let beta = args.number(3)?;
                // Times 0 it is not read: NaN in it does not reach the result.
                let added = if beta == 0.0 {
                    Added::Nothing
                } else {
                    Added::Broadcast(args.tensor(0)?, beta as f32)
                };
                (1, added, args.number(4)?)
            }
            _ => {
                args.expect_len(3)?;
                (0, Added::Nothing, 1.0)
            }
        };
        Ok(Self {
            a: args.tensor(first)?,
            b: args.tensor(first + 1)?,
            b_is_transposed: args.op() == "aten.linear.default",
            added,
            alpha: alpha as f32,
            output: args.output()?,
            epilogue: Epilogue::new(None, args.epilogue())?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let kernel = self.sizes(program)?.plan(program.constraints());
        self.lower_as(kernel, program)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let (a, b) = (program.dims(self.a)?, program.dims(self.b)?);
        let dims = self.shape(&a, &b)?.dims;
        let rank = dims.len();
        let mut axes = Vec::new();
        for d in 0..rank {
            let mut cut = Vec::new();
            if d + 1 < rank {
                cut.push((self.a, d));
            } else {
                let n = if self.b_is_transposed { 2 } else { 1 };
                cut.push((self.b, b.len() - n));
            }
            if d == 0 && b.len() == 3 {
                cut.push((self.b, 0));
            }
            match self.added {
                Added::PerColumn(bias) if d + 1 == rank => cut.push((bias, 0)),
                Added::Broadcast(bias, _) => {
                    let added = program.dims(bias)?;
                    let at = (d + added.len()).checked_sub(rank);
                    cut.extend(at.filter(|&at| added[at] > 1).map(|at| (bias, at)));
                }
                _ => {}
            }
            axes.push(Axis {
                // Rows of C start at whole quads.
                unit: if d + 1 == rank { CHANNEL_PACK } else { 1 },
                ..cut_along(self, d, cut)
            });
        }
        Ok(Some(Pieces {
            results: vec![Whole {
                id: self.output,
                dims,
                layout: Layout::Contiguous,
            }],
            operands: vec![self.a, self.b],
            axes,
        }))
    }

    fn accepts(&self, step: Step) -> bool {
        let has_operand = matches!(step, Step::Prelu { .. } | Step::Add { .. });
        !has_operand && self.epilogue.with(step).is_some()
    }
}

impl Matmul {
    /// Sizes of the product for the current input. No budget cuts it: K may be summed in slices.
    pub fn sizes(&self, program: &mut ProgramBuilder<'_>) -> Result<GemmSizes> {
        let shape = self.shape(&program.dims(self.a)?, &program.dims(self.b)?)?;
        Ok(GemmSizes {
            rows: shape.m,
            n: shape.n,
            k: shape.k.into(),
            batch: shape.batch,
            sliced: true,
        })
    }

    /// Emits the product by `kernel`, whoever chose it.
    pub fn lower_as(&self, kernel: GemmKernel, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let (a_dims, b_dims) = (program.dims(self.a)?, program.dims(self.b)?);
        let shape = self.shape(&a_dims, &b_dims)?;
        let dtype = program.graph().tensor(self.output)?.dtype;
        for id in [self.a, self.b] {
            let found = program.graph().tensor(id)?.dtype;
            if found != dtype || !dtype.is_float() {
                return Err(Error::unsupported(format!(
                    "a product of {id} of {found:?} to {dtype:?}"
                )));
            }
        }
        let a = self.left(program, &shape)?;
        let b = self.right(program, &b_dims, dtype)?;
        let bias = self.bias(program, &shape)?;
        let columns = shape.n;
        let (dims, layout) = (&shape.dims, Layout::Contiguous);
        let y = program.output_any(self.output, dims, layout)?;
        let epilogue = self.epilogue.prepare(program, columns, dims, layout)?;
        if y.numel() == 0 {
            return Ok(());
        }
        let c = rows_of(&y, &shape).ok_or_else(|| Error::internal("a result of ragged rows"))?;
        gemm::emit(
            program,
            &Gemm {
                m: shape.m,
                n: columns,
                k: shape.k.into(),
                batch: shape.batch,
                kernel,
                a,
                b,
                c,
                padded_columns: false,
                element: y.element,
                alpha: self.alpha,
                bias: bias.as_ref(),
                epilogue: &epilogue,
            },
        )?;
        Ok(())
    }
}

/// Sizes of one product.
struct Shape {
    m: u64,
    k: u32,
    n: u32,
    batch: u32,
    /// Whether dim 0 of A counts matrices.
    batched: bool,
    /// Of the result.
    dims: Vec<u32>,
}

impl Matmul {
    fn shape(&self, a: &[u32], b: &[u32]) -> Result<Shape> {
        let shape = match (a, b, self.b_is_transposed) {
            ([lead @ .., k], &[n, b_k], true) if *k == b_k => {
                let m = lead
                    .iter()
                    .try_fold(1u64, |m, &d| m.checked_mul(d.into()))
                    .ok_or_else(|| Error::unsupported(format!("a product of dims {a:?}")))?;
                let mut dims = lead.to_vec();
                dims.push(n);
                Some((m, *k, n, None, dims))
            }
            (&[m, k], &[b_k, n], false) if k == b_k => Some((m.into(), k, n, None, vec![m, n])),
            (&[z, m, k], &[b_z, b_k, n], false) if k == b_k && z == b_z => {
                Some((m.into(), k, n, Some(z), vec![z, m, n]))
            }
            _ => None,
        };
        shape
            .map(|(m, k, n, batch, dims)| Shape {
                m,
                k,
                n,
                batch: batch.unwrap_or(1),
                batched: batch.is_some(),
                dims,
            })
            .ok_or_else(|| Error::blob(format!("a product of dims {a:?} and {b:?}")))
    }

    /// A where it lies when its rows are evenly spaced and its columns neighbours, else a copy.
    fn left(&self, program: &mut ProgramBuilder<'_>, shape: &Shape) -> Result<Matrix> {
        let window = program.operand(self.a, Want::Any)?;
        if let Some(matrix) = rows_of(&window, shape) {
            return Ok(matrix);
        }
        let copy = program.read(&window, Want::Dense(Layout::Contiguous))?;
        rows_of(&copy, shape).ok_or_else(|| Error::internal("a dense tensor has even rows"))
    }

    /// B with rows padded to whole quads.
    fn right(
        &self,
        program: &mut ProgramBuilder<'_>,
        dims: &[u32],
        dtype: DType,
    ) -> Result<Matrix> {
        let rank = dims.len();
        let (k, n) = if self.b_is_transposed {
            (rank - 1, rank - 2)
        } else {
            (rank - 2, rank - 1)
        };
        let form = Form::matrix(dims, k, n)?;
        let row = u64::from(dims[n]).next_multiple_of(CHANNEL_PACK.into());
        let z = u64::from(dims[k]).saturating_mul(row);
        let b = packed::prepare(program, self.b, dims, &form, dtype)?;
        Ok(Matrix {
            buffer: b.buffer,
            offset: 0,
            row,
            z: if rank == 3 { z } else { 0 },
            range_bytes: 0..b.numel() * b.element.size_bytes(),
        })
    }

    fn bias(&self, program: &mut ProgramBuilder<'_>, shape: &Shape) -> Result<Option<Bias>> {
        match self.added {
            Added::Nothing => Ok(None),
            Added::PerColumn(id) => {
                let dims = program.dims(id)?;
                if dims != [shape.n] {
                    return Err(Error::blob(format!(
                        "a bias of dims {dims:?} for {} columns",
                        shape.n
                    )));
                }
                let tensor = epilogue::vector(program, id, shape.n)?;
                Ok(Some(Bias::per_column(tensor, 0)))
            }
            Added::Broadcast(id, beta) => {
                let window = program.operand(id, Want::Any)?;
                let tensor = if window.element == Element::F32 && window.dtype.is_float() {
                    window
                } else {
                    let copy = program.temporary(DType::F32, &window.dims, Layout::Contiguous)?;
                    program.copy(&window, &copy)?;
                    copy
                };
                let strides = broadcast::strides(&tensor, &shape.dims)?;
                let &[row, column] = strides.as_slice() else {
                    return Err(Error::unsupported("something added to a batch of products"));
                };
                Ok(Some(Bias {
                    tensor,
                    strides: [0, row, column],
                    beta,
                }))
            }
        }
    }
}

/// `window` as a batch of matrices `[m, k]`, when it has that form in memory.
fn rows_of(window: &Tensor, shape: &Shape) -> Option<Matrix> {
    let (lead, columns) = window.dims.split_at(window.dims.len().checked_sub(1)?);
    if columns[0] > 1 && window.strides.last() != Some(&1) {
        return None;
    }
    let z_dims = usize::from(shape.batched);
    // Leading dims, innermost first: each must start where the one inside ends.
    let (mut row, mut inner) = (None, 1i64);
    for (&d, &stride) in lead[z_dims..].iter().zip(&window.strides[z_dims..]).rev() {
        if d == 1 {
            continue;
        }
        match row {
            None => row = Some(stride),
            Some(row) if stride == i64::checked_mul(row, inner)? => {}
            Some(_) => return None,
        }
        inner = inner.checked_mul(i64::from(d))?;
    }
    let size = window.element.size_bytes();
    let (low, high) = window.extent().unwrap_or((0, 0));
    let number = |n: i64| u64::try_from(n).ok();
    // Whole quads are read.
    let range_bytes = number(low)? / 4 * 4 * size..(number(high)? / 4 + 1) * 4 * size;
    Some(Matrix {
        buffer: window.buffer,
        offset: number(window.offset)?,
        row: number(row.unwrap_or(0))?,
        z: if z_dims == 1 {
            number(window.strides[0])?
        } else {
            0
        },
        range_bytes,
    })
}
