//! What a host gives for a program's ports, checked, and integers that it gets back.

use super::host::{self, HostTensor, HostTensorMut};
use crate::base::error::{Error, Result};
use crate::core::program::{Port, PortKind, Program};
use crate::core::tensor::DType;

/// Refuses tensors that do not fit the ports of `program`.
pub(super) fn check_ports(
    program: &Program,
    inputs: &[HostTensor<'_>],
    outputs: &[HostTensorMut<'_>],
) -> Result<()> {
    check_count("inputs", inputs.len(), program.inputs.len())?;
    check_count("outputs", outputs.len(), program.outputs.len())?;
    for (i, (tensor, port)) in inputs.iter().zip(&program.inputs).enumerate() {
        check_input(tensor, port).map_err(|e| e.context(format!("input {i}")))?;
    }
    for (i, (tensor, port)) in outputs.iter().zip(&program.outputs).enumerate() {
        check_output(tensor, port).map_err(|e| e.context(format!("output {i}")))?;
    }
    Ok(())
}

fn check_count(what: &str, given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    Err(Error::argument(format!(
        "{given} {what}, the program has {wanted}"
    )))
}

fn check_input(tensor: &HostTensor<'_>, port: &Port) -> Result<()> {
    let PortKind::Integer(now) = port.kind else {
        return host::check(&tensor.layout, tensor.data.len(), port.dtype, &port.dims);
    };
    let given = match tensor.layout.dtype {
        DType::I64 => tensor.data.first_chunk().map(|&x| i64::from_le_bytes(x)),
        DType::I32 => tensor
            .data
            .first_chunk()
            .map(|&x| i64::from(i32::from_le_bytes(x))),
        _ => None,
    };
    match given {
        Some(given) if given == now => Ok(()),
        Some(given) => Err(Error::argument(format!(
            "the integer {given}, the program is set up for {now}"
        ))),
        None => Err(Error::argument("an integer must be an int64 or int32")),
    }
}

fn check_output(tensor: &HostTensorMut<'_>, port: &Port) -> Result<()> {
    match port.kind {
        PortKind::Integer(n) => integer_bytes(tensor.layout.dtype, n)
            .filter(|bytes| tensor.data.len() >= bytes.len())
            .map(|_| ())
            .ok_or_else(|| Error::argument("an integer needs an int64 or int32 to be written to")),
        _ => host::check(&tensor.layout, tensor.data.len(), port.dtype, &port.dims),
    }
}

/// `n` as the host reads it; the low half where it asks for an int32.
fn integer_bytes(dtype: DType, n: i64) -> Option<Vec<u8>> {
    let bytes = n.to_le_bytes();
    match dtype {
        DType::I64 => Some(bytes.to_vec()),
        DType::I32 => Some(bytes[..4].to_vec()),
        _ => None,
    }
}

pub(super) fn write_integer(tensor: &mut HostTensorMut<'_>, n: i64) -> Result<()> {
    let bytes = integer_bytes(tensor.layout.dtype, n).unwrap_or_default();
    tensor
        .data
        .get_mut(..bytes.len())
        .ok_or_else(|| Error::internal("an integer output was not checked"))?
        .copy_from_slice(&bytes);
    Ok(())
}
