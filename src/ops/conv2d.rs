//! Convolution: 2-D and 1-D, grouped, dilated, transposed, with a fused clamp.
//!
//! `plan` decides everything, by what `cost` says of `tiles`; `lower` obeys; `weights` says what the
//! kernels read.

mod cost;
mod lower;
mod pieces;
pub mod plan;
mod tiles;
mod weights;

use crate::base::error::{Error, Result};
use crate::core::conv::{ConvGeometry, WeightSource};
use crate::core::graph::{Step, ValueId};
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::gemm::Epilogue;
use crate::ops::support::pieces::Pieces;
use crate::ops::support::{Args, Op};
use plan::{plan_conv2d, Problem};

/// A call of `aten.convolution` or `et_vk.conv_with_clamp`.
#[derive(Clone)]
pub struct Conv2d {
    input: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
    output: ValueId,
    stride: [u32; 2],
    padding: [u32; 2],
    dilation: [u32; 2],
    output_padding: [u32; 2],
    transposed: bool,
    groups: u32,
    /// Output height and width where the call is a piece of a larger one.
    given: [Option<u32>; 2],
    epilogue: Epilogue,
}

impl Op for Conv2d {
    const NAMES: &'static [&'static str] = &[
        "aten.convolution.default",
        "et_vk.conv_with_clamp.default",
        "et_vk.conv2d_gemm.default",
    ];
    fn parse(args: &Args<'_>) -> Result<Self> {
        let clamps = args.op().contains("clamp");
        args.expect_len(if clamps { 12 } else { 10 })?;
        let rank = args.spec(0)?.dims.len();
        let pair = |i, neutral| match rank {
            // A 1-D convolution has height 1: its only number is the width's.
            3 => match args.ints(i)?.as_slice() {
                [_] => Ok([neutral, args.pair(i)?[1]]),
                list => Err(Error::blob(format!(
                    "argument {i} is {list:?}, expected 1 element for a 1-D convolution"
                ))),
            },
            _ => args.pair(i),
        };
        let groups = args.int(8)?;
        let transposed = args.bool(6)?;
        Ok(Self {
            input: args.tensor(0)?,
            weight: args.tensor(1)?,
            bias: args.optional_tensor(2)?,
            output: args.output()?,
            stride: pair(3, 1)?,
            padding: pair(4, 0)?,
            dilation: pair(5, 1)?,
            // Without transposition PyTorch ignores it.
            output_padding: if transposed { pair(7, 0)? } else { [0, 0] },
            transposed,
            given: [None; 2],
            groups: u32::try_from(groups)
                .map_err(|_| Error::blob(format!("argument 8 is {groups} groups")))?,
            epilogue: Epilogue::new(
                if clamps { Some(clamp(args)?) } else { None },
                args.epilogue(),
            )?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let geometry = self.geometry(program)?;
        let plan = plan_conv2d(&self.problem(&geometry, program)?)?;
        self.lower_as(&plan, program)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        self.in_pieces(program)
    }

    fn accepts(&self, step: Step) -> bool {
        self.epilogue.with(step).is_some()
    }
}

/// Bounds may be integers, absent, or f64's maximum for none: that saturates to infinity.
fn clamp(args: &Args<'_>) -> Result<Step> {
    let bound = |i, none: f32| match args.optional_number(i)? {
        Some(x) if x.is_nan() => Err(Error::unsupported(format!("argument {i} is NaN"))),
        Some(x) => Ok(x as f32),
        None => Ok(none),
    };
    Ok(Step::Clamp {
        low: bound(9, f32::NEG_INFINITY)?,
        high: bound(10, f32::INFINITY)?,
    })
}

impl Conv2d {
    /// What is to be planned for `geometry`.
    pub fn problem<'a>(
        &self,
        geometry: &'a ConvGeometry,
        program: &ProgramBuilder<'a>,
    ) -> Result<Problem<'a>> {
        let largest = program.graph().tensor(self.output)?;
        let most_outputs = largest.numel().unwrap_or(u64::MAX);
        Ok(Problem {
            geometry,
            weight: match program.constant(self.weight)? {
                Some(_) => WeightSource::Constant { most_outputs },
                None => WeightSource::Computed,
            },
            element: program.limits().element(largest.dtype),
            constraints: program.constraints(),
            images: program.images(),
        })
    }

    /// Sizes for the current input, checked against the weight and the bias.
    pub fn geometry(&self, program: &mut ProgramBuilder<'_>) -> Result<ConvGeometry> {
        let input = program.dims(self.input)?;
        let weight = program.dims(self.weight)?;
        let wrong = || {
            Err(Error::unsupported(format!(
                "a convolution of dims {input:?} with a weight of dims {weight:?}"
            )))
        };
        let ([n, c_in, h_in, w_in], [first, second, kh, kw]) =
            match (input.as_slice(), weight.as_slice()) {
                (&[n, c, h, w], &[a, b, kh, kw]) => ([n, c, h, w], [a, b, kh, kw]),
                (&[n, c, w], &[a, b, kw]) => ([n, c, 1, w], [a, b, 1, kw]),
                _ => return wrong(),
            };
        let (inputs, c_out) = if self.transposed {
            (Some(first), second.checked_mul(self.groups))
        } else {
            (second.checked_mul(self.groups), Some(first))
        };
        let Some(c_out) = c_out.filter(|_| inputs == Some(c_in)) else {
            return Err(Error::blob(format!(
                "an input of dims {input:?} with a weight of dims {weight:?} in {} groups",
                self.groups
            )));
        };
        if let Some(bias) = self.bias {
            let dims = program.dims(bias)?;
            if dims != [c_out] {
                return Err(Error::blob(format!(
                    "a bias of dims {dims:?} for {c_out} outputs"
                )));
            }
        }
        let graph = program.graph();
        let output = graph.tensor(self.output)?.dtype;
        for id in [self.input, self.weight] {
            let dtype = graph.tensor(id)?.dtype;
            if !dtype.is_float() || dtype != output {
                return Err(Error::unsupported(format!(
                    "a convolution of {id} of {dtype:?} to {output:?}"
                )));
            }
        }
        Ok(ConvGeometry {
            n,
            c_in,
            h_in,
            w_in,
            c_out,
            kernel: [kh, kw],
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            output_padding: self.output_padding,
            groups: self.groups,
            transposed: self.transposed,
            given: self.given,
        })
    }
}
