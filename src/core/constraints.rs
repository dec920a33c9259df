//! What holds for one load: the caller's choices after the device had its say. Everything that is
//! planned obeys these; nothing reads [`Options`] any more.

use crate::base::error::{Error, ErrorKind, Result};
use crate::core::device::DeviceLimits;
use crate::core::options::{ConvChoice, Options, ScratchStorage};
use crate::core::profile::DeviceProfile;
use crate::core::tensor::{Element, MAX_ELEMENTS};

/// Most bytes of convolution workspace, as drivers allocate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    asked_bytes: u64,
    granularity_bytes: u64,
}

impl Budget {
    /// A budget of `asked_bytes` on a device that rounds allocations up to multiples of
    /// `granularity_bytes`.
    pub fn new(asked_bytes: u64, granularity_bytes: u64) -> Self {
        Self {
            asked_bytes,
            granularity_bytes: granularity_bytes.max(1),
        }
    }

    /// Most bytes to ask the driver for: rounded down, so that what it rounds up stays within.
    pub fn bytes(&self) -> u64 {
        self.rounded_down(self.asked_bytes)
    }

    /// The most of `bytes` that the driver does not round up.
    pub fn rounded_down(&self, bytes: u64) -> u64 {
        bytes / self.granularity_bytes * self.granularity_bytes
    }

    /// What the driver allocates for `bytes`; `None` when that overflows.
    pub fn rounded_up(&self, bytes: u64) -> Option<u64> {
        bytes.checked_next_multiple_of(self.granularity_bytes)
    }

    /// Fails where `workspace_bytes`, planned or allocated, exceed what the caller asked for.
    pub fn check(&self, workspace_bytes: u64) -> Result<()> {
        if workspace_bytes <= self.asked_bytes {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "a workspace of {workspace_bytes} bytes exceeds the budget of {}",
                self.asked_bytes
            ),
        ))
    }
}

/// What planners and operators must keep to.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraints {
    /// The device, without what the caller switched off.
    pub limits: DeviceLimits,
    /// What suits the device, and what it takes.
    pub profile: &'static DeviceProfile,
    /// The workspace of all convolutions together.
    pub budget: Budget,
    /// The path of every convolution that can take it; `None` lets the planner choose.
    pub conv_algorithm: Option<ConvChoice>,
    /// What holds im2col's columns where it can; `None` lets the planner choose.
    pub scratch_storage: Option<ScratchStorage>,
    /// Whether passes shorten the graph before it is compiled.
    pub graph_passes: bool,
}

impl Constraints {
    /// What `options` mean on a device with `limits`.
    pub fn new(options: &Options, limits: &DeviceLimits) -> Self {
        let storage_16bit = limits.storage_16bit && options.fp16_storage;
        Self {
            limits: DeviceLimits {
                storage_16bit,
                ..limits.clone()
            },
            profile: DeviceProfile::of(limits),
            budget: Budget::new(options.workspace_bytes, limits.allocation_granularity_bytes),
            conv_algorithm: options.conv_algorithm,
            scratch_storage: options.scratch_storage,
            graph_passes: options.graph_passes,
        }
    }

    /// The same for other input sizes of a loaded program: its workspace of `allocated_bytes` never
    /// grows.
    pub fn within(&self, allocated_bytes: u64) -> Self {
        Self {
            budget: Budget::new(allocated_bytes, 1),
            ..self.clone()
        }
    }

    /// Most bytes of any workspace that holds `element`s.
    pub fn most_workspace_bytes(&self, element: Element) -> u64 {
        self.budget
            .bytes()
            .min(self.limits.max_allocation_bytes)
            .min(MAX_ELEMENTS * element.size_bytes())
    }

    /// Most bytes of a workspace that kernels bind as a buffer of `element`s, as the driver allocates
    /// it.
    pub fn most_workspace_buffer_bytes(&self, element: Element) -> u64 {
        let most = self.most_workspace_bytes(element);
        self.budget
            .rounded_down(most.min(self.limits.max_storage_buffer_range_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_rounded_down_and_checked_as_asked() {
        let budget = Budget::new(1000, 256);
        assert_eq!(budget.bytes(), 768);
        assert_eq!(budget.rounded_up(769), Some(1024));
        assert_eq!(budget.rounded_up(u64::MAX), None);
        assert!(budget.check(1000).is_ok());
        let error = budget.check(1001).expect_err("too much");
        assert_eq!(error.kind, ErrorKind::OutOfMemory);
        assert!(error.message.contains("1001") && error.message.contains("1000"));
        assert_eq!(Budget::new(7, 0).bytes(), 7);
    }

    #[test]
    fn a_workspace_is_within_budget_allocation_and_binding() {
        let limits = DeviceLimits {
            max_storage_buffer_range_bytes: 5000,
            max_allocation_bytes: 9000,
            allocation_granularity_bytes: 1024,
            ..DeviceLimits::minimum()
        };
        let of = |workspace_bytes| {
            let options = Options {
                workspace_bytes,
                ..Options::default()
            };
            let constraints = Constraints::new(&options, &limits);
            let (any, buffer) = (
                constraints.most_workspace_bytes(Element::F16),
                constraints.most_workspace_buffer_bytes(Element::F16),
            );
            assert!(any <= workspace_bytes && buffer % 1024 == 0 && buffer <= any);
            (any, buffer)
        };
        assert_eq!(of(0), (0, 0));
        assert_eq!(of(3000), (2048, 2048));
        assert_eq!(of(7000), (6144, 4096));
        assert_eq!(of(u64::MAX), (9000, 4096));
    }

    #[test]
    fn what_the_caller_switched_off_is_off() {
        let limits = DeviceLimits {
            storage_16bit: true,
            ..DeviceLimits::minimum()
        };
        let on = Constraints::new(&Options::default(), &limits);
        assert!(on.limits.storage_16bit);
        let options = Options {
            fp16_storage: false,
            ..Options::default()
        };
        let off = Constraints::new(&options, &limits);
        assert!(!off.limits.storage_16bit);
        assert_eq!(off.within(512).budget.bytes(), 512);
    }
}
