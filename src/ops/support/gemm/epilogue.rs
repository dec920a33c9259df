//! What happens to a sum before it is stored: activation, addition of a tensor, activation.
//! `shaders/lib/epilogue.glsl` does it.

use crate::base::error::{Error, Result};
use crate::core::broadcast;
use crate::core::constant::Pack;
use crate::core::graph::{Step, ValueId};
use crate::core::kernels::lib::{self, Activation};
use crate::core::tensor::{DType, Element, Layout, Tensor};
use crate::ops::support::builder::{ProgramBuilder, Want};

/// Steps on a result, each in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// Activation of the sum.
    pub first: Option<Step>,
    /// A tensor of the result's dims that is added.
    pub add: Option<ValueId>,
    /// Activation of what is stored.
    pub last: Option<Step>,
}

impl Epilogue {
    /// `own`, the operator's own clamp, then what passes moved behind the result.
    pub fn new(own: Option<Step>, steps: &[Step]) -> Result<Self> {
        let mut epilogue = Self::default();
        for &step in own.iter().chain(steps) {
            epilogue = epilogue
                .with(step)
                .ok_or_else(|| Error::internal(format!("steps {own:?} {steps:?} do not fit")))?;
        }
        Ok(epilogue)
    }

    /// These steps and then `step`; `None` where kernels do not do that. There is one activation
    /// before the addition and one after; only the first may have slopes, because kernels bind one
    /// slope buffer.
    pub fn with(mut self, step: Step) -> Option<Self> {
        let has_slopes = matches!(step, Step::Prelu { .. });
        let place = match (step, self.add) {
            (Step::Add { other }, None) => {
                self.add = Some(other);
                return Some(self);
            }
            (Step::Add { .. }, Some(_)) => return None,
            (_, None) => &mut self.first,
            (_, Some(_)) if has_slopes => return None,
            (_, Some(_)) => &mut self.last,
        };
        if place.is_some() {
            return None;
        }
        *place = Some(step);
        Some(self)
    }

    /// Makes the operands readable for a result of `dims` with `channels` channels in `layout`. The
    /// dims that an addition was chosen for are bounds: now the operand may be one that is broadcast.
    pub fn prepare(
        &self,
        program: &mut ProgramBuilder<'_>,
        channels: u32,
        dims: &[u32],
        layout: Layout,
    ) -> Result<PreparedEpilogue> {
        let slope = match self.first {
            Some(Step::Prelu { slope }) => Some(vector(program, slope, channels)?),
            _ => None,
        };
        let residual = match self.add {
            Some(other) => {
                let window = broadcast::over(&program.tensor(other)?, dims)?;
                Some(program.read(&window, Want::Dense(layout))?)
            }
            None => None,
        };
        Ok(PreparedEpilogue {
            first: self.first,
            last: self.last,
            slope,
            residual,
        })
    }
}

/// An epilogue with its operands in device memory.
#[derive(Clone, Debug, Default)]
pub struct PreparedEpilogue {
    first: Option<Step>,
    last: Option<Step>,
    /// One slope per channel, 32-bit floats.
    pub slope: Option<Tensor>,
    /// What is added, laid out as the result.
    pub residual: Option<Tensor>,
}

impl PreparedEpilogue {
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

/// Of sums of a part of K: another kernel does their epilogue.
pub const NO_EPILOGUE: lib::EpilogueSteps = lib::EpilogueSteps {
    bias: false,
    activation: Activation::None,
    residual: false,
    last_activation: Activation::None,
};

/// An activation and its parameters. None is a clamp without bounds, which changes nothing, NaN
/// included: so a pipeline serves both.
fn activation(step: Option<Step>) -> (Activation, [f32; 2]) {
    match step {
        None | Some(Step::Add { .. }) => (Activation::Clamp, [f32::NEG_INFINITY, f32::INFINITY]),
        Some(Step::Clamp { low, high }) => (Activation::Clamp, [low, high]),
        Some(Step::Silu) => (Activation::Silu, [0.0; 2]),
        Some(Step::Sigmoid) => (Activation::Sigmoid, [0.0; 2]),
        Some(Step::Hardswish) => (Activation::Hardswish, [0.0; 2]),
        Some(Step::Hardsigmoid) => (Activation::Hardsigmoid, [0.0; 2]),
        Some(Step::Tanh) => (Activation::Tanh, [0.0; 2]),
        Some(Step::LeakyRelu { slope }) => (Activation::LeakyRelu, [slope, 0.0]),
        Some(Step::Prelu { .. }) => (Activation::Prelu, [0.0; 2]),
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
