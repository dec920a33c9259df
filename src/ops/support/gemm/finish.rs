//! What happens to a sum before it is stored: activation, addition of a tensor, activation.
//! `shaders/lib/epilogue.glsl` does it.

use crate::base::error::{Error, Result};
use crate::core::constant::Pack;
use crate::core::graph::{Fused, ValueId};
use crate::core::kernels::lib::{self, Activation};
use crate::core::tensor::{DType, Element, Layout, Tensor};
use crate::ops::support::builder::{ProgramBuilder, Want};
use crate::ops::support::window;

/// Steps as passes and operators ask for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Activation of the sum.
    pub first: Option<Fused>,
    /// A tensor of the result's dims that is added.
    pub add: Option<ValueId>,
    /// Activation of what is stored.
    pub last: Option<Fused>,
}

impl Steps {
    /// `own`, the operator's own clamp, then what passes moved behind the result.
    pub fn new(own: Option<Fused>, fused: &[Fused]) -> Result<Self> {
        let mut steps = Self::default();
        for &step in own.iter().chain(fused) {
            let slot = match (step, steps.add) {
                (Fused::Add { other }, None) => {
                    steps.add = Some(other);
                    continue;
                }
                (Fused::Prelu { .. }, None) if steps.first.is_some() => None,
                (Fused::Add { .. } | Fused::Prelu { .. }, _) if steps.add.is_some() => None,
                (_, None) => Some(&mut steps.first),
                (_, Some(_)) => Some(&mut steps.last),
            };
            match slot {
                Some(slot) if slot.is_none() => *slot = Some(step),
                _ => {
                    return Err(Error::internal(format!(
                        "steps {own:?} {fused:?} do not fit"
                    )))
                }
            }
        }
        Ok(steps)
    }
}

/// Steps with their operands in device memory.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    first: Option<Fused>,
    last: Option<Fused>,
    /// One slope per channel, 32-bit floats.
    pub slope: Option<Tensor>,
    /// What is added, laid out as the result.
    pub residual: Option<Tensor>,
}

impl Finish {
    /// Makes the operands of `steps` readable for a result of `dims` with `channels` channels in
    /// `layout`. The dims that a fused addition was chosen for are bounds: now the operand may be
    /// one that is broadcast.
    pub fn prepare(
        program: &mut ProgramBuilder<'_>,
        steps: &Steps,
        channels: u32,
        dims: &[u32],
        layout: Layout,
    ) -> Result<Self> {
        let slope = match steps.first {
            Some(Fused::Prelu { slope }) => Some(vector(program, slope, channels)?),
            _ => None,
        };
        let residual = match steps.add {
            Some(other) => {
                let window = window::expand(&program.tensor(other)?, dims)?;
                Some(program.read(&window, Want::Dense(layout))?)
            }
            None => None,
        };
        Ok(Self {
            first: steps.first,
            last: steps.last,
            slope,
            residual,
        })
    }

    /// Which steps there are, behind a bias or none.
    pub fn steps(&self, bias: bool) -> lib::EpilogueSteps {
        lib::EpilogueSteps {
            bias,
            activation: activation(self.first).0,
            residual: self.residual.is_some(),
            last_activation: activation(self.last).0,
        }
    }

    /// Parameters of the activations.
    pub fn parameters(&self) -> lib::EpilogueParameters {
        let [activation_p, activation_q] = activation(self.first).1;
        let [last_p, last_q] = activation(self.last).1;
        lib::EpilogueParameters {
            activation_p,
            activation_q,
            last_p,
            last_q,
        }
    }
}

/// Of sums that another kernel finishes.
pub const UNFINISHED: lib::EpilogueSteps = lib::EpilogueSteps {
    bias: false,
    activation: Activation::None,
    residual: false,
    last_activation: Activation::None,
};

/// An activation and its parameters. None is a clamp without bounds, which changes nothing, NaN
/// included: so a pipeline serves both.
fn activation(step: Option<Fused>) -> (Activation, [f32; 2]) {
    match step {
        None | Some(Fused::Add { .. }) => (Activation::Clamp, [f32::NEG_INFINITY, f32::INFINITY]),
        Some(Fused::Clamp { low, high }) => (Activation::Clamp, [low, high]),
        Some(Fused::Silu) => (Activation::Silu, [0.0; 2]),
        Some(Fused::Sigmoid) => (Activation::Sigmoid, [0.0; 2]),
        Some(Fused::Hardswish) => (Activation::Hardswish, [0.0; 2]),
        Some(Fused::Hardsigmoid) => (Activation::Hardsigmoid, [0.0; 2]),
        Some(Fused::Tanh) => (Activation::Tanh, [0.0; 2]),
        Some(Fused::LeakyRelu { slope }) => (Activation::LeakyRelu, [slope, 0.0]),
        Some(Fused::Prelu { .. }) => (Activation::Prelu, [0.0; 2]),
    }
}

/// The tensor `id` of `count` elements, or of one that serves all, as dense 32-bit floats:
/// biases and slopes.
pub fn vector(program: &mut ProgramBuilder<'_>, id: ValueId, count: u32) -> Result<Tensor> {
    let dims = program.dims(id)?;
    let numel = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d.into()));
    if numel != Some(1) && numel != Some(u64::from(count)) {
        return Err(Error::blob(format!(
            "{id} has dims {dims:?}, expected {count} elements"
        )));
    }
    if program.constant(id)?.is_some() {
        let source = program.graph().tensor(id)?.dtype;
        let mut pack = Pack::contiguous(source, Element::F32, &[count]);
        pack.offset = program.constant_strides(id, &dims)?.1;
        if numel == Some(1) {
            pack.strides[0] = 0;
        }
        return program.upload(id, pack);
    }
    let mut window = program.tensor(id)?;
    if numel == Some(1) {
        (window.dims, window.strides) = (vec![count], vec![0]);
    }
    if window.element == Element::F32 && window.has_strides(Layout::Contiguous) && numel != Some(1)
    {
        return program.read(&window, Want::Dense(Layout::Contiguous));
    }
    let copy = program.temporary(DType::F32, &window.dims, Layout::Contiguous)?;
    program.copy(&window, &copy)?;
    Ok(copy)
}
