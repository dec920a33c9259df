//! The verified flatbuffer, value by value.

use super::generated::wire;
use super::header::Header;
use super::limits::{index, limit};
use super::tensor;
use crate::base::error::{Error, Result};
use crate::core::graph::{ConstantSource, Graph, Node, Value, ValueId};
use flatbuffers::{ForwardsUOffset, Table, Vector, VerifierOptions};

// Limits far above any exported program (the largest seen has thousands of values), so that ids fit
// 32 bits with room to spare and one number in a message tells what is too large.
const MAX_VALUES: usize = 1 << 20;
const MAX_NODES: usize = 1 << 17;
const MAX_CONSTANTS: usize = 1 << 20;
/// Inputs or outputs: a runtime keeps a pointer for each in one array.
const MAX_PORTS: usize = 1 << 16;
/// Arguments of one node: operators with many tensors take them as one list.
const MAX_ARGS: usize = 1 << 10;
/// Elements of one list: longer data comes as a constant.
const MAX_LIST: usize = 1 << 20;
/// Items of lists that nodes read, a list counted once for each node: short nodes may name one long
/// list, and each of them walks it.
const MAX_LISTED: usize = 1 << 20;
/// Bytes of an operator's name, which messages repeat.
const MAX_NAME_BYTES: usize = 1 << 8;
/// Bytes of a string argument or of a named constant's key.
const MAX_STRING_BYTES: usize = 1 << 16;

/// Graph, value, payload: the schema has no recursion.
const MAX_DEPTH: usize = 3;

/// How often on average the verifier may visit a byte. Exporters write each table once, and the
/// many small tables share vtables: 1.6 at most in the stock programs seen. A hostile blob refers
/// to one large table many times.
const MAX_VISITS_PER_BYTE: usize = 8;

/// `Bytes::offset` of a constant in the host's named data.
const NAMED: u64 = u64::MAX;

/// Reads the program in `blob`.
///
/// Malformed bytes are `InvalidBlob`, with the place in the message; more than this library can
/// hold (rank, counts) is `Unsupported`.
pub fn parse(blob: &[u8]) -> Result<Graph> {
    let header = Header::read(blob)?;
    let buffer = &blob[header.graph.clone()];
    let start = header.graph.start;
    let identifier = buffer.get(4..8).unwrap_or_default();
    if identifier != wire::GRAPH_IDENTIFIER.as_bytes() {
        return Err(Error::blob(format!(
            "byte {}: flatbuffer identifier is {:?}, expected {:?}",
            start.saturating_add(4),
            String::from_utf8_lossy(identifier),
            wire::GRAPH_IDENTIFIER
        )));
    }
    let options = VerifierOptions {
        max_depth: MAX_DEPTH,
        // The apparent size is what bounds tables: each costs at least its offset to a vtable.
        max_tables: usize::MAX,
        max_apparent_size: buffer.len().saturating_mul(MAX_VISITS_PER_BYTE),
        ignore_missing_null_terminator: false,
    };
    let root = wire::root_as_graph_with_opts(&options, buffer).map_err(|e| {
        let text = e.to_string();
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        Error::blob(format!(
            "flatbuffer at byte {start}, positions counted from there: {}",
            lines.join(" ")
        ))
    })?;
    Reader {
        header: &header,
        root,
    }
    .graph()
}

struct Reader<'a> {
    header: &'a Header,
    root: wire::Graph<'a>,
}

impl<'a> Reader<'a> {
    fn graph(&self) -> Result<Graph> {
        let count = self.root.values().map_or(0, |v| v.len());
        limit("values", count, MAX_VALUES)?;
        let mut constants = collect(
            self.root.constants(),
            "constants",
            MAX_CONSTANTS,
            |i, bytes| {
                self.constant(bytes)
                    .map_err(|e| e.context(self.place("constant", i, &bytes._tab)))
            },
        )?;
        let values = collect(self.root.values(), "values", MAX_VALUES, |i, value| {
            self.value(value, count, &constants)
                .map_err(|e| e.context(self.place("value %", i, &value._tab)))
        })?;
        tensor::need_data(&values, &mut constants);
        check_lists(&values)?;
        let nodes = collect(self.root.calls(), "nodes", MAX_NODES, |i, call| {
            self.node(call, count)
                .map_err(|e| e.context(self.place("call", i, &call._tab)))
        })?;
        limit(
            "items of lists in the nodes' arguments",
            listed(&values, &nodes),
            MAX_LISTED,
        )?;
        let inputs = ports(self.root.inputs(), &values, "input", |value| match value {
            Value::Tensor(spec) => spec.constant.is_none(),
            Value::SymInt(_) => true,
            _ => false,
        })?;
        let outputs = ports(self.root.outputs(), &values, "output", |value| {
            matches!(value, Value::Tensor(_) | Value::Int(_) | Value::SymInt(_))
        })?;
        Ok(Graph {
            values,
            nodes,
            inputs,
            outputs,
            constants,
            states: Vec::new(),
        })
    }

    /// `what index (byte n of the blob)`, for messages.
    fn place(&self, what: &str, index: usize, table: &Table<'_>) -> String {
        let space = if what.ends_with('%') { "" } else { " " };
        format!(
            "{what}{space}{index} (byte {})",
            self.header.graph.start + table.loc()
        )
    }

    fn constant(&self, bytes: wire::Bytes<'_>) -> Result<ConstantSource> {
        let (offset, length) = (bytes.offset(), bytes.length());
        let key = bytes.key().unwrap_or_default();
        if offset == NAMED && !key.is_empty() {
            limit("bytes of its key", key.len(), MAX_STRING_BYTES)?;
            return Ok(ConstantSource::Named {
                key: key.to_owned(),
                size_bytes: length,
            });
        }
        if length == 0 {
            return Ok(ConstantSource::Empty);
        }
        let data = &self.header.data;
        let start = usize::try_from(offset)
            .ok()
            .and_then(|o| data.start.checked_add(o));
        let size = usize::try_from(length).ok();
        let end = start
            .zip(size)
            .and_then(|(start, size)| start.checked_add(size));
        match (start, size, end) {
            (Some(start), Some(size), Some(end)) if end <= data.end => Ok(ConstantSource::Inline {
                offset_bytes: start,
                size_bytes: size,
            }),
            _ => Err(Error::blob(format!(
                "{length} bytes at offset {offset} exceed the constant data, bytes {}..{}",
                data.start, data.end
            ))),
        }
    }

    fn value(
        &self,
        value: wire::Value<'_>,
        count: usize,
        constants: &[ConstantSource],
    ) -> Result<Value> {
        let kind = value.payload_type();
        let absent = || Error::blob(format!("a value of kind {} without content", kind.0));
        Ok(match kind {
            wire::Payload::NoneValue => value.payload().map(|_| Value::None).ok_or_else(absent)?,
            wire::Payload::IntValue => {
                Value::Int(value.payload_as_int_value().ok_or_else(absent)?.number())
            }
            wire::Payload::DoubleValue => {
                Value::Double(value.payload_as_double_value().ok_or_else(absent)?.number())
            }
            wire::Payload::BoolValue => {
                Value::Bool(value.payload_as_bool_value().ok_or_else(absent)?.flag())
            }
            wire::Payload::TensorValue => {
                let v = value.payload_as_tensor_value().ok_or_else(absent)?;
                Value::Tensor(tensor::spec(v, constants)?)
            }
            wire::Payload::IntList => {
                let v = value.payload_as_int_list().ok_or_else(absent)?;
                Value::Ints(items(v.items(), |word| i64::from_le_bytes(word.0))?)
            }
            wire::Payload::DoubleList => {
                let v = value.payload_as_double_list().ok_or_else(absent)?;
                Value::Doubles(items(v.items(), |word| f64::from_le_bytes(word.0))?)
            }
            wire::Payload::BoolList => {
                let v = value.payload_as_bool_list().ok_or_else(absent)?;
                Value::Bools(items(v.items(), |flag| flag)?)
            }
            wire::Payload::ValueList => {
                let v = value.payload_as_value_list().ok_or_else(absent)?;
                Value::List(ids(v.items(), count, "items", MAX_LIST)?)
            }
            wire::Payload::StringValue => {
                Value::String(string(value.payload_as_string_value().ok_or_else(absent)?)?)
            }
            wire::Payload::SymbolicInt => {
                Value::SymInt(value.payload_as_symbolic_int().ok_or_else(absent)?.bound())
            }
            wire::Payload::NONE => return Err(Error::blob("the value has no kind")),
            wire::Payload(unknown) => {
                return Err(Error::blob(format!("unknown kind of value {unknown}")));
            }
        })
    }

    fn node(&self, call: wire::Call<'_>, count: usize) -> Result<Node> {
        let op = call.name().unwrap_or_default();
        if op.is_empty() {
            return Err(Error::blob("the operator has no name"));
        }
        limit("bytes of the operator's name", op.len(), MAX_NAME_BYTES)?;
        let id = call.node_id();
        let args = ids(call.args(), count, "arguments", MAX_ARGS)
            .map_err(|e| e.context(format!("node {id} ({op})")))?;
        Ok(Node {
            id,
            op: op.to_owned(),
            args,
            fused: Vec::new(),
        })
    }
}

fn string(value: wire::StringValue<'_>) -> Result<String> {
    let text = value
        .text()
        .ok_or_else(|| Error::blob("a string without text"))?;
    limit("bytes of a string", text.len(), MAX_STRING_BYTES)?;
    Ok(text.to_owned())
}

fn items<'a, T, U>(items: Option<Vector<'a, T>>, convert: impl Fn(T::Inner) -> U) -> Result<Vec<U>>
where
    T: flatbuffers::Follow<'a> + 'a,
{
    let Some(items) = items else {
        return Ok(Vec::new());
    };
    limit("items", items.len(), MAX_LIST)?;
    Ok(items.iter().map(convert).collect())
}

fn ids(
    items: Option<Vector<'_, i32>>,
    count: usize,
    what: &str,
    max: usize,
) -> Result<Vec<ValueId>> {
    let Some(items) = items else {
        return Ok(Vec::new());
    };
    limit(what, items.len(), max)?;
    items
        .iter()
        .enumerate()
        .map(|(i, id)| value_id(id.into(), count).map_err(|e| e.context(format!("{what}[{i}]"))))
        .collect()
}

fn value_id(id: i64, count: usize) -> Result<ValueId> {
    u32::try_from(id)
        .ok()
        .filter(|&id| index(id).is_some_and(|i| i < count))
        .map(ValueId)
        .ok_or_else(|| Error::blob(format!("value %{id} does not exist, there are {count}")))
}

/// Inputs or outputs, each of a kind that `allowed` accepts.
fn ports(
    items: Option<Vector<'_, u32>>,
    values: &[Value],
    what: &str,
    allowed: impl Fn(&Value) -> bool,
) -> Result<Vec<ValueId>> {
    let Some(items) = items else {
        return Ok(Vec::new());
    };
    limit(&format!("{what}s"), items.len(), MAX_PORTS)?;
    let port = |number: u32| {
        let id = value_id(number.into(), values.len())?;
        match index(id.0).and_then(|i| values.get(i)) {
            Some(value) if allowed(value) => Ok(id),
            Some(Value::Tensor(_)) => Err(Error::blob(format!("value {id} is a constant tensor"))),
            Some(value) => Err(Error::blob(format!("value {id} is {}", value.kind()))),
            None => Err(Error::internal(format!("value {id} went missing"))),
        }
    };
    items
        .iter()
        .enumerate()
        .map(|(i, id)| port(id).map_err(|e| e.context(format!("{what} {i}"))))
        .collect()
}

/// Lists hold single values only: so no list can contain itself, and readers need no recursion.
fn check_lists(values: &[Value]) -> Result<()> {
    for (list, value) in values.iter().enumerate() {
        let Value::List(items) = value else { continue };
        for id in items {
            let item = index(id.0).and_then(|i| values.get(i));
            if let Some(
                item @ (Value::List(_) | Value::Ints(_) | Value::Doubles(_) | Value::Bools(_)),
            ) = item
            {
                let kind = item.kind();
                return Err(Error::blob(format!(
                    "value %{list}: its item {id} is {kind}"
                )));
            }
        }
    }
    Ok(())
}

/// Items of all lists that are arguments.
fn listed(values: &[Value], nodes: &[Node]) -> usize {
    let items = |id: &ValueId| match index(id.0).and_then(|i| values.get(i)) {
        Some(Value::List(items)) => items.len(),
        Some(Value::Ints(items)) => items.len(),
        Some(Value::Doubles(items)) => items.len(),
        Some(Value::Bools(items)) => items.len(),
        _ => 0,
    };
    let args = nodes.iter().flat_map(|node| &node.args);
    args.map(items).fold(0, usize::saturating_add)
}

fn collect<'a, T, U>(
    items: Option<Vector<'a, ForwardsUOffset<T>>>,
    what: &str,
    max: usize,
    convert: impl Fn(usize, T::Inner) -> Result<U>,
) -> Result<Vec<U>>
where
    T: flatbuffers::Follow<'a> + 'a,
{
    let Some(items) = items else {
        return Ok(Vec::new());
    };
    limit(what, items.len(), max)?;
    items
        .iter()
        .enumerate()
        .map(|(i, item)| convert(i, item))
        .collect()
}
