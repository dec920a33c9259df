//! Which profile a device has.

use super::costs::DeviceProfile;
use super::cpu::CPU;
use super::large_gpu::LARGE_GPU;
use super::small_gpu::SMALL_GPU;
use crate::core::device::{DeviceClass, DeviceLimits};

/// Every profile.
pub static PROFILES: [DeviceProfile; 3] = [LARGE_GPU, SMALL_GPU, CPU];

impl DeviceProfile {
    /// The profile of a device with `limits`.
    pub fn of(limits: &DeviceLimits) -> &'static Self {
        let [large_gpu, small_gpu, cpu] = &PROFILES;
        match limits.class {
            DeviceClass::Discrete => large_gpu,
            DeviceClass::Integrated | DeviceClass::Virtual | DeviceClass::Other => small_gpu,
            DeviceClass::Cpu => cpu,
        }
    }
}
