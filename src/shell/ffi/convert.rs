//! From the structures of C to ours and back.

use super::call::slice;
use super::overlap::Pieces;
use super::types::{
    dtype_number, dtype_of, etvk_conv_algorithm, etvk_convolution, etvk_input_shape, etvk_option,
    etvk_port, etvk_port_kind, etvk_profile_event, etvk_tensor, ETVK_MAX_RANK, ETVK_NO_NODE,
};
use crate::base::error::{Error, Result};
use crate::core::conv::ConvAlgorithm;
use crate::core::conv::ConvReport;
use crate::core::graph::InputShape;
use crate::core::program::{Port, PortKind};
use crate::core::tensor::DType;
use crate::shell::delegate::host::{HostLayout, HostTensor, HostTensorMut};
use crate::shell::delegate::profile::TimedDispatch;
use crate::shell::delegate::Delegate;
use std::ffi::{c_char, CStr};

/// A larger `struct_size` is surely garbage, not a later version.
const MAX_STRUCT_SIZE: usize = 4096;

/// The structure at `info`, checked against its own size, which is its first member.
///
/// # Safety
/// When `info` is not null, `struct_size` bytes must be readable there.
pub(super) unsafe fn sized<T: Copy>(info: *const T) -> Result<T> {
    // SAFETY: at least the size itself is readable; a structure of C is aligned.
    let size = unsafe { slice(info.cast::<u32>(), 1, "info") }?[0];
    let known = size_of::<T>();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if !(known..=MAX_STRUCT_SIZE).contains(&size) {
        return Err(Error::argument(format!(
            "info.struct_size is {size}, this library knows {known}"
        )));
    }
    // SAFETY: the caller says that many bytes are there.
    let bytes = unsafe { slice(info.cast::<u8>(), size, "info") }?;
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Error::argument(format!(
            "info uses members beyond the {known} bytes that this library knows"
        )));
    }
    // SAFETY: all of it is there, and aligned as checked by `slice`.
    Ok(unsafe { slice(info, 1, "info") }?[0])
}

/// Options as pairs of strings.
///
/// # Safety
/// When `options` is not null, that many options must be there, with strings that end.
pub(super) unsafe fn options<'a>(
    options: *const etvk_option,
    count: u32,
) -> Result<Vec<(&'a str, &'a str)>> {
    // SAFETY: the caller's promise.
    let options = unsafe { slice(options, super::call::size(count)?, "options") }?;
    let text = |start: *const c_char, index: usize, what: &str| {
        if start.is_null() {
            return Err(Error::argument(format!(
                "option {index}: the {what} is null"
            )));
        }
        // SAFETY: not null; the caller says that it ends and stays.
        unsafe { CStr::from_ptr::<'a>(start) }
            .to_str()
            .map_err(|_| Error::argument(format!("option {index}: the {what} is not UTF-8")))
    };
    let pair = |(index, option): (usize, &etvk_option)| {
        Ok((
            text(option.key, index, "key")?,
            text(option.value, index, "value")?,
        ))
    };
    options.iter().enumerate().map(pair).collect()
}

/// Fails for a program whose ports this ABI cannot describe.
pub(super) fn check_ports(delegate: &Delegate) -> Result<()> {
    let program = delegate.program()?;
    program
        .inputs
        .iter()
        .chain(&program.outputs)
        .try_for_each(|p| port(p).map(|_| ()))
}

fn dims(from: &[u32]) -> Result<[u32; ETVK_MAX_RANK]> {
    let mut to = [0; ETVK_MAX_RANK];
    let slots = to.get_mut(..from.len()).ok_or_else(|| {
        Error::unsupported(format!(
            "a port of dims {from:?}: the rank exceeds {ETVK_MAX_RANK}"
        ))
    })?;
    slots.copy_from_slice(from);
    Ok(to)
}

pub(super) fn port(port: &Port) -> Result<etvk_port> {
    let (kind, dtype) = match port.kind {
        PortKind::Integer(_) => (etvk_port_kind::ETVK_PORT_INTEGER, DType::I64),
        PortKind::Tensor(_) | PortKind::EmptyTensor => {
            (etvk_port_kind::ETVK_PORT_TENSOR, port.dtype)
        }
    };
    let elements = port
        .dims
        .iter()
        .try_fold(1u64, |n, &d| n.checked_mul(d.into()));
    let size_bytes = elements.and_then(|n| n.checked_mul(dtype.size_bytes()));
    Ok(etvk_port {
        kind: kind as u32,
        dtype: dtype_number(dtype),
        rank: u32::try_from(port.dims.len()).unwrap_or(u32::MAX),
        dims: dims(&port.dims)?,
        max_dims: dims(&port.max_dims)?,
        size_bytes: size_bytes.ok_or_else(|| Error::unsupported("a port's size overflows"))?,
    })
}

/// What `etvk_delegate_resize` asks for.
pub(super) fn shapes(given: &[etvk_input_shape], ports: &[Port]) -> Result<Vec<InputShape>> {
    if given.len() != ports.len() {
        return Err(Error::argument(format!(
            "{} inputs, the program has {}",
            given.len(),
            ports.len()
        )));
    }
    let one = |(index, (shape, port)): (usize, (&etvk_input_shape, &Port))| match port.kind {
        PortKind::Integer(_) => Ok(InputShape::Integer(shape.integer)),
        PortKind::Tensor(_) | PortKind::EmptyTensor => ranked(&shape.dims, shape.rank)
            .map(|dims| InputShape::Dims(dims.to_vec()))
            .map_err(|e| e.context(format!("input {index}"))),
    };
    given.iter().zip(ports).enumerate().map(one).collect()
}

fn ranked(dims: &[u32; ETVK_MAX_RANK], rank: u32) -> Result<&[u32]> {
    usize::try_from(rank)
        .ok()
        .and_then(|rank| dims.get(..rank))
        .ok_or_else(|| {
            Error::argument(format!("rank {rank}, at most {ETVK_MAX_RANK} are possible"))
        })
}

/// The tensors of one execution, with pointers checked.
pub(super) struct Tensors<'a> {
    inputs: Vec<HostTensor<'a>>,
    outputs: Vec<HostTensorMut<'a>>,
    /// Inputs whose memory is an output's too, by index.
    copies: Vec<(usize, Vec<u8>)>,
}

impl<'a> Tensors<'a> {
    /// Borrows the memory of both lists.
    ///
    /// # Safety
    /// Each tensor's bytes must be there, and nobody else's to write during the call; those of
    /// outputs nobody else's to read. Inputs and outputs may overlap.
    pub(super) unsafe fn new(
        inputs: &'a [etvk_tensor],
        outputs: &'a [etvk_tensor],
    ) -> Result<Self> {
        let written = Pieces::disjoint(outputs)
            .map_err(|[i, j]| Error::argument(format!("outputs {i} and {j} overlap")))?;
        let mut tensors = Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            copies: Vec::new(),
        };
        for (i, input) in inputs.iter().enumerate() {
            let place = |e: Error| e.context(format!("input {i}"));
            // SAFETY: the caller's promise.
            let bytes = unsafe { slice(input.data.cast::<u8>(), input.size_bytes, "data") };
            let mut data: &[u8] = bytes.map_err(place)?;
            if written.meet(input) {
                // Two references to one memory, one of them writing, must not exist.
                tensors.copies.push((i, data.to_vec()));
                data = &[];
            }
            // SAFETY: the caller's promise.
            let layout = unsafe { layout(input) }.map_err(place)?;
            tensors.inputs.push(HostTensor { layout, data });
        }
        for (i, output) in outputs.iter().enumerate() {
            let place = |e: Error| e.context(format!("output {i}"));
            // SAFETY: the caller's promise; overlapping inputs are copies, overlapping outputs
            // were refused.
            let data = unsafe { slice_mut(output.data.cast::<u8>(), output.size_bytes) };
            let data = data.map_err(place)?;
            // SAFETY: the caller's promise.
            let layout = unsafe { layout(output) }.map_err(place)?;
            tensors.outputs.push(HostTensorMut { layout, data });
        }
        Ok(tensors)
    }

    /// Calls `run` with all of them.
    pub(super) fn with(
        &mut self,
        run: impl FnOnce(&[HostTensor<'_>], &mut [HostTensorMut<'_>]) -> Result<()>,
    ) -> Result<()> {
        let mut inputs: Vec<HostTensor<'_>> = self.inputs.clone();
        for (index, bytes) in &self.copies {
            inputs[*index].data = bytes;
        }
        run(&inputs, &mut self.outputs)
    }
}

/// # Safety
/// `tensor.dim_order`, when not null, must have as many entries as there are dims.
unsafe fn layout(tensor: &etvk_tensor) -> Result<HostLayout<'_>> {
    let dims = ranked(&tensor.dims, tensor.rank)?;
    let dim_order = if tensor.dim_order.is_null() {
        None
    } else {
        // SAFETY: the caller's promise.
        Some(unsafe { slice(tensor.dim_order, dims.len(), "dim_order") }?)
    };
    Ok(HostLayout {
        dtype: dtype_of(tensor.dtype)?,
        dims,
        dim_order,
    })
}

/// # Safety
/// As [`slice`], and the bytes must be nobody else's.
unsafe fn slice_mut<'a>(start: *mut u8, count: usize) -> Result<&'a mut [u8]> {
    // SAFETY: only to check the pointer; the reference is gone at once.
    unsafe { slice(start.cast_const(), count, "data") }?;
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: checked just now; the caller vouches that it is writable and unshared.
    Ok(unsafe { std::slice::from_raw_parts_mut(start, count) })
}

pub(super) fn convolution(report: &ConvReport) -> etvk_convolution {
    let g = &report.geometry;
    let [h_out, w_out] = report.output;
    let (algorithm, tile) = match report.algorithm {
        ConvAlgorithm::Pointwise { .. } => {
            (etvk_conv_algorithm::ETVK_CONV_POINTWISE, [h_out, w_out])
        }
        ConvAlgorithm::Depthwise { .. } => {
            (etvk_conv_algorithm::ETVK_CONV_DEPTHWISE, [h_out, w_out])
        }
        ConvAlgorithm::Direct => (etvk_conv_algorithm::ETVK_CONV_DIRECT, [h_out, w_out]),
        ConvAlgorithm::Implicit { .. } => (etvk_conv_algorithm::ETVK_CONV_IMPLICIT, [h_out, w_out]),
        ConvAlgorithm::Winograd { .. } => (etvk_conv_algorithm::ETVK_CONV_WINOGRAD, [h_out, w_out]),
        ConvAlgorithm::Im2col {
            h_out_tile,
            w_out_tile,
            ..
        } => (
            etvk_conv_algorithm::ETVK_CONV_IM2COL,
            [h_out_tile, w_out_tile],
        ),
    };
    etvk_convolution {
        node: report.node,
        n: g.n,
        c_in: g.c_in,
        h_in: g.h_in,
        w_in: g.w_in,
        c_out: g.c_out,
        h_out,
        w_out,
        kernel: g.kernel,
        stride: g.stride,
        padding: g.padding,
        dilation: g.dilation,
        groups: g.groups,
        transposed: u32::from(g.transposed),
        algorithm: algorithm as u32,
        h_out_tile: tile[0],
        w_out_tile: tile[1],
        tile_count: report.tile_count,
        dispatch_count: report.dispatch_count,
        workspace_bytes: report.workspace_bytes,
        moved_bytes: report.moved_bytes,
        reason: fixed_text(&report.reason),
    }
}

/// As much of `text` as fits, cut at a character, with a NUL.
fn fixed_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut fixed = [0; N];
    let mut length = text.len().min(N - 1);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    for (to, from) in fixed.iter_mut().zip(&text.as_bytes()[..length]) {
        *to = c_char::from_ne_bytes([*from]);
    }
    fixed
}

pub(super) fn profile_event(dispatch: &TimedDispatch) -> etvk_profile_event {
    let node = dispatch.node.as_ref();
    etvk_profile_event {
        node: node.map_or(ETVK_NO_NODE, |(id, _)| *id),
        workgroups: dispatch.workgroups,
        // `as` saturates, and times are finite and not negative.
        start_ns: dispatch.start_ns.round() as u64,
        end_ns: dispatch.end_ns.round() as u64,
        operator_name: fixed_text(node.map_or("", |(_, operator)| operator)),
        kernel: fixed_text(dispatch.kernel),
    }
}
