//! A program under construction: its inputs, states and outputs.

use super::scope::Scope;
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constant::Pack;
use crate::core::constraints::Constraints;
use crate::core::conv::ConvReport;
use crate::core::device::{DeviceLimits, ImageSizes};
use crate::core::graph::{ConstantId, Graph, InputShape, Node, Value, ValueId};
use crate::core::program::{BufferDesc, BufferId, BufferKind, Port, PortKind, Program, Upload};
use crate::core::tensor::{dense_strides, Element, Layout, Tensor};
use std::collections::{HashMap, HashSet};

/// A window and the layout that it was copied into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CopyKey {
    pub(super) buffer: BufferId,
    pub(super) offset: i64,
    pub(super) dims: Vec<u32>,
    pub(super) strides: Vec<i64>,
    pub(super) layout: Layout,
    pub(super) element: Element,
}

/// A program under construction.
pub struct ProgramBuilder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) constraints: &'a Constraints,
    pub(super) images: &'a dyn ImageSizes,
    pub(super) program: Program,
    /// Index of the node being lowered.
    pub(super) node: Option<usize>,
    /// The window that each value is, once it is known.
    pub(super) windows: HashMap<ValueId, Tensor>,
    /// What symbolic integers are for the current input sizes.
    pub(super) integers: HashMap<ValueId, i64>,
    /// Values that are other names of a constant.
    pub(super) aliases: HashMap<ValueId, ValueId>,
    /// How many arguments of nodes name each value, outputs excluded.
    pub(super) readers: Vec<u32>,
    /// The inputs, to look them up.
    pub(super) inputs: HashSet<ValueId>,
    /// The first place of each output, and how many there are.
    pub(super) outputs: HashMap<ValueId, (usize, usize)>,
    /// Mutable buffers, as in [`Graph::states`].
    pub(super) states: Vec<Tensor>,
    /// Constants that are already uploaded in some form.
    pub(super) uploaded: HashMap<Upload, Tensor>,
    /// Windows that were already copied into a dense layout.
    pub(super) copies: HashMap<CopyKey, Tensor>,
    /// Parts of buffers that kernels bind, by kind and size.
    pub(super) parts: HashMap<(BufferKind, u64), BufferId>,
    /// Whether some tensor of the graph is larger than what a kernel may bind.
    pub(super) may_exceed: bool,
    /// The pieces that are being lowered, the outermost first.
    pub(super) scopes: Vec<Scope>,
}

impl<'a> ProgramBuilder<'a> {
    /// An empty program whose inputs have `shapes`.
    pub fn new(
        graph: &'a Graph,
        shapes: &[InputShape],
        constraints: &'a Constraints,
        images: &'a dyn ImageSizes,
    ) -> Result<Self> {
        let mut readers = vec![0u32; graph.values.len()];
        for node in &graph.nodes {
            count_readers(graph, node, &mut readers)?;
        }
        for state in &graph.states {
            if let Some(count) = readers.get_mut(state.after.0 as usize) {
                *count += 1;
            }
        }
        let mut outputs = HashMap::new();
        for (index, &id) in graph.outputs.iter().enumerate() {
            outputs.entry(id).or_insert((index, 0)).1 += 1;
        }
        let mut builder = Self {
            graph,
            constraints,
            images,
            program: Program::default(),
            node: None,
            windows: HashMap::new(),
            integers: HashMap::new(),
            aliases: HashMap::new(),
            readers,
            inputs: graph.inputs.iter().copied().collect(),
            outputs,
            states: Vec::new(),
            uploaded: HashMap::new(),
            copies: HashMap::new(),
            parts: HashMap::new(),
            may_exceed: false,
            scopes: Vec::new(),
        };
        builder.may_exceed = builder.exceeds()?;
        if shapes.len() != graph.inputs.len() {
            return Err(Error::argument(format!(
                "{} input shapes, the program has {} inputs",
                shapes.len(),
                graph.inputs.len()
            )));
        }
        for (index, (&id, shape)) in graph.inputs.iter().zip(shapes).enumerate() {
            builder
                .add_input(index, id, shape)
                .map_err(|e| e.context(format!("input {index}")))?;
        }
        builder.add_states()?;
        Ok(builder)
    }

    /// One dense buffer per mutable buffer of the graph, the first buffers of every program: their
    /// places do not depend on input sizes.
    pub(super) fn add_states(&mut self) -> Result<()> {
        for state in &self.graph.states {
            let spec = self.graph.tensor(state.before)?;
            let element = self.constraints.limits.element(spec.dtype);
            let (strides, numel) = dense_strides(&spec.dims, Layout::Contiguous)?;
            let kind = BufferKind::State(self.program.uploads.len());
            let buffer = self.buffer(kind, element, numel)?;
            self.program.uploads.push(Upload {
                constant: state.constant,
                pack: Pack::contiguous(state.source, element, &spec.dims),
            });
            let window = Tensor {
                buffer,
                dtype: spec.dtype,
                element,
                dims: spec.dims.clone(),
                strides,
                offset: 0,
            };
            self.windows.insert(state.before, window.clone());
            self.states.push(window);
        }
        Ok(())
    }

    /// Writes what the buffers hold from now on: after everything that reads what they held, and
    /// by way of temporaries where that is itself part of a buffer.
    pub(super) fn finish_states(&mut self) -> Result<()> {
        let mut copies = Vec::new();
        for (state, target) in self.graph.states.iter().zip(self.states.clone()) {
            let window = self.tensor(state.after)?;
            if window.dims != target.dims {
                return Err(Error::unsupported(format!(
                    "a buffer of dims {:?} is to keep {:?}",
                    target.dims, window.dims
                )));
            }
            if window == target || target.numel() == 0 {
                continue;
            }
            let kept = match self.program.buffer(window.buffer).kind {
                BufferKind::State(_) => {
                    let kept = self.temporary(window.dtype, &window.dims, Layout::Contiguous)?;
                    self.copy(&window, &kept)?;
                    kept
                }
                _ => window,
            };
            copies.push((kept, target));
        }
        for (kept, target) in copies {
            self.copy(&kept, &target)?;
        }
        Ok(())
    }

    pub(super) fn add_input(
        &mut self,
        index: usize,
        id: ValueId,
        shape: &InputShape,
    ) -> Result<()> {
        match (self.graph.value(id)?, shape) {
            (Value::SymInt(bound), InputShape::Integer(n)) => {
                // Exporters write a bound of 0, which is none: too large an integer then makes a
                // tensor exceed its own bound.
                if *bound > 0 && *n > i64::from(*bound) || *n < 0 {
                    return Err(Error::argument(format!("{n} is not within 0 and {bound}")));
                }
                self.integers.insert(id, *n);
                self.program.inputs.push(Port {
                    value: id,
                    kind: PortKind::Integer(*n),
                    dtype: crate::core::tensor::DType::I64,
                    element: Element::I32,
                    dims: Vec::new(),
                    max_dims: Vec::new(),
                });
            }
            (Value::Tensor(spec), InputShape::Dims(dims)) => {
                within_bound(dims, &spec.dims)?;
                let element = self.constraints.limits.element(spec.host_dtype);
                let (strides, numel) = dense_strides(dims, Layout::Contiguous)?;
                let buffer = self.buffer(BufferKind::Input(index), element, numel)?;
                let window = Tensor {
                    buffer,
                    dtype: spec.dtype,
                    element,
                    dims: dims.clone(),
                    strides,
                    offset: 0,
                };
                self.windows.insert(id, window);
                let kind = if numel == 0 {
                    PortKind::EmptyTensor
                } else {
                    PortKind::Tensor(buffer)
                };
                self.program.inputs.push(Port {
                    value: id,
                    kind,
                    dtype: spec.host_dtype,
                    element,
                    dims: dims.clone(),
                    max_dims: spec.dims.clone(),
                });
            }
            (value, _) => {
                return Err(Error::argument(format!(
                    "the program takes a {} here",
                    value.kind()
                )))
            }
        }
        Ok(())
    }

    /// Names the node that the next dispatches belong to.
    pub fn begin(&mut self, node: usize) {
        self.node = Some(node);
    }

    /// The graph being compiled.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// What is known of the device.
    pub fn limits(&self) -> &'a DeviceLimits {
        &self.constraints.limits
    }

    /// What planners must keep to.
    pub fn constraints(&self) -> &'a Constraints {
        self.constraints
    }

    /// What the driver says of images.
    pub fn images(&self) -> &'a dyn ImageSizes {
        self.images
    }

    /// The exporter's id of the node being lowered.
    pub fn node_id(&self) -> u32 {
        self.node
            .and_then(|n| self.graph.nodes.get(n))
            .map_or(0, |n| n.id)
    }

    /// What symbolic integers are now.
    pub fn integers(&self) -> &HashMap<ValueId, i64> {
        &self.integers
    }

    /// Sets the symbolic integer `id`.
    pub fn set_integer(&mut self, id: ValueId, n: i64) {
        self.integers.insert(id, n);
    }

    /// Records how a convolution is done.
    pub fn report(&mut self, report: ConvReport) {
        self.program.convolutions.push(report);
    }

    /// Makes `out` another name of `id`, constant or not.
    pub fn alias(&mut self, out: ValueId, id: ValueId) -> Result<()> {
        if self.constant(id)?.is_some() {
            let id = self.resolve(id);
            self.aliases.insert(out, id);
            return Ok(());
        }
        let window = self.tensor(id)?;
        self.bind(out, window)
    }

    pub(super) fn resolve(&self, id: ValueId) -> ValueId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// The constant that `id` is, or another name of, if it is one.
    pub fn constant(&self, id: ValueId) -> Result<Option<ConstantId>> {
        Ok(self.graph.tensor(self.resolve(id))?.constant)
    }

    /// Whether a node or the host reads `id`: results that nobody reads need not be computed.
    pub fn is_used(&self, id: ValueId) -> bool {
        self.outputs.contains_key(&id) || self.readers.get(id.0 as usize).is_some_and(|&n| n > 0)
    }

    /// Whether `id` is read by nobody but the host, so that a kernel may write it into staging.
    pub(super) fn only_output(&self, id: ValueId) -> Option<usize> {
        let &(index, places) = self.outputs.get(&id)?;
        let unread = self.readers.get(id.0 as usize).is_some_and(|&n| n == 0);
        (unread && places == 1).then_some(index)
    }

    pub(super) fn buffer(
        &mut self,
        kind: BufferKind,
        element: Element,
        numel: u64,
    ) -> Result<BufferId> {
        // Whole 16-byte words, so that a kernel may read four elements at once anywhere.
        let size_bytes = (numel.max(1) * element.size_bytes()).next_multiple_of(16);
        self.desc(BufferDesc { kind, size_bytes })
    }

    pub(super) fn desc(&mut self, desc: BufferDesc) -> Result<BufferId> {
        let id = u32::try_from(self.program.buffers.len())
            .map_err(|_| Error::new(ErrorKind::OutOfMemory, "more than 2^32 buffers"))?;
        self.program.buffers.push(desc);
        Ok(BufferId(id))
    }

    /// The finished program: what is not in its staging buffer yet is copied there.
    pub fn finish(mut self) -> Result<Program> {
        self.node = None;
        for (index, &id) in self.graph.outputs.iter().enumerate() {
            let port = self
                .finish_output(index, id)
                .map_err(|e| e.context(format!("output {index} ({id})")))?;
            self.program.outputs.push(port);
        }
        self.finish_states()?;
        Ok(self.program)
    }

    pub(super) fn finish_output(&mut self, index: usize, id: ValueId) -> Result<Port> {
        let spec = match self.graph.value(id)? {
            Value::Tensor(spec) => spec,
            Value::SymInt(_) | Value::Int(_) => {
                let n =
                    match self.graph.value(id)? {
                        Value::Int(n) => *n,
                        _ => self.integers.get(&id).copied().ok_or_else(|| {
                            Error::blob("a symbolic integer that no node computes")
                        })?,
                    };
                return Ok(Port {
                    value: id,
                    kind: PortKind::Integer(n),
                    dtype: crate::core::tensor::DType::I64,
                    element: Element::I32,
                    dims: Vec::new(),
                    max_dims: Vec::new(),
                });
            }
            other => return Err(Error::blob(format!("is {}", other.kind()))),
        };
        let window = self.tensor(id)?;
        let element = self.constraints.limits.element(spec.host_dtype);
        let buffer = match self.program.buffer(window.buffer).kind {
            BufferKind::Output(i) if i == index => window.buffer,
            _ => {
                let (strides, numel) = dense_strides(&window.dims, Layout::Contiguous)?;
                let buffer = self.buffer(BufferKind::Output(index), element, numel)?;
                let staging = Tensor {
                    buffer,
                    element,
                    strides,
                    offset: 0,
                    ..window.clone()
                };
                self.copy(&window, &staging)?;
                buffer
            }
        };
        Ok(Port {
            value: id,
            kind: if window.numel() == 0 {
                PortKind::EmptyTensor
            } else {
                PortKind::Tensor(buffer)
            },
            dtype: spec.host_dtype,
            element,
            dims: window.dims,
            max_dims: spec.dims.clone(),
        })
    }
}

fn count_readers(graph: &Graph, node: &Node, readers: &mut [u32]) -> Result<()> {
    for id in graph.reads(node) {
        let slot = readers.get_mut(id.0 as usize);
        *slot.ok_or_else(|| Error::blob(format!("{node}: value {id} does not exist")))? += 1;
    }
    Ok(())
}

/// Checks `dims` against the sizes that the program was exported for.
pub(super) fn within_bound(dims: &[u32], bound: &[u32]) -> Result<()> {
    if dims.len() == bound.len() && dims.iter().zip(bound).all(|(d, b)| d <= b) {
        return Ok(());
    }
    Err(Error::argument(format!(
        "dims {dims:?} are not within the bound {bound:?}"
    )))
}
