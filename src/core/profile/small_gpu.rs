//! Every other GPU, until it has a profile of its own.

use super::costs::{DepthwiseCosts, DeviceProfile, WinogradCosts};
use super::large_gpu::LARGE_GPU;

pub(super) const SMALL_GPU: DeviceProfile = DeviceProfile {
    name: "small_gpu",
    source: "not measured: a large GPU's, without what was measured to suit large ones only",
    winograd: WinogradCosts {
        // An invocation has 64 sums and more, which GPUs of phones may not have the registers for.
        unasked: false,
        ..LARGE_GPU.winograd
    },
    depthwise: DepthwiseCosts {
        one_pixel_max_invocations: 0,
        ..LARGE_GPU.depthwise
    },
    ..LARGE_GPU
};
