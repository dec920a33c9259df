//! One way to load: bytes to a program, its memory plan, and everything that other input sizes need.
//! Pure: named data, what is known of the device, and the caller's choices are its only other inputs.

use super::bounds::bound_shapes;
use super::program::compile;
use super::{passes, state};
use crate::base::error::{Error, ErrorKind, Result};
use crate::core::constant::ConstantData;
use crate::core::constraints::Constraints;
use crate::core::device::{DeviceView, ImageSizes};
use crate::core::graph::{ConstantSource, Graph, InputShape};
use crate::core::memory::{plan_memory, plan_memory_within, MemoryPlan};
use crate::core::options::Options;
use crate::core::parse::parse;
use crate::core::program::Program;
use std::borrow::Cow;

/// Constants of a blob: inline ones from its bytes, named ones from the host.
pub struct BlobData<'a> {
    /// The bytes that were parsed.
    pub blob: &'a [u8],
    /// What the host has by name.
    pub named: &'a dyn ConstantData,
}

impl ConstantData for BlobData<'_> {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match source {
            ConstantSource::Empty => read(&[]),
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => {
                let bytes = offset_bytes
                    .checked_add(*size_bytes)
                    .and_then(|end| self.blob.get(*offset_bytes..end))
                    .ok_or_else(|| {
                        Error::blob(format!(
                            "a constant of {size_bytes} bytes at {offset_bytes} lies outside"
                        ))
                    })?;
                read(bytes)
            }
            ConstantSource::Named { key, size_bytes } => {
                self.named.with_bytes(source, &mut |bytes| {
                    let has = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if has < *size_bytes {
                        return Err(Error::new(
                            ErrorKind::MissingData,
                            format!("named data {key:?}: the host gave {has} bytes, {size_bytes} are needed"),
                        ));
                    }
                    read(bytes)
                })
            }
        }
    }
}

/// A program and where its buffers lie, for one set of input sizes.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The input sizes.
    pub shapes: Vec<InputShape>,
    /// The dispatches.
    pub program: Program,
    /// The places of its buffers.
    pub plan: MemoryPlan,
}

/// A graph that was planned for its largest input sizes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// After the passes; see [`Loaded::graph_with`] for what is run.
    pub graph: Graph,
    /// What holds on the device.
    pub constraints: Constraints,
    /// The places for the largest input sizes, which memory is reserved for.
    bound: MemoryPlan,
    /// For other input sizes: the workspace as it is allocated at load never grows.
    resized: Constraints,
}

/// Plans `blob` for its largest input sizes on `device`. `named` supplies constants that are not in the
/// blob.
pub fn plan(
    blob: &[u8],
    named: &dyn ConstantData,
    device: DeviceView<'_>,
    options: &Options,
) -> Result<(Loaded, Planned)> {
    let constraints = Constraints::new(options, device.limits);
    let data = BlobData { blob, named };
    plan_graph(parse(blob)?, &data, constraints, device.images)
}

/// [`plan`] for a graph that is already there, whose constants are in `data`.
pub fn plan_graph(
    graph: Graph,
    data: &dyn ConstantData,
    constraints: Constraints,
    images: &dyn ImageSizes,
) -> Result<(Loaded, Planned)> {
    let graph = state::separate(graph)?;
    let passed = |graph| match constraints.graph_passes {
        true => passes::run(graph, data),
        false => Ok(graph),
    };
    // Buffers that only the host's calls tell of: where the graph that is ready for them does not
    // compile, the one as it stands decides, with its own error.
    if let Some(offered) = state::offer(&graph) {
        let planned = passed(offered).and_then(|graph| loaded(graph, constraints.clone(), images));
        match planned {
            Ok(planned) => return Ok(planned),
            Err(error) => log::debug!("its outputs cannot be mutable buffers: {error}"),
        }
    }
    loaded(passed(graph)?, constraints, images)
}

fn loaded(
    graph: Graph,
    constraints: Constraints,
    images: &dyn ImageSizes,
) -> Result<(Loaded, Planned)> {
    let shapes = bound_shapes(&graph)?;
    let program = compile(&graph, &shapes, &constraints, images)?;
    let plan = plan_memory(&program, &constraints.limits)?;
    constraints.budget.check(plan.workspace_bytes)?;
    let loaded = Loaded {
        graph,
        resized: constraints.within(plan.workspace_bytes),
        constraints,
        bound: plan.clone(),
    };
    let planned = Planned {
        shapes,
        program,
        plan,
    };
    Ok((loaded, planned))
}

impl Loaded {
    /// The graph that is run when the first `kept_outputs` outputs are mutable buffers.
    pub fn graph_with(&self, kept_outputs: usize) -> Result<Cow<'_, Graph>> {
        match kept_outputs {
            0 => Ok(Cow::Borrowed(&self.graph)),
            count => state::keep(&self.graph, count).map(Cow::Owned),
        }
    }

    /// The same program for inputs of `shapes`, in the memory that is reserved, with the first
    /// `kept_outputs` outputs as mutable buffers.
    pub fn at(
        &self,
        shapes: &[InputShape],
        kept_outputs: usize,
        images: &dyn ImageSizes,
    ) -> Result<Planned> {
        let graph = self.graph_with(kept_outputs)?;
        let program = compile(&graph, shapes, &self.resized, images).map_err(|e| {
            // It compiled for the bound: what is wrong now is the sizes.
            let kind = match e.kind {
                ErrorKind::InvalidBlob => ErrorKind::InvalidArgument,
                kind => kind,
            };
            Error::new(kind, e.message).context("at these input sizes")
        })?;
        let plan = plan_memory_within(&program, &self.resized.limits, &self.bound)?;
        Ok(Planned {
            shapes: shapes.to_vec(),
            program,
            plan,
        })
    }
}
