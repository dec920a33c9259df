//! Runs graphs on the device through the C ABI, as a host does.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "this is what a C host does"
)]
#![allow(dead_code, unreachable_pub, reason = "no test binary uses all of it")]

use super::blob::GraphBuilder;
use super::reference::{rounded, Array};
use bindings::*;
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;

mod bindings {
    #![allow(
        non_camel_case_types,
        dead_code,
        unreachable_pub,
        missing_docs,
        reason = "generated names"
    )]
    include!("../bindings/etvk.rs");
}

#[allow(unused_imports, reason = "no test binary uses all of it")]
pub use bindings::{
    etvk_convolution, etvk_port, etvk_status, ETVK_STATUS_INVALID_ARGUMENT,
    ETVK_STATUS_INVALID_BLOB, ETVK_STATUS_OUT_OF_MEMORY, ETVK_STATUS_UNSUPPORTED,
};

/// A status other than OK, and the message that came with it.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: etvk_status,
    pub message: String,
}

fn check(status: etvk_status) -> Result<(), Failure> {
    if status == ETVK_STATUS_OK {
        return Ok(());
    }
    let message = unsafe { CStr::from_ptr(etvk_last_error()) };
    let message = message.to_string_lossy().into_owned();
    Err(Failure { status, message })
}

/// Device memory of a delegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub workspace_bytes: u64,
    pub driver_bytes: u64,
    pub driver_allocations: u64,
}

/// A loaded graph.
pub struct Loaded(*mut etvk_delegate);

unsafe impl Send for Loaded {}
unsafe impl Sync for Loaded {}

impl Drop for Loaded {
    fn drop(&mut self) {
        unsafe { etvk_delegate_destroy(self.0) };
    }
}

/// Whether there is a device; said once where there is none. A device that does not start fails.
fn device_is_there() -> bool {
    static KEPT: OnceLock<Option<Loaded>> = OnceLock::new();
    let kept = KEPT.get_or_init(|| match check(unsafe { etvk_probe(std::ptr::null(), 0) }) {
        Ok(()) => {
            // One delegate that stays keeps the device open between tests.
            let mut graph = GraphBuilder::new();
            let x = graph.input(DType::F32, &[1]);
            let y = graph.tensor(DType::F32, &[1]);
            let none = graph.none();
            graph.node("aten.clone.default", &[x, none, y]).output(y);
            Some(Loaded::create(&graph, &[]).expect("a clone loads"))
        }
        Err(e) if e.status == ETVK_STATUS_NO_DEVICE => {
            println!("SKIPPED, no device: {}", e.message);
            None
        }
        Err(e) => panic!("a device that does not start: {}", e.message),
    });
    kept.is_some()
}

impl Loaded {
    /// Loads `graph`; `None` when there is no device to run on.
    pub fn new(graph: &GraphBuilder) -> Option<Result<Self, Failure>> {
        Self::with_options(graph, &[])
    }

    /// The same with options.
    pub fn with_options(
        graph: &GraphBuilder,
        options: &[(&str, &str)],
    ) -> Option<Result<Self, Failure>> {
        device_is_there().then(|| Self::create(graph, options))
    }

    fn create(graph: &GraphBuilder, options: &[(&str, &str)]) -> Result<Self, Failure> {
        let blob = graph.build();
        let text = |s: &str| CString::new(s).expect("no NUL");
        let pairs: Vec<_> = options.iter().map(|(k, v)| (text(k), text(v))).collect();
        let options: Vec<etvk_option> = pairs
            .iter()
            .map(|(key, value)| etvk_option {
                key: key.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let info = etvk_create_info {
            struct_size: u32::try_from(size_of::<etvk_create_info>()).expect("small"),
            option_count: rank(&options),
            options: options.as_ptr(),
            blob: blob.as_ptr().cast(),
            blob_size_bytes: blob.len(),
            named_data_get: None,
            named_data_release: None,
            named_data_context: std::ptr::null_mut(),
        };
        let mut handle = std::ptr::null_mut();
        check(unsafe { etvk_delegate_create(&info, &mut handle) })?;
        Ok(Self(handle))
    }

    /// Sets the sizes of `inputs` and runs. A scalar of type I64 is a symbolic integer.
    pub fn run(&self, inputs: &[Array]) -> Result<Vec<Array>, Failure> {
        let shapes: Vec<etvk_input_shape> = inputs
            .iter()
            .map(|x| etvk_input_shape {
                rank: rank(&x.dims),
                dims: padded(&x.dims),
                integer: x.values.first().map_or(0, |&n| n as i64),
            })
            .collect();
        check(unsafe { etvk_delegate_resize(self.0, shapes.as_ptr(), rank(&shapes)) })?;
        let mut given: Vec<Vec<u8>> = inputs.iter().map(Array::bytes).collect();
        let ins: Vec<etvk_tensor> = inputs
            .iter()
            .zip(&mut given)
            .map(|(x, bytes)| tensor(bytes, x.dtype, &x.dims))
            .collect();
        let ports = self.outputs()?;
        // Poisoned, so that an element that nobody writes does not pass by chance.
        let mut written: Vec<Vec<u8>> = ports
            .iter()
            .map(|port| vec![0xA5; usize::try_from(port.size_bytes).expect("fits")])
            .collect();
        let outs: Vec<etvk_tensor> = ports
            .iter()
            .zip(&mut written)
            .map(|(port, bytes)| tensor(bytes, dtype(port), dims(port)))
            .collect();
        check(unsafe {
            let (i, o) = (rank(&ins), rank(&outs));
            etvk_delegate_execute(self.0, ins.as_ptr(), i, outs.as_ptr(), o)
        })?;
        let arrays = ports
            .iter()
            .zip(&written)
            .map(|(port, bytes)| Array::from_bytes(dtype(port), dims(port), bytes));
        Ok(arrays.collect())
    }

    /// Makes the first `count` outputs mutable buffers.
    pub fn keep_outputs(&self, count: u32) -> Result<(), Failure> {
        check(unsafe { etvk_delegate_keep_outputs(self.0, count) })
    }

    /// How each convolution is done now.
    pub fn convolutions(&self) -> Result<Vec<etvk_convolution>, Failure> {
        let mut count = 0;
        check(unsafe { etvk_delegate_convolution_count(self.0, &mut count) })?;
        let convolution = |index| {
            let mut report = std::mem::MaybeUninit::uninit();
            check(unsafe { etvk_delegate_convolution(self.0, index, report.as_mut_ptr()) })?;
            Ok(unsafe { report.assume_init() })
        };
        (0..count).map(convolution).collect()
    }

    /// Its device memory, by kind.
    pub fn memory(&self) -> Result<Memory, Failure> {
        let mut report = std::mem::MaybeUninit::uninit();
        check(unsafe { etvk_delegate_memory(self.0, report.as_mut_ptr()) })?;
        let report = unsafe { report.assume_init() };
        Ok(Memory {
            workspace_bytes: report.workspace_bytes,
            driver_bytes: report.driver_bytes,
            driver_allocations: report.driver_allocations,
        })
    }

    /// Its outputs as they are set up now.
    pub fn outputs(&self) -> Result<Vec<etvk_port>, Failure> {
        let mut count = 0;
        check(unsafe { etvk_delegate_output_count(self.0, &mut count) })?;
        let port = |index| {
            let mut port = std::mem::MaybeUninit::uninit();
            check(unsafe { etvk_delegate_output(self.0, index, port.as_mut_ptr()) })?;
            Ok(unsafe { port.assume_init() })
        };
        (0..count).map(port).collect()
    }
}

fn rank<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("few")
}

fn padded(dims: &[u32]) -> [u32; 8] {
    let mut all = [0; 8];
    all[..dims.len()].copy_from_slice(dims);
    all
}

fn dims(port: &etvk_port) -> &[u32] {
    &port.dims[..port.rank as usize]
}

const DTYPES: [DType; 8] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::I32,
    DType::F16,
    DType::F32,
    DType::F64,
    DType::I64,
];

fn dtype(port: &etvk_port) -> DType {
    DTYPES[port.dtype as usize]
}

fn tensor(bytes: &mut [u8], dtype: DType, dims: &[u32]) -> etvk_tensor {
    let number = DTYPES.iter().position(|&d| d == dtype).expect("all there");
    etvk_tensor {
        data: bytes.as_mut_ptr().cast(),
        size_bytes: bytes.len(),
        dtype: u32::try_from(number).expect("small"),
        rank: rank(dims),
        dims: padded(dims),
        dim_order: std::ptr::null(),
    }
}

/// Runs `graph` once; `None` when there is no device to run on.
pub fn run(graph: &GraphBuilder, inputs: &[Array]) -> Option<Result<Vec<Array>, Failure>> {
    let loaded = Loaded::new(graph)?;
    Some(loaded.and_then(|loaded| loaded.run(inputs)))
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

    /// Adds the value to `graph`, and to `inputs` what the host passes for it.
    pub fn add(&self, graph: &mut GraphBuilder, inputs: &mut Vec<Array>) -> ValueId {
        match self {
            Self::Input(dtype, array) => {
                let id = graph.staged(*dtype, array.dtype, &array.dims);
                graph.graph.inputs.push(id);
                inputs.push(array.clone());
                id
            }
            Self::Constant(a) => graph.constant(a.dtype, &a.dims, &a.bytes()),
            Self::None => graph.none(),
            Self::Bool(b) => graph.bool(*b),
            Self::Int(n) => graph.int(*n),
            Self::Double(x) => graph.double(*x),
            Self::Ints(list) => graph.ints(list),
            Self::Text(text) => graph.string(text),
        }
    }
}

/// A graph of one call with one output.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: &'static str,
    /// Without the output.
    pub args: Vec<Arg>,
    pub output: Typed,
    pub dims: Vec<u32>,
}

impl Call {
    /// The graph, and what the host passes for its inputs.
    pub fn graph(&self) -> (GraphBuilder, Vec<Array>) {
        let (mut graph, mut inputs) = (GraphBuilder::new(), Vec::new());
        let mut args: Vec<ValueId> = Vec::new();
        for arg in &self.args {
            args.push(arg.add(&mut graph, &mut inputs));
        }
        let out = graph.staged(self.output.graph, self.output.host, &self.dims);
        args.push(out);
        graph.node(self.op, &args);
        graph.output(out);
        (graph, inputs)
    }

    fn run_once(&self) -> Option<Result<Vec<Array>, Failure>> {
        let (graph, inputs) = self.graph();
        run(&graph, &inputs)
    }

    /// The result; `None` without a device.
    pub fn run(&self) -> Option<Array> {
        match self.run_once()? {
            Ok(mut outputs) => outputs.pop(),
            Err(e) => panic!("{}: {}", self.op, e.message),
        }
    }

    /// The error that the call gives; `None` without a device.
    pub fn refused(&self) -> Option<Failure> {
        match self.run_once()? {
            Ok(outputs) => panic!("{} gave {outputs:?}", self.op),
            Err(e) => Some(e),
        }
    }
}
