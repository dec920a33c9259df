//! Convolution.

pub mod plan;
pub use plan::ConvReport;

use super::{Args, Op};
use crate::builder::ProgramBuilder;
use crate::error::{Error, Result};

/// A call of `aten.convolution` or `et_vk.conv_with_clamp`.
pub struct Conv2d;

impl Op for Conv2d {
    const NAMES: &'static [&'static str] =
        &["aten.convolution.default", "et_vk.conv_with_clamp.default"];

    fn parse(_: &Args<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn lower(&self, _: &mut ProgramBuilder<'_>) -> Result<()> {
        Err(Error::internal("draft"))
    }
}
