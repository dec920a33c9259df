//! Emitting one dispatch, checked against what the build read from the kernel's code.

use super::program::ProgramBuilder;
use crate::base::error::{Error, Result};
use crate::core::kernels::KernelCall;
use crate::core::program::{Access, Binding, BufferId, Dispatch};
use crate::core::shader::Shader;
use crate::core::tensor::Tensor;
use crate::core::valid::check_dispatch;

/// Invocations per workgroup of kernels that number them in a line: a whole number of every vendor's
/// subgroups.
pub const LINE_LOCAL_SIZE: u32 = 64;

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

/// How many invocations a dispatch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Invocations per workgroup in x, y, z.
    pub local_size: [u32; 3],
    /// Number of workgroups.
    pub workgroups: [u32; 3],
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
    /// Emits a call of a kernel. One without workgroups does nothing and is dropped.
    pub fn dispatch(&mut self, call: impl KernelCall<Bind = Bind>, grid: Grid) -> Result<()> {
        let shader = call.shader();
        let name = shader.info().name;
        let threads = grid.local_size.iter().map(|&n| u64::from(n)).product();
        if call.threads().is_some_and(|wanted| wanted != threads) {
            return Err(Error::internal(format!(
                "{name}: a workgroup of {:?}, the kernel has {:?} invocations",
                grid.local_size,
                call.threads()
            )));
        }
        let most = self.constraints.limits.max_shared_memory_bytes;
        if call.shared_bytes() > most.into() {
            return Err(Error::internal(format!(
                "{name}: a workgroup shares {} bytes, the device has {most}",
                call.shared_bytes()
            )));
        }
        self.dispatch_words(DispatchDesc {
            shader,
            local_size: grid.local_size,
            spec: call.spec(),
            push: call.push(),
            bindings: call.into_bindings(),
            workgroups: grid.workgroups,
        })
    }

    /// A call for `count` invocations in a line; see [`ProgramBuilder::line`].
    pub fn dispatch_line(&mut self, call: impl KernelCall<Bind = Bind>, count: u64) -> Result<()> {
        let grid = Grid {
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            workgroups: self.line(count, LINE_LOCAL_SIZE)?,
        };
        self.dispatch(call, grid)
    }

    /// Emits a dispatch. One without workgroups does nothing and is dropped.
    pub fn dispatch_words(&mut self, desc: DispatchDesc) -> Result<()> {
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
        let dispatch = Dispatch {
            node: self.node,
            shader,
            spec: [local_size.as_slice(), &spec].concat(),
            push,
            bindings,
            workgroups,
        };
        check_dispatch(&self.program, &dispatch, &self.constraints.limits)?;
        if self.program.dispatches.len() >= MAX_DISPATCHES {
            return Err(Error::unsupported(format!(
                "more than {MAX_DISPATCHES} dispatches"
            )));
        }
        self.program.dispatches.push(dispatch);
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
