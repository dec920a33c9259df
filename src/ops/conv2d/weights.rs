//! The forms in which kernels read a convolution's weight.

use crate::base::error::{Error, Result};
use crate::core::constant::{Pack, Transform};
use crate::core::conv::ConvGeometry;
use crate::core::graph::ValueId;
use crate::core::kernels::conv2d_winograd::POSITIONS;
use crate::core::tensor::{Element, Tensor, CHANNEL_PACK};
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::gemm::packed::{Form, FormDim};

/// `[group][kh][kw][k_channels][group_out padded to 4]`: the GEMM's B, and Direct's weights.
/// Serialized, a weight is `[c_out, group_in, kh, kw]`, transposed `[c_in, group_out, kh, kw]`.
pub(super) fn grouped(g: &ConvGeometry) -> Result<Form> {
    let [kh, kw] = g.kernel;
    let (group_in, group_out) = (g.group_in(), g.group_out());
    // The dims that hold input and output channels, and how far groups lie apart in dim 0.
    let (input, output, group_step) = if g.transposed {
        (0, 1, group_in)
    } else {
        (1, 0, group_out)
    };
    Ok(Form::new(&[
        FormDim {
            padded: g.groups,
            valid: g.groups,
            walks: (0, group_step),
        },
        FormDim::whole(2, kh),
        FormDim::whole(3, kw),
        FormDim {
            padded: g.k_channels(),
            ..FormDim::whole(input, group_in)
        },
        FormDim::padded(output, group_out)?,
    ]))
}

/// `[kh][kw][c padded to 4]`: the weight of a depthwise convolution is `[c, 1, kh, kw]`.
pub(super) fn depthwise(g: &ConvGeometry) -> Result<Form> {
    let [kh, kw] = g.kernel;
    Ok(Form::new(&[
        FormDim::whole(2, kh),
        FormDim::whole(3, kw),
        FormDim::padded(0, g.c_out)?,
    ]))
}

/// `[c_in padded to 4][36][c_out padded to 4]` of a constant: the right operands of Winograd's
/// products.
pub(super) fn winograd(
    program: &mut ProgramBuilder<'_>,
    weight: ValueId,
    g: &ConvGeometry,
) -> Result<Tensor> {
    let (source, offset) = program.constant_strides(weight, &[g.c_out, g.c_in, 3, 3])?;
    let padded = |channels: u32| {
        channels
            .checked_next_multiple_of(CHANNEL_PACK)
            .ok_or_else(|| Error::unsupported(format!("{channels} channels")))
    };
    let pack = Pack {
        source: program.graph().tensor(weight)?.dtype,
        element: Element::F32,
        dims: vec![padded(g.c_in)?, POSITIONS, padded(g.c_out)?],
        valid: vec![g.c_in, POSITIONS, g.c_out],
        strides: vec![source[1], 0, source[0]],
        offset,
        transform: Transform::Winograd([source[2], source[3]]),
    };
    program.upload(weight, pack)
}
