//! Runs graphs on the device.

use super::blob::GraphBuilder;
use super::reference::{rounded, Array};
use etvk::compile::{bound_shapes, compile};
use etvk::constant::ConstantData;
use etvk::error::{Error, ErrorKind, Result};
use etvk::graph::{ConstantSource, ValueId};
use etvk::memory::plan_memory;
use etvk::options::Options;
use etvk::program::PortKind;
use etvk::tensor::DType;
use etvk::vk::{validation, Device, Session};
use std::sync::{Arc, OnceLock};

struct Inline<'a>(&'a [u8]);

impl ConstantData for Inline<'_> {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match source {
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => read(&self.0[*offset_bytes..][..*size_bytes]),
            ConstantSource::Empty => read(&[]),
            ConstantSource::Named { .. } => Err(Error::blob("no named data")),
        }
    }
}

fn options() -> Options {
    Options::from_environment(&[]).expect("the environment's options are good")
}

/// The device, or `None` where there is none: said once.
fn device() -> Option<Arc<Device>> {
    static DEVICE: OnceLock<Option<Arc<Device>>> = OnceLock::new();
    DEVICE
        .get_or_init(|| match Device::open(&options()) {
            Ok(device) => Some(device),
            Err(e) if e.kind == ErrorKind::NoDevice => {
                println!("skipped: {e}");
                None
            }
            Err(e) => panic!("a device that does not start: {e}"),
        })
        .clone()
}

/// Runs `graph` once; `None` when there is no device to run on.
pub fn run(graph: &GraphBuilder, inputs: &[Array]) -> Option<Result<Vec<Array>>> {
    let device = device()?;
    Some(run_on(&device, &graph.build(), inputs))
}

fn run_on(device: &Arc<Device>, blob: &[u8], inputs: &[Array]) -> Result<Vec<Array>> {
    let graph = etvk::parse::parse(blob)?;
    let program = compile(&graph, &bound_shapes(&graph)?, device.limits(), &options())?;
    let plan = plan_memory(&program, device.limits())?;
    let data = Inline(blob);
    let mut session = Session::create(device, &program, &plan, &graph.constants, &data)?;
    let recording = session.record(&program, &plan)?;
    for (port, array) in program.inputs.iter().zip(inputs) {
        if let PortKind::Tensor(buffer) = port.kind {
            let device_type = stored(port.element);
            let bytes = Array::new(device_type, &array.dims, &array.values).bytes();
            session.input_mut(&program, &plan, buffer)?[..bytes.len()].copy_from_slice(&bytes);
        }
    }
    session.run(&recording)?;
    validation::check()?;
    program
        .outputs
        .iter()
        .map(|port| match port.kind {
            PortKind::Tensor(buffer) => {
                let bytes = session.output(&program, &plan, buffer)?;
                let device_type = stored(port.element);
                let count: usize = port.dims.iter().map(|&d| d as usize).product();
                let size = count * usize::try_from(device_type.size_bytes()).expect("small");
                let read = Array::from_bytes(device_type, &port.dims, &bytes[..size]);
                Ok(Array::new(port.dtype, &port.dims, &read.values))
            }
            PortKind::EmptyTensor => Ok(Array::new(port.dtype, &port.dims, &[])),
            PortKind::Integer(n) => Ok(Array::scalar(DType::I64, n as f64)),
        })
        .collect()
}

fn stored(element: etvk::tensor::Element) -> DType {
    match element {
        etvk::tensor::Element::F32 => DType::F32,
        etvk::tensor::Element::F16 => DType::F16,
        etvk::tensor::Element::I32 => DType::I32,
    }
}

/// How a tensor is typed in the graph and at the host boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed {
    pub graph: DType,
    pub host: DType,
}

/// The same on both sides.
pub const fn plain(dtype: DType) -> Typed {
    Typed {
        graph: dtype,
        host: dtype,
    }
}

/// What `force_fp16` makes of an fp32 program.
pub const FORCED_HALF: Typed = Typed {
    graph: DType::F16,
    host: DType::F32,
};

/// An argument of a call.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A graph input of this graph type.
    Input(DType, Array),
    /// A constant of the graph.
    Constant(Array),
    None,
    Bool(bool),
    Int(i64),
    Double(f64),
    Ints(Vec<i64>),
    Text(&'static str),
}

impl Arg {
    /// An input whose values are exact in the graph's type, given to the host in the other.
    pub fn input(typed: Typed, array: &Array) -> Self {
        let values: Vec<f64> = array
            .values
            .iter()
            .map(|&x| rounded(typed.graph, x))
            .collect();
        Self::Input(typed.graph, Array::new(typed.host, &array.dims, &values))
    }
}

/// A graph of one call.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: &'static str,
    pub args: Vec<Arg>,
    pub output: Typed,
    pub dims: Vec<u32>,
}

impl Call {
    /// The call as a graph, with the arrays that the host passes.
    pub fn build(&self) -> (GraphBuilder, Vec<Array>) {
        let mut graph = GraphBuilder::new();
        let mut inputs = Vec::new();
        let mut args: Vec<ValueId> = Vec::new();
        for arg in &self.args {
            args.push(match arg {
                Arg::Input(dtype, array) => {
                    let id = graph.staged(*dtype, array.dtype, &array.dims);
                    graph.graph.inputs.push(id);
                    inputs.push(array.clone());
                    id
                }
                Arg::Constant(a) => graph.constant(a.dtype, &a.dims, &a.bytes()),
                Arg::None => graph.none(),
                Arg::Bool(b) => graph.bool(*b),
                Arg::Int(n) => graph.int(*n),
                Arg::Double(x) => graph.double(*x),
                Arg::Ints(list) => graph.ints(list),
                Arg::Text(text) => graph.string(text),
            });
        }
        let out = graph.staged(self.output.graph, self.output.host, &self.dims);
        args.push(out);
        graph.node(self.op, &args);
        graph.output(out);
        (graph, inputs)
    }

    /// The result; `None` without a device.
    pub fn run(&self) -> Option<Array> {
        let (graph, inputs) = self.build();
        match run(&graph, &inputs)? {
            Ok(mut outputs) => outputs.pop(),
            Err(e) => panic!("{}: {e}", self.op),
        }
    }

    /// The error that the call gives; `None` without a device.
    pub fn refused(&self) -> Option<Error> {
        let (graph, inputs) = self.build();
        match run(&graph, &inputs)? {
            Ok(outputs) => panic!("{} gave {outputs:?}", self.op),
            Err(e) => Some(e),
        }
    }
}
