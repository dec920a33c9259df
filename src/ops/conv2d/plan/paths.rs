//! Which convolutions each path can compute at all, whatever its tile.

use super::planner::Refused;
use super::problem::Problem;
use crate::core::conv::{ConvGeometry, WeightSource};
use crate::core::tensor::{Element, CHANNEL_PACK, MAX_ELEMENTS};
use crate::ops::conv2d::tiles::weight_elements;

pub(super) fn pointwise(g: &ConvGeometry) -> Result<(), Refused> {
    let plain = g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0];
    match plain && !g.transposed {
        true => Ok(()),
        false => Err("not a plain 1x1".into()),
    }
}

pub(super) fn depthwise(g: &ConvGeometry) -> Result<(), Refused> {
    if g.transposed || g.groups != g.c_in || g.c_out != g.c_in || g.groups == 1 {
        return Err("groups, inputs and outputs are not equal".into());
    }
    Ok(())
}

pub(super) fn im2col(g: &ConvGeometry) -> Result<(), Refused> {
    match g.transposed {
        true => Err("transposed convolutions are gathered".into()),
        false => Ok(()),
    }
}

pub(super) fn implicit(g: &ConvGeometry) -> Result<(), Refused> {
    if g.transposed {
        return Err("transposed convolutions are gathered otherwise".into());
    }
    if g.groups > 1 && g.group_out() % CHANNEL_PACK != 0 {
        return Err("groups share quads of outputs".into());
    }
    Ok(())
}

pub(super) fn winograd(problem: &Problem<'_>) -> Result<(), Refused> {
    let g = problem.geometry;
    let plain = g.stride == [1, 1] && g.dilation == [1, 1] && g.groups == 1;
    if g.transposed || g.kernel != [3, 3] || !plain {
        return Err("not a plain 3x3 of stride 1".into());
    }
    if problem.weight == WeightSource::Computed {
        return Err("its weight is computed".into());
    }
    if problem.element != Element::F32 {
        return Err("fp16 would not hold its transforms".into());
    }
    let weight = weight_elements(g);
    let range_bytes = problem.constraints.limits.max_storage_buffer_range_bytes;
    if weight > MAX_ELEMENTS.min(range_bytes / Element::F32.size_bytes()) {
        return Err(format!("its weight would have {weight} elements"));
    }
    Ok(())
}
