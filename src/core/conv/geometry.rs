//! Sizes of a convolution, and everything that follows from them alone.

use crate::base::error::{Error, Result};
use crate::core::tensor::{CHANNEL_PACK, MAX_ELEMENTS};

/// Sizes of a convolution. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the field's own terms")]
pub struct ConvGeometry {
    pub n: u32,
    pub c_in: u32,
    pub h_in: u32,
    pub w_in: u32,
    pub c_out: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub output_padding: [u32; 2],
    pub groups: u32,
    pub transposed: bool,
    /// Output rows and columns, where they are not what the other sizes give: a piece of a larger
    /// convolution has less padding at its end, or less that follows its input.
    pub given: [Option<u32>; 2],
}

/// Up to this many input channels per group K holds them without padding: at 1 and 3 channels the
/// padded form would be four times and a third longer.
const DENSE_K_MAX_CHANNELS: u32 = 7;

impl ConvGeometry {
    /// Checks what the other methods rely on. Every message holds the numbers.
    pub fn validate(&self) -> Result<()> {
        let Self {
            n,
            c_in,
            h_in,
            w_in,
            c_out,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            ..
        } = *self;
        let wrong = |what: String| Err(Error::blob(what));
        if kernel.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
            return wrong(format!(
                "kernel {kernel:?}, stride {stride:?}, dilation {dilation:?} must be positive"
            ));
        }
        if c_in == 0 || c_out == 0 || h_in == 0 || w_in == 0 {
            return wrong(format!(
                "input [{n}, {c_in}, {h_in}, {w_in}] with {c_out} outputs has a size of 0"
            ));
        }
        if groups == 0 || c_in % groups != 0 || c_out % groups != 0 {
            return wrong(format!(
                "{groups} groups do not divide {c_in} inputs and {c_out} outputs"
            ));
        }
        // Kernels do signed 32-bit arithmetic on positions.
        let bound = i64::from(i32::MAX);
        let (h, w) = (self.extent(0), self.extent(1));
        if h < 1 || w < 1 {
            return wrong(format!(
                "kernel {kernel:?}, stride {stride:?}, padding {padding:?}, dilation {dilation:?} \
                 on {h_in} x {w_in} gives an output of {h} x {w}"
            ));
        }
        let reach = |d: usize| {
            let far = i128::from(self.kernel[d]) * i128::from(self.dilation[d])
                + i128::from(self.padding[d])
                + i128::from(self.stride[d])
                + i128::from(self.size_in(d)) * i128::from(self.stride[d])
                + i128::from(self.extent(d).max(0)) * i128::from(self.step(d));
            far > i128::from(bound)
        };
        if h > bound || w > bound || reach(0) || reach(1) {
            return Err(Error::unsupported(format!(
                "positions of an output of {h} x {w} exceed {bound}"
            )));
        }
        for (what, count) in [
            ("input", self.elements_in()),
            ("output", self.elements_out()),
            ("weight", self.elements_weight()),
        ] {
            if count > MAX_ELEMENTS {
                return Err(Error::unsupported(format!(
                    "the {what} of [{n}, {c_in}, {h_in}, {w_in}] to {c_out} x {h} x {w} has \
                     {count} elements, at most {MAX_ELEMENTS} are supported"
                )));
            }
        }
        Ok(())
    }

    fn size_in(&self, d: usize) -> u32 {
        [self.h_in, self.w_in][d]
    }

    /// Input positions per output position.
    fn step(&self, d: usize) -> u32 {
        if self.transposed {
            1
        } else {
            self.stride[d]
        }
    }

    /// Output size along `d`, perhaps not positive; saturates far beyond what is supported.
    fn extent(&self, d: usize) -> i64 {
        if let Some(given) = self.given[d] {
            return given.into();
        }
        let input = i128::from(self.size_in(d));
        let (stride, padding) = (i128::from(self.stride[d]), i128::from(self.padding[d]));
        let reach = i128::from(self.dilation[d]) * (i128::from(self.kernel[d]) - 1);
        let extent = if self.transposed {
            (input - 1) * stride - 2 * padding + reach + i128::from(self.output_padding[d]) + 1
        } else {
            (input + 2 * padding - reach - 1).div_euclid(stride.max(1)) + 1
        };
        i64::try_from(extent).unwrap_or(if extent < 0 { i64::MIN } else { i64::MAX })
    }

    /// Output height; 0 when there is none.
    pub fn h_out(&self) -> u32 {
        u32::try_from(self.extent(0).max(0)).unwrap_or(u32::MAX)
    }

    /// Output width; 0 when there is none.
    pub fn w_out(&self) -> u32 {
        u32::try_from(self.extent(1).max(0)).unwrap_or(u32::MAX)
    }

    /// Input channels of one group.
    pub fn group_in(&self) -> u32 {
        self.c_in / self.groups.max(1)
    }

    /// Output channels of one group.
    pub fn group_out(&self) -> u32 {
        self.c_out / self.groups.max(1)
    }

    /// Kernel positions.
    pub fn taps(&self) -> u64 {
        u64::from(self.kernel[0]) * u64::from(self.kernel[1])
    }

    /// Elements of K per kernel position: a group's input channels, padded to [`CHANNEL_PACK`] so
    /// that four neighbours in K share a position, or as they are where that would waste much.
    pub fn k_channels(&self) -> u32 {
        let channels = self.group_in();
        if channels <= DENSE_K_MAX_CHANNELS {
            channels
        } else {
            pack(channels)
        }
    }

    /// Length of the sum of one output, K = (kh, kw, c).
    pub fn k(&self) -> u64 {
        self.taps().saturating_mul(u64::from(self.k_channels()))
    }

    /// Elements of im2col's columns per output pixel, over all groups: rows start at multiples of
    /// [`CHANNEL_PACK`].
    pub fn columns_per_pixel(&self) -> u64 {
        self.k()
            .checked_next_multiple_of(u64::from(CHANNEL_PACK))
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.groups))
    }

    /// Output pixels of the batch.
    pub fn pixels_out(&self) -> u64 {
        u64::from(self.n)
            .saturating_mul(u64::from(self.h_out()))
            .saturating_mul(u64::from(self.w_out()))
    }

    /// Elements of the input in memory, pad lanes included.
    pub fn elements_in(&self) -> u64 {
        u64::from(self.n)
            .saturating_mul(u64::from(self.h_in))
            .saturating_mul(u64::from(self.w_in))
            .saturating_mul(u64::from(pack(self.c_in)))
    }

    /// Elements of the output in memory, pad lanes included.
    pub fn elements_out(&self) -> u64 {
        self.pixels_out()
            .saturating_mul(u64::from(pack(self.c_out)))
    }

    /// Elements of the packed weights, at most: K and outputs of each group padded.
    pub fn elements_weight(&self) -> u64 {
        self.taps()
            .saturating_mul(u64::from(pack(self.group_in())))
            .saturating_mul(u64::from(pack(self.group_out())))
            .saturating_mul(u64::from(self.groups))
    }

    /// Multiply-adds.
    pub fn macs(&self) -> u64 {
        let pixels = if self.transposed {
            u64::from(self.n)
                .saturating_mul(u64::from(self.h_in))
                .saturating_mul(u64::from(self.w_in))
        } else {
            self.pixels_out()
        };
        pixels
            .saturating_mul(self.taps())
            .saturating_mul(u64::from(self.group_in()))
            .saturating_mul(u64::from(self.c_out))
    }
}

/// `channels` padded; saturates.
fn pack(channels: u32) -> u32 {
    channels
        .checked_next_multiple_of(CHANNEL_PACK)
        .unwrap_or(u32::MAX)
}

/// Cuts `extent` into the fewest parts of at most `max`, as `(first, count)`; counts differ by at
/// most 1.
pub fn tiles(extent: u32, max: u32) -> impl ExactSizeIterator<Item = (u32, u32)> {
    let parts = extent.div_ceil(max.max(1));
    let (small, larger) = match parts {
        0 => (0, 0),
        _ => (extent / parts, extent % parts),
    };
    (0..parts).map(move |i| {
        let first = i * small + i.min(larger);
        (first, small + u32::from(i < larger))
    })
}
