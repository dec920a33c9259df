//! The committed flatbuffer code is what `flatc` makes of the schema, and the wire is frozen.

#[path = "common/blob/write.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "only the generated code is of interest here"
)]
mod write;

use flatbuffers::{FlatBufferBuilder, VOffsetT};
use std::path::{Path, PathBuf};
use std::process::Command;
use write::wire;

/// The release that made the committed code: the one of the `flatbuffers` crate.
const FLATC_VERSION: &str = "flatc version 25.12.19";

/// `ETVK_FLATC`, else an executable of that name somewhere under `.deps/flatc`.
fn flatc() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ETVK_FLATC") {
        return Some(path.into());
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/flatc")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("bin/flatc") {
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn generated_code_is_up_to_date() {
    let Some(flatc) = flatc() else {
        eprintln!("skipped: no flatc in .deps/flatc, and ETVK_FLATC is not set");
        return;
    };
    let version = Command::new(&flatc).arg("--version").output();
    let version = version.unwrap_or_else(|e| panic!("{}: {e}", flatc.display()));
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    assert_eq!(
        version,
        FLATC_VERSION,
        "{} is another release",
        flatc.display()
    );

    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema");
    std::fs::create_dir_all(&fresh).expect("a folder for the output");
    let status = Command::new(&flatc)
        .args(["--rust", "-o"])
        .args([&fresh, &schema.join("graph.fbs")])
        .status()
        .expect("flatc runs");
    assert!(status.success(), "flatc refuses the schema");
    let read = |folder: &Path| {
        std::fs::read(folder.join("graph_generated.rs")).expect("generated code is readable")
    };
    assert!(
        read(&fresh) == read(&schema),
        "schema/graph_generated.rs is stale: flatc --rust -o schema schema/graph.fbs"
    );
}

/// Field `n` of a table, counted from 0, as its vtable counts.
const fn slot(n: VOffsetT) -> VOffsetT {
    4 + 2 * n
}

#[test]
fn positions_are_frozen() {
    use wire::*;
    assert_eq!(GRAPH_IDENTIFIER, "VK00");
    let tables: [(&str, &[VOffsetT]); 8] = [
        (
            "Graph",
            &[
                Graph::VT_VERSION,
                Graph::VT_CALLS,
                Graph::VT_VALUES,
                Graph::VT_INPUTS,
                Graph::VT_OUTPUTS,
                Graph::VT_CONSTANTS,
                Graph::VT_SHADERS,
                Graph::VT_STORAGE_OVERRIDE,
                Graph::VT_LAYOUT_OVERRIDE,
            ],
        ),
        ("Call", &[Call::VT_NODE_ID, Call::VT_NAME, Call::VT_ARGS]),
        ("Value", &[Value::VT_PAYLOAD_TYPE, Value::VT_PAYLOAD]),
        (
            "TensorValue",
            &[
                TensorValue::VT_ELEMENT_TYPE,
                TensorValue::VT_DIMS,
                TensorValue::VT_CONSTANT,
                TensorValue::VT_MEMORY_OBJECT,
                TensorValue::VT_STORAGE,
                TensorValue::VT_LAYOUT,
                TensorValue::VT_HOST_ELEMENT_TYPE,
            ],
        ),
        (
            "Bytes",
            &[Bytes::VT_OFFSET, Bytes::VT_LENGTH, Bytes::VT_KEY],
        ),
        ("numbers", &[IntValue::VT_NUMBER]),
        ("strings", &[StringValue::VT_TEXT]),
        ("lists", &[ValueList::VT_ITEMS]),
    ];
    for (table, fields) in tables {
        let want: Vec<VOffsetT> = (0..).map(slot).take(fields.len()).collect();
        assert_eq!(fields, want, "{table}");
    }
}

#[test]
fn numbers_are_frozen() {
    use wire::{ElementType, LayoutHint, Payload, StorageHint};
    let kinds = Payload::ENUM_VALUES
        .iter()
        .map(|k| (k.0, k.variant_name().unwrap_or_default()));
    let want = [
        "NONE",
        "NoneValue",
        "IntValue",
        "DoubleValue",
        "BoolValue",
        "TensorValue",
        "IntList",
        "DoubleList",
        "BoolList",
        "ValueList",
        "StringValue",
        "SymbolicInt",
    ];
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        (0..).zip(want).collect::<Vec<_>>()
    );
    let types = ElementType::ENUM_VALUES
        .iter()
        .map(|t| (t.0, t.variant_name().unwrap_or_default()));
    let want = [
        (0, "BOOL"),
        (1, "U8"),
        (2, "I8"),
        (3, "I32"),
        (4, "F16"),
        (5, "F32"),
        (6, "F64"),
        (7, "I64"),
        (127, "UNSET"),
    ];
    assert_eq!(types.collect::<Vec<_>>(), want);
    let numbers: Vec<u8> = StorageHint::ENUM_VALUES.iter().map(|s| s.0).collect();
    assert_eq!(numbers, [0, 1, 2, 255]);
    let numbers: Vec<u8> = LayoutHint::ENUM_VALUES.iter().map(|l| l.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 8, 9, 255]);
}

#[test]
fn defaults_are_frozen() {
    let mut fbb = FlatBufferBuilder::new();
    let start = fbb.start_table();
    let empty = fbb.end_table(start);
    fbb.finish_minimal(empty);
    let bytes = fbb.finished_data();
    let tensor = flatbuffers::root::<wire::TensorValue<'_>>(bytes).expect("verified");
    assert_eq!(tensor.element_type(), wire::ElementType::BOOL);
    assert!(tensor.dims().is_none());
    assert_eq!((tensor.constant(), tensor.memory_object()), (0, 0));
    assert_eq!((tensor.storage().0, tensor.layout().0), (255, 255));
    assert_eq!(tensor.host_element_type().0, 127);

    let region = flatbuffers::root::<wire::Bytes<'_>>(bytes).expect("verified");
    assert_eq!(
        (region.offset(), region.length(), region.key()),
        (0, 0, None)
    );
    let call = flatbuffers::root::<wire::Call<'_>>(bytes).expect("verified");
    assert_eq!((call.node_id(), call.name()), (0, None));
    let value = flatbuffers::root::<wire::Value<'_>>(bytes).expect("verified");
    assert_eq!(value.payload_type(), wire::Payload::NONE);
    let int = flatbuffers::root::<wire::IntValue<'_>>(bytes).expect("verified");
    assert_eq!(int.number(), 0);
    let double = flatbuffers::root::<wire::DoubleValue<'_>>(bytes).expect("verified");
    assert_eq!(double.number(), 0.0);
    let flag = flatbuffers::root::<wire::BoolValue<'_>>(bytes).expect("verified");
    assert!(!flag.flag());
    let symbolic = flatbuffers::root::<wire::SymbolicInt<'_>>(bytes).expect("verified");
    assert_eq!(symbolic.bound(), 0);
    let graph = flatbuffers::root::<wire::Graph<'_>>(bytes).expect("verified");
    assert_eq!(
        (graph.storage_override().0, graph.layout_override().0),
        (255, 255)
    );
}

#[test]
fn words_are_eight_aligned_bytes() {
    assert_eq!(std::mem::size_of::<wire::Word>(), 8);
    let mut fbb = FlatBufferBuilder::new();
    fbb.create_vector(&[0u32; 2]);
    let items = Some(fbb.create_vector(&[wire::Word(7i64.to_le_bytes())]));
    let list = wire::IntList::create(&mut fbb, &wire::IntListArgs { items });
    fbb.finish_minimal(list);
    let bytes = fbb.finished_data();
    let list = flatbuffers::root::<wire::IntList<'_>>(bytes).expect("verified");
    let items = list.items().expect("items").bytes();
    assert_eq!(items, 7i64.to_le_bytes());
    assert_eq!((items.as_ptr() as usize - bytes.as_ptr() as usize) % 8, 0);
}
