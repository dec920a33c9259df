//! Tiles of the depthwise kernel.

use crate::core::conv::{ConvGeometry, DepthwiseTile};

/// Most neighbours in a row of one invocation: registers hold no more.
const MAX_PIXELS: u32 = 8;

impl DepthwiseTile {
    /// Why the kernel cannot compute `g` in this tile.
    pub(in crate::ops::conv2d) fn check(self, g: &ConvGeometry) -> Result<(), String> {
        if !(1..=MAX_PIXELS).contains(&self.pixels) {
            return Err(format!("no kernel is made for a {self:?}"));
        }
        if self.unrolled && !Self::unrolls(g) {
            return Err(format!(
                "no code is unrolled for kernel {:?}, stride {:?}, dilation {:?}",
                g.kernel, g.stride, g.dilation
            ));
        }
        Ok(())
    }

    /// Whether the size is one that code is unrolled for.
    pub(in crate::ops::conv2d) fn unrolls(g: &ConvGeometry) -> bool {
        let common = g.kernel == [3, 3] || g.kernel == [5, 5];
        common && g.dilation == [1, 1] && g.stride[1] <= 2
    }

    /// The shader's `kernel_w, kernel_h, stride_w`; a first 0 leaves them open.
    pub(in crate::ops::conv2d) fn sizes(self, g: &ConvGeometry) -> [u32; 3] {
        match self.unrolled {
            true => [g.kernel[1], g.kernel[0], g.stride[1]],
            false => [0, 1, 1],
        }
    }
}
