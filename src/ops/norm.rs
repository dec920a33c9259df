//! Norms over the elements at hand: layer norm, group norm, root-mean-square norm.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::kernels::norm::{self, HAS_BIAS, HAS_STATISTICS, HAS_WEIGHT};
use crate::core::program::Access;
use crate::core::tensor::{Element, Layout, Tensor};
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::{Bind, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, Axis, Pieces, Whole};
use crate::ops::support::rows::Rows;
use crate::ops::support::window::split;
use crate::ops::support::{Args, Op};

/// A call of a norm.
#[derive(Clone)]
pub struct Norm {
    kind: Kind,
    input: ValueId,
    weight: Option<ValueId>,
    bias: Option<ValueId>,
    epsilon: f64,
    /// The result, and for some kinds mean and reciprocal deviation per row.
    outputs: Vec<ValueId>,
}

#[derive(Clone)]
enum Kind {
    /// Over the trailing dims of these sizes.
    Layer(Vec<i64>),
    /// Over so many groups of channels, each with all its pixels.
    Group(i64),
    /// Over the trailing dims that the weight has, by the mean square.
    RootMeanSquare,
}

impl Op for Norm {
    const NAMES: &'static [&'static str] = &[
        "aten.native_group_norm.default",
        "aten.native_layer_norm.default",
        "et_vk.rms_norm.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (kind, weight, bias, epsilon) = match args.op() {
            "aten.native_layer_norm.default" => {
                args.expect_len(6)?;
                let (weight, bias) = (args.optional_tensor(2)?, args.optional_tensor(3)?);
                (Kind::Layer(args.ints(1)?), weight, bias, args.number(4)?)
            }
            "aten.native_group_norm.default" => {
                args.expect_len(9)?;
                let (weight, bias) = (args.optional_tensor(1)?, args.optional_tensor(2)?);
                (Kind::Group(args.int(6)?), weight, bias, args.number(7)?)
            }
            _ => {
                args.expect_len(4)?;
                (
                    Kind::RootMeanSquare,
                    Some(args.tensor(1)?),
                    None,
                    args.number(2)?,
                )
            }
        };
        Ok(Self {
            kind,
            input: args.tensor(0)?,
            weight,
            bias,
            epsilon,
            outputs: args.outputs()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        if source.element == Element::I32 {
            return Err(Error::unsupported(format!("norm of {:?}", source.dtype)));
        }
        let shape = self.shape(program, &source)?;
        let output = *self
            .outputs
            .first()
            .ok_or_else(|| Error::blob("no outputs"))?;
        let target = program.output_any(output, &source.dims, dense_layout(&source))?;
        let weight = self.parameter(program, self.weight, &shape)?;
        let bias = self.parameter(program, self.bias, &shape)?;
        let statistics = self.statistics(program, &shape)?;
        if source.numel() == 0 {
            return Ok(());
        }
        let mut call = Call {
            source: shape.split(&source)?,
            target: shape.split(&target)?,
            weight,
            bias,
            statistics,
            shape,
        };
        if Rows::new(&call.source, &call.target, &call.shape.in_row)?.is_none() {
            let dense = program.read(&source, Want::Dense(Layout::Contiguous))?;
            call.source = call.shape.split(&dense)?;
        }
        self.emit(program, &call)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let Some(&output) = self.outputs.first() else {
            return Ok(None);
        };
        let dims = program.dims(self.input)?;
        let trailing = match (&self.kind, self.weight) {
            (Kind::Layer(sizes), _) => sizes.len(),
            (Kind::RootMeanSquare, Some(weight)) => program.dims(weight)?.len(),
            // Groups are rows of one image.
            _ => dims.len().saturating_sub(1),
        };
        let lead = dims.len().saturating_sub(trailing);
        let mut results = vec![Whole::like(program, self.input, output, dims.clone())?];
        let statistics = self.outputs.get(1..).unwrap_or_default();
        if statistics.iter().any(|&id| program.is_used(id)) {
            let row_dims = match self.kind {
                Kind::Group(groups) => vec![dims[0], u32::try_from(groups).unwrap_or(0)],
                _ => (0..dims.len())
                    .map(|d| if d < lead { dims[d] } else { 1 })
                    .collect(),
            };
            results.extend(statistics.iter().map(|&id| Whole {
                id,
                dims: row_dims.clone(),
                layout: Layout::Contiguous,
            }));
        }
        let axes = (0..lead).map(|d| Axis {
            result_dims: vec![d; results.len()],
            ..cut_along(self, d, vec![(self.input, d)])
        });
        let axes = axes.collect();
        Ok(Some(Pieces {
            results,
            operands: vec![self.input],
            axes,
        }))
    }
}

/// What is normalised together.
struct Shape {
    /// Channels are split in so many groups first.
    groups: Option<u32>,
    /// Dims of a row, after the split.
    in_row: Vec<bool>,
    /// Elements that share a parameter.
    span: u32,
    /// Dims of weight and bias.
    parameter_dims: Vec<u32>,
    /// Dims of mean and reciprocal deviation.
    row_dims: Vec<u32>,
}

impl Shape {
    fn split(&self, t: &Tensor) -> Result<Tensor> {
        match self.groups {
            Some(groups) => split(t, 1, &[groups, t.dims[1] / groups]),
            None => Ok(t.clone()),
        }
    }
}

/// One dispatch of the kernel.
struct Call {
    source: Tensor,
    target: Tensor,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    statistics: Option<Tensor>,
    shape: Shape,
}

impl Norm {
    fn shape(&self, program: &mut ProgramBuilder<'_>, source: &Tensor) -> Result<Shape> {
        let dims = &source.dims;
        let trailing: Vec<u32> = match (&self.kind, self.weight) {
            (Kind::Group(groups), _) => return group_shape(*groups, dims),
            (Kind::Layer(sizes), _) => {
                let sizes = sizes.iter().map(|&n| u32::try_from(n));
                sizes
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|_| Error::blob("a negative size"))?
            }
            (Kind::RootMeanSquare, Some(weight)) => program.dims(weight)?,
            (Kind::RootMeanSquare, None) => return Err(Error::blob("no weight")),
        };
        if trailing.is_empty() || !dims.ends_with(&trailing) {
            return Err(Error::blob(format!(
                "norm over {trailing:?} of dims {dims:?}"
            )));
        }
        let lead = dims.len() - trailing.len();
        let mut row_dims = dims.clone();
        row_dims[lead..].fill(1);
        Ok(Shape {
            groups: None,
            in_row: (0..dims.len()).map(|d| d >= lead).collect(),
            span: 1,
            parameter_dims: trailing,
            row_dims,
        })
    }

    fn parameter(
        &self,
        program: &mut ProgramBuilder<'_>,
        id: Option<ValueId>,
        shape: &Shape,
    ) -> Result<Option<Tensor>> {
        let Some(id) = id else {
            return Ok(None);
        };
        let parameter = program.operand(id, Want::Dense(Layout::Contiguous))?;
        if parameter.dims != shape.parameter_dims {
            return Err(Error::blob(format!(
                "parameter {id} of dims {:?}, expected {:?}",
                parameter.dims, shape.parameter_dims
            )));
        }
        Ok(Some(parameter))
    }

    /// One tensor `[2, rows]` of which mean and reciprocal deviation are windows, if one is used.
    fn statistics(
        &self,
        program: &mut ProgramBuilder<'_>,
        shape: &Shape,
    ) -> Result<Option<Tensor>> {
        let (Some(&mean), Some(&rstd)) = (self.outputs.get(1), self.outputs.get(2)) else {
            return Ok(None);
        };
        if !program.is_used(mean) && !program.is_used(rstd) {
            return Ok(None);
        }
        let dtype = program.graph().tensor(mean)?.dtype;
        let mut dims = vec![2];
        dims.extend(&shape.row_dims);
        let both = program.temporary(dtype, &dims, Layout::Contiguous)?;
        for (at, id) in [(0, mean), (1, rstd)] {
            program.bind(id, crate::ops::support::window::select(&both, 0, at)?)?;
        }
        Ok(Some(both))
    }

    fn emit(&self, program: &mut ProgramBuilder<'_>, call: &Call) -> Result<()> {
        let Call {
            source,
            target,
            weight,
            bias,
            statistics,
            shape,
        } = call;
        let rows = Rows::new(source, target, &shape.in_row)?
            .ok_or_else(|| Error::unsupported(format!("norm of dims {:?}", source.dims)))?;
        let tensors = [
            Some(source),
            Some(target),
            weight.as_ref(),
            bias.as_ref(),
            statistics.as_ref(),
        ];
        let half = tensors.iter().flatten().any(|t| t.element == Element::F16);
        let element = |t: &Option<Tensor>| t.as_ref().map_or(Element::F32, |t| t.element);
        let [has_weight, has_bias, has_statistics] =
            [weight, bias, statistics].map(|t| u32::from(t.is_some()));
        // An absent buffer is never touched: any other stands in its place.
        let absent = || Bind::range(source.buffer, Access::Read, 0..0);
        let read = |t: &Option<Tensor>| t.as_ref().map_or_else(absent, Bind::read);
        let [outer_rank, inner_rank] = rows.ranks();
        let kernel = norm::Call {
            variant: norm::Variant::with_half(half),
            spec: norm::Spec {
                outer_rank,
                inner_rank,
                source: source.element,
                target: target.element,
                weight: element(weight),
                bias: element(bias),
                statistics: element(statistics),
                has: (has_weight * HAS_WEIGHT)
                    | (has_bias * HAS_BIAS)
                    | (has_statistics * HAS_STATISTICS),
                root_mean_square: matches!(self.kind, Kind::RootMeanSquare),
            },
            push: norm::Push {
                rows: rows.rows()?,
                groups: shape.groups.unwrap_or(1),
                group_size: shape.groups.map_or(0, |_| source.dims[2]),
                span: shape.span,
                epsilon: self.epsilon as f32,
            },
            bindings: norm::Bindings {
                source: Bind::read(source),
                weight: read(weight),
                bias: read(bias),
                target: Bind::write(target),
                // The result stands in its place: a layer that goes by what the kernel declares then
                // sees no write to a buffer that others read.
                statistics: Bind::write(statistics.as_ref().unwrap_or(target)),
            },
        };
        let grid = rows.grid(program)?;
        program.dispatch(kernel, grid)
    }
}

fn group_shape(groups: i64, dims: &[u32]) -> Result<Shape> {
    let groups = u32::try_from(groups).unwrap_or(0);
    let &[n, c, ref pixels @ ..] = dims else {
        return Err(Error::blob(format!("group norm of dims {dims:?}")));
    };
    if groups == 0 || c % groups != 0 {
        return Err(Error::blob(format!("{groups} groups of {c} channels")));
    }
    let span: u64 = pixels.iter().map(|&n| u64::from(n)).product();
    Ok(Shape {
        groups: Some(groups),
        in_row: (0..dims.len() + 1).map(|d| d >= 2).collect(),
        span: u32::try_from(span.max(1)).map_err(|_| Error::unsupported("too many pixels"))?,
        parameter_dims: vec![c],
        row_dims: vec![n, groups],
    })
}
