//! Emitting a product: its dispatches, operand by operand.

use super::kernel::Kernel;
use super::product::Gemm;
use crate::base::error::{Error, Result};
use crate::core::program::Access;
use crate::core::tensor::{Element, Tensor};
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder};
use std::ops::Range;

/// Emits the multiplication, in as many dispatches as the batch needs. Returns their number.
pub fn emit(program: &mut ProgramBuilder<'_>, gemm: &Gemm<'_>) -> Result<u32> {
    if gemm.element == Element::I32 {
        return Err(Error::unsupported("a matrix product of integers"));
    }
    if gemm.m == 0 || gemm.n == 0 || gemm.batch == 0 {
        return Ok(0);
    }
    if !gemm.b.starts_at_multiples_of_4() {
        return Err(Error::internal(format!("gemm: ragged B {:?}", gemm.b)));
    }
    let kernel = match Kernel::sliced(program.limits(), gemm) {
        Some(kernel) => kernel,
        None => Kernel::choose(program.limits(), gemm.rows_in_all, gemm.n, gemm.batch),
    };
    let most = program.limits().max_workgroup_count[2].max(1);
    let mut dispatches = 0;
    for first in (0..gemm.batch).step_by(most as usize) {
        emit_batch(
            program,
            gemm,
            kernel,
            first..gemm.batch.min(first.saturating_add(most)),
        )?;
        dispatches += 1;
    }
    Ok(dispatches)
}

fn emit_batch(
    program: &mut ProgramBuilder<'_>,
    gemm: &Gemm<'_>,
    kernel: Kernel,
    z: Range<u32>,
) -> Result<()> {
    let half = gemm.element == Element::F16;
    let (a, b, c, finish) = (&gemm.a, &gemm.b, &gemm.c, gemm.finish);
    let columns_free = gemm.n % 4 == 0 || gemm.padded_columns;
    let c_vectors = c.starts_at_multiples_of_4() && columns_free;
    let mut spec = vec![
        u32::from(a.starts_at_multiples_of_4()),
        u32::from(c_vectors),
        u32::from(gemm.bias.is_some()),
    ];
    spec.extend(finish.spec());
    spec.extend(kernel.spec());

    let mut push = vec![word(gemm.m)?, gemm.n, word(gemm.k)?];
    for matrix in [a, b, c] {
        let first = u64::from(z.start).checked_mul(matrix.z);
        let offset = first
            .and_then(|first| first.checked_add(matrix.offset))
            .ok_or_else(|| Error::unsupported("a matrix offset overflows"))?;
        push.extend([word(offset)?, word(matrix.row)?, word(matrix.z)?]);
    }
    let (offset, strides, beta) = match gemm.bias {
        Some(bias) => (bias.tensor.offset, bias.strides, bias.beta),
        None => (0, [0; 3], 0.0),
    };
    let offset = strides[0]
        .checked_mul(i64::from(z.start))
        .and_then(|first| first.checked_add(offset));
    for n in [
        offset.unwrap_or(i64::MAX),
        strides[1],
        strides[2],
        strides[0],
    ] {
        push.push(signed_word(n)?);
    }
    push.extend([gemm.alpha.to_bits(), beta.to_bits()]);
    push.extend(finish.push());

    let b_bind = Bind::range(b.buffer, Access::Read, b.range_bytes.clone());
    let read = |tensor: Option<&Tensor>| tensor.map_or_else(|| b_bind.clone(), Bind::read);
    let bindings = vec![
        Bind::range(a.buffer, Access::Read, a.range_bytes.clone()),
        b_bind.clone(),
        Bind::range(c.buffer, Access::Write, c.range_bytes.clone()),
        // Absent operands show B in their place and are never read.
        read(gemm.bias.map(|bias| &bias.tensor)),
        read(finish.slope.as_ref()),
        match &finish.residual {
            Some(other) => Bind::range(other.buffer, Access::Read, c.range_bytes.clone()),
            None => b_bind,
        },
    ];
    let shader = kernel.shader(half, program.image(a.buffer).map(|image| image.dimensions));
    let [x, y, _] = program.line(kernel.lines(gemm.m, gemm.n), kernel.lines_per_workgroup())?;
    program.dispatch(DispatchDesc {
        shader,
        local_size: [kernel.local_size(), 1, 1],
        spec,
        push,
        bindings,
        workgroups: [x, y, z.end - z.start],
    })
}

/// `n` as a push constant; kernels index with 31 bits.
pub fn word(n: u64) -> Result<u32> {
    u32::try_from(n)
        .ok()
        .filter(|&n| n <= i32::MAX as u32)
        .ok_or_else(|| Error::unsupported(format!("{n} elements exceed 31 bits")))
}

fn signed_word(n: i64) -> Result<u32> {
    i32::try_from(n)
        .map(|n| n as u32)
        .map_err(|_| Error::unsupported(format!("a stride or offset of {n} elements")))
}
