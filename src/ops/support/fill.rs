//! Emitting numbers: tensors that are full of one, or of numbers at equal distances.

use super::builder::{Bind, ProgramBuilder};
use super::elementwise::{wrapped, Scalar};
use super::window;
use crate::base::error::{Error, Result};
use crate::core::conv::tiles;
use crate::core::kernels::fill;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Tensor};

/// Sets every element of `target` to `value`, in as many kernels as its size needs.
pub fn emit_fill(program: &mut ProgramBuilder<'_>, target: &Tensor, value: Scalar) -> Result<()> {
    if let Some(shown) = program.shown(target)? {
        return emit_range(program, &shown, [value, Scalar::Int(0)]);
    }
    let farthest = (0..target.dims.len())
        .filter(|&d| target.dims[d] > 1)
        .max_by_key(|&d| u64::from(target.dims[d] - 1) * target.strides[d].unsigned_abs())
        .ok_or_else(|| Error::unsupported("one element exceeds the device's storage range"))?;
    let extent = target.dims[farthest];
    for (start, len) in tiles(extent, extent.div_ceil(2)) {
        emit_fill(
            program,
            &window::slice(target, farthest, start, len, 1)?,
            value,
        )?;
    }
    Ok(())
}

/// Emits the kernel that sets element `i` of `target`, in the order of its memory, to `start + i step`.
pub fn emit_range(
    program: &mut ProgramBuilder<'_>,
    target: &Tensor,
    [start, step]: [Scalar; 2],
) -> Result<()> {
    let strided = Strided::new(&target.dims, [target])?;
    let walk = strided.walk()?;
    let [window] = walk.windows;
    let [start, start_low] = words(target, start);
    let [step_by, step_low] = words(target, step);
    let call = fill::Call {
        variant: fill::Variant::with_half(target.element == Element::F16),
        spec: fill::Spec {
            rank: walk.rank,
            target: target.element,
        },
        push: fill::Push {
            count: walk.count,
            sizes: walk.sizes,
            target: window,
            start,
            start_low,
            step_by,
            step_low,
        },
        bindings: fill::Bindings {
            target: Bind::write(target),
        },
    };
    program.dispatch_line(call, strided.count())
}

/// `number` for elements of `target`: an integer and 0, or the bits of two floats whose sum it is.
fn words(target: &Tensor, number: Scalar) -> [u32; 2] {
    if target.element == Element::I32 {
        // A boolean is whether the number is not 0.
        let n = match (target.dtype, number.integer()) {
            (DType::Bool, _) => i64::from(number.double() != 0.0),
            (_, Some(n)) => n,
            (_, None) => i64::from(number.double() as i32),
        };
        return [wrapped(n), 0];
    }
    let high = number.double() as f32;
    let rest = number.double() - f64::from(high);
    let low = if rest.is_finite() { rest as f32 } else { 0.0 };
    [high.to_bits(), low.to_bits()]
}
