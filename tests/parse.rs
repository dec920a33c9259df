//! Blobs to graphs: every kind of value, and what the format leaves to defaults.

#[path = "common/blob.rs"]
mod blob;
#[path = "parse/constants.rs"]
mod constants;
#[path = "parse/malformed.rs"]
mod malformed;

use blob::{assemble, wire, Conv, GraphBuilder, GRAPH_OFFSET};
use etvk::base::error::{Error, ErrorKind};
use etvk::core::graph::{ConstantId, ConstantSource, Graph, TensorSpec, Value, ValueId};
use etvk::core::parse::parse;
use etvk::core::tensor::DType;
use flatbuffers::{FlatBufferBuilder, WIPOffset};

const DTYPES: [DType; 8] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::I32,
    DType::I64,
    DType::F16,
    DType::F32,
    DType::F64,
];

/// A graph with every kind of value, every way to keep a constant, and a convolution.
fn sample() -> GraphBuilder {
    let mut b = GraphBuilder::new();
    let w = b.constant_f32(&[4, 3, 3, 3], &[0.5; 108]);
    let bias = b.named(DType::F32, &[4], "0a1b", 16);
    b.constant_from(DType::F32, &[0], ConstantSource::Empty);
    let x = b.input(DType::F32, &[1, 3, 6, 7]);
    let n = b.sym_int(6);
    b.graph.inputs.push(n);
    let y = b.conv2d(
        x,
        w,
        Some(bias),
        &Conv {
            padding: [1, 1],
            ..Conv::default()
        },
    );
    let parts = [
        b.tensor(DType::F32, &[1, 2, 6, 7]),
        b.tensor(DType::F32, &[1, 2, 6, 7]),
    ];
    let (sizes, dim) = (b.ints(&[2, 2]), b.int(1));
    let list = b.list(&parts);
    b.node("aten.split_with_sizes_copy.default", &[y, sizes, dim, list]);
    b.output(parts[0]).output(parts[1]).output(n).output(dim);
    b.none();
    b.int(i64::MIN);
    b.double(1e-5);
    b.double(f64::MAX);
    b.bool(true);
    b.ints(&[]);
    b.ints(&[i64::MAX, -1]);
    b.doubles(&[0.5, -2.0]);
    b.bools(&[true, false, true]);
    b.list(&[]);
    b.list(&[n, dim]);
    b.string("trunc");
    b.string("");
    b.staged(DType::F16, DType::F32, &[]);
    b
}

/// `graph` as the parser gives it: inline data counted from the start of `blob`.
fn in_blob(mut graph: Graph, blob: &[u8]) -> Graph {
    let data = u32::from_le_bytes(blob[18..22].try_into().expect("4 bytes"));
    for source in &mut graph.constants {
        if let ConstantSource::Inline { offset_bytes, .. } = source {
            *offset_bytes += data as usize;
        }
    }
    graph
}

fn refused(blob: &[u8], words: &[&str]) -> Error {
    let error = parse(blob).expect_err("must be refused");
    assert_eq!(error.kind, ErrorKind::InvalidBlob, "{error}");
    for word in words {
        assert!(error.message.contains(word), "{word:?} is not in: {error}");
    }
    error
}

fn unsupported(blob: &[u8], words: &[&str]) {
    let error = parse(blob).expect_err("must be refused");
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    for word in words {
        assert!(error.message.contains(word), "{word:?} is not in: {error}");
    }
}

/// A blob whose only content is the values that `write` makes, one constant (`offset`, `length`,
/// `key`) and 32 bytes of data.
fn raw<F>(constant: (u64, u64, Option<&str>), write: F) -> Vec<u8>
where
    F: for<'a> FnOnce(&mut FlatBufferBuilder<'a>) -> Vec<WIPOffset<wire::Value<'a>>>,
{
    let mut fbb = FlatBufferBuilder::new();
    let values = write(&mut fbb);
    let (offset, length, key) = constant;
    let key = key.map(|k| fbb.create_string(k));
    let constant = wire::Bytes::create(
        &mut fbb,
        &wire::BytesArgs {
            offset,
            length,
            key,
        },
    );
    let args = wire::GraphArgs {
        values: Some(fbb.create_vector(&values)),
        constants: Some(fbb.create_vector(&[constant])),
        ..Default::default()
    };
    let root = wire::Graph::create(&mut fbb, &args);
    wire::finish_graph_buffer(&mut fbb, root);
    assemble(fbb.finished_data(), &[7; 32])
}

fn raw_value<'a, T>(
    fbb: &mut FlatBufferBuilder<'a>,
    payload_type: wire::Payload,
    content: WIPOffset<T>,
) -> WIPOffset<wire::Value<'a>> {
    let payload = Some(content.as_union_value());
    wire::Value::create(
        fbb,
        &wire::ValueArgs {
            payload_type,
            payload,
        },
    )
}

/// A scalar tensor with every field absent but those that `edit` sets.
fn raw_tensor(edit: impl FnOnce(&mut wire::TensorValueArgs<'_>)) -> Vec<u8> {
    raw((0, 4, None), |fbb| {
        let mut args = wire::TensorValueArgs::default();
        edit(&mut args);
        let tensor = wire::TensorValue::create(fbb, &args);
        vec![raw_value(fbb, wire::Payload::TensorValue, tensor)]
    })
}

fn only_tensor(blob: &[u8]) -> TensorSpec {
    let graph = parse(blob).expect("valid");
    graph.tensor(ValueId(0)).expect("a tensor").clone()
}

#[test]
fn every_kind_of_value_comes_back() {
    let builder = sample();
    let blob = builder.build();
    assert_eq!(parse(&blob).expect("valid"), in_blob(builder.graph, &blob));
}

#[test]
fn every_dtype_comes_back_on_both_sides() {
    for dtype in DTYPES {
        for host in DTYPES {
            let mut b = GraphBuilder::new();
            b.staged(dtype, host, &[2, 3]);
            let spec = only_tensor(&b.build());
            assert_eq!((spec.dtype, spec.host_dtype), (dtype, host));
        }
    }
}

#[test]
fn an_empty_graph_is_a_graph() {
    assert_eq!(
        parse(&GraphBuilder::new().build()).expect("valid"),
        Graph::default()
    );
    let mut fbb = FlatBufferBuilder::new();
    let root = wire::Graph::create(&mut fbb, &wire::GraphArgs::default());
    wire::finish_graph_buffer(&mut fbb, root);
    assert_eq!(
        parse(&assemble(fbb.finished_data(), &[])).expect("valid"),
        Graph::default()
    );
}

#[test]
fn absent_fields_of_a_tensor_mean_bool_and_constant_0() {
    let blob = raw_tensor(|_| ());
    let root = wire::root_as_graph(&blob[GRAPH_OFFSET..]).expect("verified");
    let tensor = root
        .values()
        .expect("values")
        .get(0)
        .payload_as_tensor_value()
        .expect("tensor");
    let vtable = tensor._tab.vtable();
    assert_eq!(
        vtable.num_fields(),
        0,
        "the builder wrote a default, so this tests nothing"
    );
    let want = TensorSpec {
        dtype: DType::Bool,
        host_dtype: DType::Bool,
        dims: vec![],
        constant: Some(ConstantId(0)),
    };
    assert_eq!(only_tensor(&blob), want);
}

#[test]
fn negative_constant_ids_mean_none() {
    for constant in [-1, -2, i32::MIN] {
        assert_eq!(
            only_tensor(&raw_tensor(|t| t.constant = constant)).constant,
            None
        );
    }
}

#[test]
fn constant_ids_are_checked() {
    for constant in [1, i32::MAX] {
        let blob = raw_tensor(|t| t.constant = constant);
        refused(
            &blob,
            &["value %0", &format!("constant {constant} does not exist")],
        );
    }
}

#[test]
fn unset_is_a_dtype_for_staging_only() {
    let staging = raw_tensor(|t| {
        t.element_type = wire::ElementType::F16;
        t.host_element_type = wire::ElementType::UNSET;
    });
    assert_eq!(only_tensor(&staging).host_dtype, DType::F16);
    let own = raw_tensor(|t| t.element_type = wire::ElementType::UNSET);
    refused(&own, &["value %0", "unknown dtype 127"]);
}

#[test]
fn unknown_dtypes_are_refused() {
    for number in [8, 126, -1, i8::MIN] {
        let own = raw_tensor(|t| t.element_type = wire::ElementType(number));
        refused(&own, &["value %0", &format!("unknown dtype {number}")]);
        let staging = raw_tensor(|t| t.host_element_type = wire::ElementType(number));
        refused(
            &staging,
            &["value %0", &format!("unknown staging dtype {number}")],
        );
    }
}

#[test]
fn hints_of_another_runtime_are_not_read() {
    only_tensor(&raw_tensor(|t| {
        t.storage = wire::StorageHint(77);
        t.layout = wire::LayoutHint(7);
        t.memory_object = i32::MIN;
    }));
}

#[test]
fn the_exporter_leaves_empty_lists_unaligned() {
    // Elements follow a 4-aligned length: at an odd multiple of 4 for one of two paddings.
    let mut odd = 0;
    for padding in 0..2 {
        let blob = raw((0, 4, None), |fbb| {
            if padding == 1 {
                fbb.create_vector::<u32>(&[]);
            }
            let items = Some(WIPOffset::new(fbb.create_vector::<u32>(&[]).value()));
            let list = wire::IntList::create(fbb, &wire::IntListArgs { items });
            vec![raw_value(fbb, wire::Payload::IntList, list)]
        });
        let root = wire::root_as_graph(&blob[GRAPH_OFFSET..]).expect("verified");
        let list = root
            .values()
            .expect("values")
            .get(0)
            .payload_as_int_list()
            .expect("list");
        let items = list.items().expect("items").bytes().as_ptr() as usize;
        odd += (items - blob.as_ptr() as usize - GRAPH_OFFSET) / 4 % 2;
        assert_eq!(parse(&blob).expect("valid").values, [Value::Ints(vec![])]);
    }
    assert_eq!(odd, 1, "no list was unaligned, so this tests nothing");
}

#[test]
fn kinds_and_contents_of_values_are_checked() {
    let value = |kind: u8, content: bool| {
        raw((0, 4, None), |fbb| {
            let none = wire::NoneValue::create(fbb, &wire::NoneValueArgs {}).as_union_value();
            let payload = content.then_some(none);
            let payload_type = wire::Payload(kind);
            vec![wire::Value::create(
                fbb,
                &wire::ValueArgs {
                    payload_type,
                    payload,
                },
            )]
        })
    };
    assert_eq!(parse(&value(1, true)).expect("valid").values, [Value::None]);
    refused(&value(0, false), &["value %0", "no kind"]);
    refused(&value(0, true), &["payload"]);
    refused(&value(12, true), &["value %0", "unknown kind of value 12"]);
    refused(
        &value(255, true),
        &["value %0", "unknown kind of value 255"],
    );
    for kind in 1..=12 {
        refused(&value(kind, false), &["payload"]);
    }
    let no_text = raw((0, 4, None), |fbb| {
        let string = wire::StringValue::create(fbb, &wire::StringValueArgs { text: None });
        vec![raw_value(fbb, wire::Payload::StringValue, string)]
    });
    refused(&no_text, &["value %0", "without text"]);
}
