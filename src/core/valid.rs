//! A dispatch against its kernel and the device: everything that Vulkan would leave undefined. Those
//! who emit dispatches and those who record them ask here.

use crate::base::error::{Error, Result};
use crate::core::device::DeviceLimits;
use crate::core::program::{Dispatch, Program};

/// Refuses a dispatch of `program` that its kernel does not fit, or that a device with `limits` does
/// not run.
pub fn check_dispatch(program: &Program, dispatch: &Dispatch, limits: &DeviceLimits) -> Result<()> {
    check_interface(program, dispatch)
        .and_then(|()| check_limits(dispatch, limits))
        .map_err(|e| e.context(dispatch.shader.info().name))
}

/// The kernel's words and bindings, in number and kind.
fn check_interface(program: &Program, dispatch: &Dispatch) -> Result<()> {
    let info = dispatch.shader.info();
    let push_words = usize::try_from(info.push_words).unwrap_or(usize::MAX);
    for (what, has, wants) in [
        ("bindings", dispatch.bindings.len(), info.bindings.len()),
        ("push words", dispatch.push.len(), push_words),
        (
            "specialization constants",
            dispatch.spec.len(),
            info.spec_constants,
        ),
    ] {
        if has != wants {
            return Err(Error::internal(format!(
                "{has} {what}, the kernel has {wants}"
            )));
        }
    }
    let names = info.binding_names.iter().zip(info.bindings);
    for (bind, (name, &kind)) in dispatch.bindings.iter().zip(names) {
        let buffer = usize::try_from(bind.buffer.0)
            .ok()
            .and_then(|index| program.buffers.get(index))
            .ok_or_else(|| Error::internal(format!("{name} is a buffer that does not exist")))?;
        if buffer.kind.binding() != kind {
            return Err(Error::internal(format!(
                "{name} is {:?}, the kernel has an {kind:?}",
                buffer.kind
            )));
        }
    }
    Ok(())
}

fn check_limits(dispatch: &Dispatch, limits: &DeviceLimits) -> Result<()> {
    let exceeds = |most: &[u32], sizes: &[u32]| sizes.iter().zip(most).any(|(n, most)| n > most);
    let local_size = &dispatch.spec[..3];
    let invocations = local_size.iter().try_fold(1u32, |n, &d| n.checked_mul(d));
    if local_size.contains(&0)
        || exceeds(&limits.max_workgroup_size, local_size)
        || invocations.is_none_or(|n| n > limits.max_workgroup_invocations)
    {
        return Err(Error::internal(format!(
            "a workgroup of {local_size:?}, the device has {:?} and {} invocations at most",
            limits.max_workgroup_size, limits.max_workgroup_invocations
        )));
    }
    let workgroups = &dispatch.workgroups;
    if workgroups.contains(&0) {
        return Err(Error::internal(format!("{workgroups:?} workgroups")));
    }
    if exceeds(&limits.max_workgroup_count, workgroups) {
        return Err(Error::unsupported(format!(
            "{workgroups:?} workgroups, the device allows {:?}",
            limits.max_workgroup_count
        )));
    }
    let push_bytes = dispatch.shader.info().push_words.saturating_mul(4);
    if push_bytes > limits.max_push_constant_bytes {
        return Err(Error::unsupported(format!(
            "{push_bytes} bytes of push constants, the device allows {}",
            limits.max_push_constant_bytes
        )));
    }
    Ok(())
}
