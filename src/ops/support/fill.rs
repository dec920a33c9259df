//! Emitting numbers: tensors that are full of one, or of numbers at equal distances.

use super::builder::{Bind, DispatchDesc, ProgramBuilder};
use super::elementwise::{wrapped, Scalar, LOCAL_SIZE};
use super::window;
use crate::base::error::{Error, Result};
use crate::core::conv::tiles;
use crate::core::shader::Shader;
use crate::core::strided::Strided;
use crate::core::tensor::{DType, Element, Tensor};

/// Loop dims of the kernel.
const MAX_RANK: usize = 8;

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
    let strided = Strided::new(&target.dims, &[target])?;
    let mut push = strided.push(MAX_RANK)?;
    for number in [start, step] {
        if target.element == Element::I32 {
            // A boolean is whether the number is not 0.
            let n = match (target.dtype, number.integer()) {
                (DType::Bool, _) => i64::from(number.double() != 0.0),
                (_, Some(n)) => n,
                (_, None) => i64::from(number.double() as i32),
            };
            push.extend([wrapped(n), 0]);
        } else {
            let high = number.double() as f32;
            let rest = number.double() - f64::from(high);
            let low = if rest.is_finite() { rest as f32 } else { 0.0 };
            push.extend([high.to_bits(), low.to_bits()]);
        }
    }
    program.dispatch_words(DispatchDesc {
        shader: if target.element == Element::F16 {
            Shader::FillHalf
        } else {
            Shader::FillPlain
        },
        local_size: [LOCAL_SIZE, 1, 1],
        spec: vec![strided.rank() as u32, target.element as u32],
        workgroups: program.line(strided.count(), LOCAL_SIZE)?,
        push,
        bindings: vec![Bind::write(target)],
    })
}
