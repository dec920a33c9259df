//! The report of a delegate as JSON text.

use super::loaded::{Current, Delegate};
use super::profile::{timed, TimedDispatch};
use crate::base::error::Result;
use crate::core::conv::ConvAlgorithm;
use crate::core::conv::ConvReport;
use crate::core::image::{ImageDimensions, ImageShape};
use crate::core::options::ScratchStorage;
use crate::core::program::{Port, PortKind};
use crate::core::tensor::DType;
use crate::shell::vk::Gpu;
use std::fmt::Write as _;

/// A JSON object or array being written. Numbers, strings and nested values only.
struct Json {
    text: String,
    close: char,
    first: bool,
}

impl Json {
    fn object() -> Self {
        Self {
            text: "{".into(),
            close: '}',
            first: true,
        }
    }

    fn array() -> Self {
        Self {
            text: "[".into(),
            close: ']',
            first: true,
        }
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
    }

    /// A member whose value is already JSON, numbers included.
    fn raw(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.separate();
        let _ = write!(self.text, "{}:{value}", quoted(key));
        self
    }

    fn string(self, key: &str, value: &str) -> Self {
        self.raw(key, quoted(value))
    }

    fn list(self, key: &str, numbers: &[u32]) -> Self {
        let items = numbers.iter().fold(Self::array(), |array, n| array.item(n));
        self.raw(key, items.end())
    }

    fn item(mut self, value: impl std::fmt::Display) -> Self {
        self.separate();
        let _ = write!(self.text, "{value}");
        self
    }

    fn end(mut self) -> String {
        self.text.push(self.close);
        self.text
    }
}

/// `text` in quotes, escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Name of an algorithm, as the option `conv_algorithm` knows it.
fn algorithm_name(algorithm: ConvAlgorithm) -> &'static str {
    match algorithm {
        ConvAlgorithm::Pointwise { .. } => "pointwise",
        ConvAlgorithm::Depthwise { .. } => "depthwise",
        ConvAlgorithm::Direct => "direct",
        ConvAlgorithm::Im2col { .. } => "im2col",
        ConvAlgorithm::Implicit { .. } => "implicit",
        ConvAlgorithm::Winograd { .. } => "winograd",
    }
}

fn scratch_storage(image: Option<ImageShape>) -> ScratchStorage {
    match image.map(|image| image.dimensions) {
        None => ScratchStorage::Buffer,
        Some(ImageDimensions::Two) => ScratchStorage::Texture2d,
        Some(ImageDimensions::Three) => ScratchStorage::Texture3d,
    }
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "uint8",
        DType::I8 => "int8",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::F16 => "float16",
        DType::F32 => "float32",
        DType::F64 => "float64",
    }
}

fn port(port: &Port) -> String {
    let json = Json::object();
    match port.kind {
        PortKind::Integer(now) => json.string("kind", "integer").raw("value", now),
        PortKind::Tensor(_) | PortKind::EmptyTensor => json
            .string("kind", "tensor")
            .string("dtype", dtype_name(port.dtype))
            .list("dims", &port.dims)
            .list("max_dims", &port.max_dims),
    }
    .end()
}

fn convolution(report: &ConvReport) -> String {
    let g = &report.geometry;
    let mut json = Json::object()
        .raw("node", report.node)
        .raw("n", g.n)
        .raw("c_in", g.c_in)
        .raw("h_in", g.h_in)
        .raw("w_in", g.w_in)
        .raw("c_out", g.c_out)
        .raw("h_out", report.output[0])
        .raw("w_out", report.output[1])
        .list("kernel", &g.kernel)
        .list("stride", &g.stride)
        .list("padding", &g.padding)
        .list("dilation", &g.dilation)
        .raw("groups", g.groups)
        .raw("transposed", g.transposed)
        .string("algorithm", algorithm_name(report.algorithm));
    if let ConvAlgorithm::Im2col {
        h_out_tile,
        w_out_tile,
        image,
        ..
    } = report.algorithm
    {
        json = json
            .raw("h_out_tile", h_out_tile)
            .raw("w_out_tile", w_out_tile)
            .string("scratch_storage", scratch_storage(image).name());
        if let Some(image) = image {
            json = json.list("scratch_extent", &image.extent);
        }
    }
    json.raw("tile_count", report.tile_count)
        .raw("dispatch_count", report.dispatch_count)
        .raw("workspace_bytes", report.workspace_bytes)
        .raw("moved_bytes", report.moved_bytes)
        .string("reason", &report.reason)
        .end()
}

/// What the dispatches of the last run took on the GPU.
fn profile(timed: &[TimedDispatch]) -> String {
    let dispatches = timed.iter().fold(Json::array(), |array, dispatch| {
        let node = dispatch.node.as_ref();
        let (id, operator) = node.map_or(("null".into(), "null".into()), |(id, operator)| {
            (id.to_string(), quoted(operator))
        });
        array.item(
            Json::object()
                .raw("node", id)
                .raw("operator", operator)
                .string("kernel", dispatch.kernel)
                .list("workgroups", &dispatch.workgroups)
                .raw("gpu_us", format_args!("{:.3}", dispatch.ns() / 1e3))
                .raw("edge", dispatch.edge)
                .end(),
        )
    });
    let sum_ms = timed.iter().map(TimedDispatch::ns).sum::<f64>() / 1e6;
    Json::object()
        .raw("gpu_ms", format_args!("{sum_ms:.6}"))
        .raw("dispatches", dispatches.end())
        .end()
}

fn device(gpu: &Gpu) -> String {
    let class = format!("{:?}", gpu.limits().class).to_lowercase();
    Json::object()
        .string("name", gpu.name())
        .raw("index", gpu.index())
        .string("class", &class)
        .end()
}

fn memory(delegate: &Delegate) -> Result<String> {
    let memory = delegate.memory()?;
    Ok(Json::object()
        .raw("workspace_bytes", memory.workspace_bytes)
        .raw("workspace_budget_bytes", delegate.options().workspace_bytes)
        .raw("activation_bytes", memory.activation_bytes)
        .raw("weight_bytes", memory.weight_bytes)
        .raw("staging_bytes", memory.staging_bytes)
        .raw("driver_bytes", memory.total_bytes())
        .raw("driver_allocations", memory.allocations)
        .end())
}

/// How long the parts of the load took.
fn load(delegate: &Delegate) -> String {
    let parts = delegate.phases.iter();
    let json = parts.fold(Json::object(), |json, (name, ms)| {
        json.raw(name, format_args!("{ms:.3}"))
    });
    json.end()
}

/// How long the parts of the last run took.
fn run(delegate: &Delegate) -> Result<String> {
    let Some(parts) = delegate.last_run()? else {
        return Ok("null".into());
    };
    Ok(Json::object()
        .raw("inputs_ms", format_args!("{:.4}", parts.inputs_ms))
        .raw("device_ms", format_args!("{:.4}", parts.device_ms))
        .raw("outputs_ms", format_args!("{:.4}", parts.outputs_ms))
        .end())
}

/// Everything that is known of `delegate`.
fn json(delegate: &Delegate) -> Result<String> {
    let Current {
        program,
        barriers,
        times_ns,
    } = delegate.current()?;
    let array = |items: Vec<String>| items.iter().fold(Json::array(), Json::item).end();
    let commands = Json::object()
        .raw("dispatches", program.dispatches.len())
        .raw("barriers", barriers)
        .raw("constants", program.uploads.len())
        .end();
    let profile = match times_ns.is_empty() {
        true => "null".into(),
        false => profile(&timed(delegate, &program, &times_ns)),
    };
    let convolutions = program.convolutions.iter().map(convolution).collect();
    Ok(Json::object()
        .string("etvk", env!("CARGO_PKG_VERSION"))
        .raw("device", device(delegate.gpu()))
        .raw("memory", memory(delegate)?)
        .raw("commands", commands)
        .raw("load", load(delegate))
        .raw("run", run(delegate)?)
        .raw("profile", profile)
        .raw("inputs", array(program.inputs.iter().map(port).collect()))
        .raw("outputs", array(program.outputs.iter().map(port).collect()))
        .raw("convolutions", array(convolutions))
        .end())
}

impl Delegate {
    /// Everything that is known of it, as JSON.
    pub fn report(&self) -> Result<String> {
        json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_and_nested() {
        let inner = Json::array()
            .item(1)
            .item(quoted("a\"b\\c\n\u{1}\u{e9}"))
            .end();
        let text = Json::object()
            .raw("x", inner)
            .list("none", &[])
            .list("two", &[1, 2])
            .end();
        assert_eq!(
            text,
            "{\"x\":[1,\"a\\\"b\\\\c\\u000a\\u0001\u{e9}\"],\"none\":[],\"two\":[1,2]}"
        );
    }
}
