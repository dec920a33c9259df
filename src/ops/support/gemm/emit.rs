//! Emitting a product: its dispatches, operand by operand.

use super::product::Gemm;
use crate::base::error::{Error, Result};
use crate::core::gemm::GemmKernel;
use crate::core::image::ImageDimensions;
use crate::core::kernels::{gemm_register, gemm_sliced, gemm_tiled, lib};
use crate::core::program::Access;
use crate::core::tensor::{Element, Tensor};
use crate::core::words::{signed, unsigned};
use crate::ops::support::builder::{Bind, Grid, ProgramBuilder};
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
    let kernel = gemm.kernel;
    kernel
        .check(program.limits())
        .map_err(|why| Error::internal(format!("{kernel}: {why}")))?;
    let [x, y, _] = program.line(kernel.lines(gemm.m, gemm.n), kernel.lines_per_workgroup())?;
    let most = program.limits().max_workgroup_count[2].max(1);
    let mut dispatches = 0;
    for first in (0..gemm.batch).step_by(most as usize) {
        let z = first..gemm.batch.min(first.saturating_add(most));
        let grid = Grid {
            local_size: [kernel.local_size(), 1, 1],
            workgroups: [x, y, z.end - z.start],
        };
        let push = push(gemm, &z)?;
        emit_batch(program, gemm, push, grid)?;
        dispatches += 1;
    }
    Ok(dispatches)
}

fn emit_batch(
    program: &mut ProgramBuilder<'_>,
    gemm: &Gemm<'_>,
    push: lib::Gemm,
    grid: Grid,
) -> Result<()> {
    let columns_free = gemm.n % 4 == 0 || gemm.padded_columns;
    let a_vectors = gemm.a.starts_at_multiples_of_4();
    let c_vectors = gemm.c.starts_at_multiples_of_4() && columns_free;
    let epilogue_steps = gemm.epilogue.steps(gemm.bias.is_some());
    let bindings = bindings(gemm);
    let half = gemm.element == Element::F16;
    let image = program.image(gemm.a.buffer).map(|image| image.dimensions);
    match gemm.kernel {
        GemmKernel::Register {
            thread_m,
            thread_n4,
        } => {
            let spec = gemm_register::Spec {
                a_vectors,
                c_vectors,
                epilogue_steps,
                thread_m,
                thread_n4,
            };
            let variant = register_variant(half, image);
            let call = gemm_register::Call {
                variant,
                spec,
                push,
                bindings,
            };
            program.dispatch(call, grid)
        }
        GemmKernel::Tiled {
            tile_m4,
            tile_n4,
            tile_k4,
            thread_m4,
            thread_n4,
        } => {
            let spec = gemm_tiled::Spec {
                a_vectors,
                c_vectors,
                epilogue_steps,
                tile_m4,
                tile_n4,
                tile_k4,
                thread_m4,
                thread_n4,
            };
            let variant = tiled_variant(half, image);
            let call = gemm_tiled::Call {
                variant,
                spec,
                push,
                bindings,
            };
            program.dispatch(call, grid)
        }
        GemmKernel::Sliced {
            thread_m,
            columns4,
            slices,
        } => {
            let spec = gemm_sliced::Spec {
                a_vectors,
                c_vectors,
                epilogue_steps,
                thread_m,
                columns4,
                slices,
            };
            if image.is_some() {
                return Err(Error::internal("a sliced product of an image"));
            }
            let variant = gemm_sliced::Variant::with_half(half);
            let call = gemm_sliced::Call {
                variant,
                spec,
                push,
                bindings,
            };
            program.dispatch(call, grid)
        }
    }
}

/// Of the matrices `z` of the batch.
fn push(gemm: &Gemm<'_>, z: &Range<u32>) -> Result<lib::Gemm> {
    let (a, b, c) = (&gemm.a, &gemm.b, &gemm.c);
    let offset = |offset: u64, between: u64| {
        let first = u64::from(z.start).checked_mul(between);
        first
            .and_then(|first| first.checked_add(offset))
            .ok_or_else(|| Error::unsupported("a matrix offset overflows"))
            .and_then(unsigned)
    };
    let (bias_first, [bias_z, bias_row, bias_column], beta) = match gemm.bias {
        Some(bias) => (bias.tensor.offset, bias.strides, bias.beta),
        None => (0, [0; 3], 0.0),
    };
    let bias_offset = bias_z
        .checked_mul(i64::from(z.start))
        .and_then(|first| first.checked_add(bias_first));
    Ok(lib::Gemm {
        m: unsigned(gemm.m)?,
        n: gemm.n,
        k: unsigned(gemm.k)?,
        a_offset: offset(a.offset, a.z)?,
        a_row: unsigned(a.row)?,
        a_z: unsigned(a.z)?,
        b_offset: offset(b.offset, b.z)?,
        b_row: unsigned(b.row)?,
        b_z: unsigned(b.z)?,
        c_offset: offset(c.offset, c.z)?,
        c_row: unsigned(c.row)?,
        c_z: unsigned(c.z)?,
        bias_offset: signed(bias_offset.unwrap_or(i64::MAX))?,
        bias_row: signed(bias_row)?,
        bias_column: signed(bias_column)?,
        bias_z: signed(bias_z)?,
        alpha: gemm.alpha,
        beta,
        parameters: gemm.epilogue.parameters(),
    })
}

fn bindings(gemm: &Gemm<'_>) -> lib::GemmOperands<Bind> {
    let (a, b, c, epilogue) = (&gemm.a, &gemm.b, &gemm.c, gemm.epilogue);
    // Absent operands show B in their place and are never read.
    let b_read = Bind::range(b.buffer, Access::Read, b.range_bytes.clone());
    let or_b = |tensor: Option<&Tensor>| tensor.map_or_else(|| b_read.clone(), Bind::read);
    lib::GemmOperands {
        a: Bind::range(a.buffer, Access::Read, a.range_bytes.clone()),
        c: Bind::range(c.buffer, Access::Write, c.range_bytes.clone()),
        bias: or_b(gemm.bias.map(|bias| &bias.tensor)),
        slope: or_b(epilogue.slope.as_ref()),
        residual: match &epilogue.residual {
            Some(other) => Bind::range(other.buffer, Access::Read, c.range_bytes.clone()),
            None => b_read.clone(),
        },
        b: b_read,
    }
}

/// For operands of 16 or 32 bits, with the left one in a buffer or an image.
fn register_variant(half: bool, a: Option<ImageDimensions>) -> gemm_register::Variant {
    use gemm_register::Variant;
    use ImageDimensions::{Three, Two};
    match (a, half) {
        (None, false) => Variant::F32,
        (None, true) => Variant::F16,
        (Some(Two), false) => Variant::Texture2dF32,
        (Some(Two), true) => Variant::Texture2dF16,
        (Some(Three), false) => Variant::Texture3dF32,
        (Some(Three), true) => Variant::Texture3dF16,
    }
}

/// The same of the other kernel.
fn tiled_variant(half: bool, a: Option<ImageDimensions>) -> gemm_tiled::Variant {
    use gemm_tiled::Variant;
    use ImageDimensions::{Three, Two};
    match (a, half) {
        (None, false) => Variant::F32,
        (None, true) => Variant::F16,
        (Some(Two), false) => Variant::Texture2dF32,
        (Some(Two), true) => Variant::Texture2dF16,
        (Some(Three), false) => Variant::Texture3dF32,
        (Some(Three), true) => Variant::Texture3dF16,
    }
}
