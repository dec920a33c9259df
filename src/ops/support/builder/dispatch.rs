//! Emitting one dispatch, checked against what the build read from the kernel's code.

use super::program::ProgramBuilder;
use crate::base::error::{Error, Result};
use crate::core::program::{Access, Binding, BufferId, Dispatch};
use crate::core::shader::Shader;
use crate::core::tensor::Tensor;

/// Dispatches of a program: hundreds of times what large networks have. One call may take many, as a
/// concatenation of many tensors does.
const MAX_DISPATCHES: usize = 1 << 18;

/// A buffer as a dispatch uses it.
#[derive(Clone, Debug)]
pub struct Bind {
    buffer: BufferId,
    access: Access,
    /// Bytes; `None` is all of the buffer.
    range: Option<std::ops::Range<u64>>,
}

impl Bind {
    /// Reads the window.
    pub fn read(window: &Tensor) -> Self {
        Self::window(window, Access::Read)
    }

    /// Writes the window.
    pub fn write(window: &Tensor) -> Self {
        Self::window(window, Access::Write)
    }

    fn window(window: &Tensor, access: Access) -> Self {
        let size = window.element.size_bytes();
        let range = window.extent().map(|(low, high)| {
            let (low, high) = (low.unsigned_abs(), high.unsigned_abs());
            // Kernels read whole groups of four.
            let (start, end) = (low / 4 * 4 * size, (high / 4 + 1) * 4 * size);
            start..end
        });
        Self {
            buffer: window.buffer,
            access,
            range: Some(range.unwrap_or(0..0)),
        }
    }

    /// All of `buffer`.
    pub fn whole(buffer: BufferId, access: Access) -> Self {
        Self {
            buffer,
            access,
            range: None,
        }
    }

    /// Bytes `range` of `buffer`.
    pub fn range(buffer: BufferId, access: Access, range: std::ops::Range<u64>) -> Self {
        Self {
            buffer,
            access,
            range: Some(range),
        }
    }
}

/// One dispatch as an operator describes it.
#[derive(Clone, Debug)]
pub struct DispatchDesc {
    /// The kernel.
    pub shader: Shader,
    /// Workgroup size in x, y, z: specialization constants 0, 1, 2.
    pub local_size: [u32; 3],
    /// Specialization constants 3, 4, ...
    pub spec: Vec<u32>,
    /// Push constants.
    pub push: Vec<u32>,
    /// Buffers in binding order.
    pub bindings: Vec<Bind>,
    /// Number of workgroups.
    pub workgroups: [u32; 3],
}

impl ProgramBuilder<'_> {
    /// Emits a dispatch. One without workgroups does nothing and is dropped.
    pub fn dispatch(&mut self, desc: DispatchDesc) -> Result<()> {
        let DispatchDesc {
            shader,
            local_size,
            spec,
            push,
            bindings,
            workgroups,
        } = desc;
        if workgroups.contains(&0) {
            return Ok(());
        }
        let info = shader.info();
        let mut constants = local_size.to_vec();
        constants.extend(spec);
        let refuse = |what: &str, got: usize, want: usize| {
            Err(Error::internal(format!(
                "{}: {got} {what}, the kernel has {want}",
                info.name
            )))
        };
        if bindings.len() != info.bindings.len() {
            return refuse("bindings", bindings.len(), info.bindings.len());
        }
        for (at, (bind, &kind)) in bindings.iter().zip(info.bindings).enumerate() {
            if self.program.buffer(bind.buffer).kind.binding() != kind {
                return Err(Error::internal(format!(
                    "{}: binding {at} is not the {kind:?} that the kernel has",
                    info.name
                )));
            }
        }
        if push.len() != info.push_words as usize {
            return refuse("push words", push.len(), info.push_words as usize);
        }
        if constants.len() != info.spec_constants {
            return refuse(
                "specialization constants",
                constants.len(),
                info.spec_constants,
            );
        }
        let invocations: u64 = local_size.iter().map(|&n| u64::from(n)).product();
        if invocations > u64::from(self.constraints.limits.max_workgroup_invocations)
            || local_size
                .iter()
                .zip(self.constraints.limits.max_workgroup_size)
                .any(|(&n, max)| n > max)
        {
            return Err(Error::internal(format!(
                "{}: workgroup of {local_size:?} exceeds the device",
                info.name
            )));
        }
        if workgroups
            .iter()
            .zip(self.constraints.limits.max_workgroup_count)
            .any(|(&n, max)| n > max)
        {
            return Err(Error::unsupported(format!(
                "{}: {workgroups:?} workgroups, the device allows {:?}",
                info.name, self.constraints.limits.max_workgroup_count
            )));
        }
        let bindings = bindings
            .into_iter()
            .map(|b| {
                let size = self.program.buffer(b.buffer).size_bytes;
                let range = b.range.unwrap_or(0..size);
                Binding {
                    buffer: b.buffer,
                    access: b.access,
                    range_bytes: range.start.min(size)..range.end.min(size),
                }
            })
            .collect();
        if self.program.dispatches.len() >= MAX_DISPATCHES {
            return Err(Error::unsupported(format!(
                "more than {MAX_DISPATCHES} dispatches"
            )));
        }
        self.program.dispatches.push(Dispatch {
            node: self.node,
            shader,
            spec: constants,
            push,
            bindings,
            workgroups,
        });
        Ok(())
    }

    /// Workgroups for `count` invocations in a line: kernels number them
    /// `(group.y * groups.x + group.x) * local_size + local`.
    pub fn line(&self, count: u64, local_size: u32) -> Result<[u32; 3]> {
        let groups = count.div_ceil(u64::from(local_size.max(1)));
        let [max_x, max_y, _] = self.constraints.limits.max_workgroup_count.map(u64::from);
        let y = groups.div_ceil(max_x.max(1));
        let x = if y <= 1 { groups } else { groups.div_ceil(y) };
        if y > max_y {
            return Err(Error::unsupported(format!(
                "{count} invocations exceed the device"
            )));
        }
        let narrow = |n: u64| u32::try_from(n).map_err(|_| Error::internal("workgroup count"));
        Ok([narrow(x)?, narrow(y.max(1))?, 1])
    }
}
