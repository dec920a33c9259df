//! Blobs that must be refused: ids, kinds, limits, truncation, corruption, hostile sizes.

use super::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MISSING: [ValueId; 3] = [ValueId(5), ValueId(u32::MAX), ValueId(i32::MAX as u32)];

/// Five values: tensor, int, int list, list, constant.
fn small() -> GraphBuilder {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, &[4]);
    let n = b.int(1);
    b.ints(&[1, 2]);
    b.list(&[x, n]);
    b.constant_f32(&[1], &[1.0]);
    b.node("aten.relu.default", &[x, x]);
    b.output(x);
    b
}

#[test]
fn ids_are_checked_everywhere() {
    assert!(parse(&small().build()).is_ok());
    for id in MISSING {
        let mut b = small();
        b.graph.nodes[0].args[1] = id;
        refused(
            &b.build(),
            &["call 0", "node 0 (aten.relu.default)", "arguments[1]", "5"],
        );
        let mut b = small();
        b.graph.inputs[0] = id;
        refused(&b.build(), &["input 0", "does not exist"]);
        let mut b = small();
        b.graph.outputs[0] = id;
        refused(&b.build(), &["output 0", "does not exist"]);
        let mut b = small();
        b.graph.values[3] = Value::List(vec![ValueId(0), id]);
        refused(&b.build(), &["value %3", "items[1]", "does not exist"]);
    }
}

#[test]
fn lists_do_not_nest() {
    for inner in 2..4 {
        let mut b = small();
        b.list(&[ValueId(0), ValueId(inner)]);
        refused(&b.build(), &["value %5", &format!("%{inner}")]);
    }
    let mut b = small();
    b.graph.values[3] = Value::List(vec![ValueId(3)]);
    refused(&b.build(), &["value %3", "item %3"]);
}

#[test]
fn ports_are_of_kinds_that_a_host_has() {
    for (id, words) in [
        (1, "int"),
        (2, "int list"),
        (3, "value list"),
        (4, "constant"),
    ] {
        let mut b = small();
        b.graph.inputs.push(ValueId(id));
        refused(&b.build(), &["input 1", &format!("%{id}"), words]);
    }
    for (id, words) in [(2, "int list"), (3, "value list")] {
        let mut b = small();
        b.graph.outputs.push(ValueId(id));
        refused(&b.build(), &["output 1", &format!("%{id}"), words]);
    }
    for id in [1, 4] {
        let mut b = small();
        b.graph.outputs.push(ValueId(id));
        assert!(parse(&b.build()).is_ok(), "output %{id}");
    }
}

#[test]
fn operators_have_names() {
    let mut b = small();
    b.node("", &[]);
    refused(&b.build(), &["call 1", "no name"]);
}

#[test]
fn limits_are_stated() {
    let mut b = small();
    b.tensor(DType::F32, &[1; 8]);
    assert!(parse(&b.build()).is_ok());
    b.tensor(DType::F32, &[1; 9]);
    unsupported(&b.build(), &["value %6", "9 dims", "limit is 8"]);
    let mut b = small();
    b.node("aten.cat.default", &[ValueId(0); 1025]);
    unsupported(
        &b.build(),
        &[
            "call 1",
            "aten.cat.default",
            "1025 arguments",
            "limit is 1024",
        ],
    );
    let mut b = small();
    b.node(&"a".repeat(257), &[]);
    unsupported(&b.build(), &["call 1", "257 bytes", "limit is 256"]);
    let mut b = small();
    b.string(&"a".repeat((1 << 16) + 1));
    unsupported(&b.build(), &["value %5", "65537 bytes", "limit is 65536"]);
    let mut b = small();
    b.bools(&vec![false; (1 << 20) + 1]);
    unsupported(
        &b.build(),
        &["value %5", "1048577 items", "limit is 1048576"],
    );
}

#[test]
fn identifier_is_checked() {
    let mut blob = small().build();
    blob[GRAPH_OFFSET + 7] = b'1';
    refused(&blob, &["byte 36", "VK01", "VK00"]);
    blob[14..18].copy_from_slice(&7u32.to_le_bytes());
    refused(&blob, &["byte 36"]);
}

#[test]
fn messages_of_the_verifier_are_one_line_with_the_offset() {
    let mut blob = small().build();
    blob[GRAPH_OFFSET..GRAPH_OFFSET + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = refused(&blob, &["byte 32"]);
    assert!(!error.message.contains('\n'), "{error}");
}

#[test]
fn every_truncation_is_refused() {
    let blob = sample().build();
    for len in 0..blob.len() {
        // The header states all sizes, so only the padding at the end can go unnoticed.
        let data = &blob[18..30];
        let start = u32::from_le_bytes(data[..4].try_into().expect("4 bytes")) as usize;
        let size = u64::from_le_bytes(data[4..].try_into().expect("8 bytes")) as usize;
        match parse(&blob[..len]) {
            Ok(_) => assert!(
                len >= start + size,
                "{len} of {} bytes were accepted",
                blob.len()
            ),
            Err(error) => assert_eq!(error.kind, ErrorKind::InvalidBlob, "{len} bytes: {error}"),
        }
    }
}

/// Parses `blob`; any answer but a graph or one of the two refusals fails.
fn survives(blob: &[u8], what: impl Fn() -> String) {
    if let Err(error) = parse(blob) {
        assert!(
            matches!(error.kind, ErrorKind::InvalidBlob | ErrorKind::Unsupported),
            "{}: {:?}: {error}",
            what(),
            error.kind
        );
    }
}

#[test]
fn every_byte_may_be_anything() {
    let mut blob = sample().build();
    for at in 0..blob.len() {
        let good = blob[at];
        for bad in (0..=u8::MAX).filter(|&b| b != good) {
            blob[at] = bad;
            survives(&blob, || format!("byte {at} = {bad}"));
        }
        blob[at] = good;
    }
}

#[test]
fn every_word_may_be_a_hostile_count() {
    let mut blob = sample().build();
    for at in (0..blob.len() - 4).step_by(2) {
        let good: [u8; 4] = blob[at..at + 4].try_into().expect("4 bytes");
        for bad in [
            0,
            0xFF,
            0xFFFF,
            1 << 20,
            1 << 24,
            1 << 28,
            1 << 30,
            i32::MAX as u32,
            1 << 31,
            u32::MAX - 3,
            u32::MAX,
        ] {
            blob[at..at + 4].copy_from_slice(&bad.to_le_bytes());
            survives(&blob, || format!("bytes {at}.. = {bad}"));
        }
        blob[at..at + 4].copy_from_slice(&good);
    }
}

#[test]
fn a_table_repeated_many_times_is_refused_early() {
    // Expanded, 2^17 lists of 2^14 items are 16 GiB.
    let blob = raw((0, 4, None), |fbb| {
        let items = Some(fbb.create_vector(&vec![wire::Word([0; 8]); 1 << 14]));
        let list = wire::IntList::create(fbb, &wire::IntListArgs { items });
        vec![raw_value(fbb, wire::Payload::IntList, list); 1 << 17]
    });
    let start = Instant::now();
    refused(&blob, &["byte 32", "Apparent size"]);
    // Expansion takes minutes; a refusal takes milliseconds.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "took {:?}",
        start.elapsed()
    );
}

/// Folder of stock programs: `ETVK_CASES`, else beside the repository.
fn cases() -> Option<PathBuf> {
    let folder = std::env::var_os("ETVK_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

#[test]
fn stock_programs_parse() {
    let Some(folder) = cases() else {
        eprintln!("skipped: no stock programs; ETVK_CASES names their folder");
        return;
    };
    let (mut programs, mut blobs) = (0, 0);
    for entry in std::fs::read_dir(&folder).expect("the folder lists") {
        let path = entry.expect("an entry").path().join("model.pte");
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        programs += 1;
        for at in bytes
            .windows(4)
            .enumerate()
            .filter(|(_, w)| w == b"VH00")
            .map(|(i, _)| i)
        {
            // The blob's own sizes end it: what follows in the file does not matter.
            let blob = &bytes[at - 4..];
            let graph = parse(blob).unwrap_or_else(|e| panic!("{} at {at}: {e}", path.display()));
            assert!(
                !graph.nodes.is_empty(),
                "{} at {at}: no nodes",
                path.display()
            );
            let named = graph.constants.iter().filter(
                |source| matches!(source, ConstantSource::Named { key, .. } if key.len() == 64),
            );
            assert_eq!(
                named.count(),
                graph.constants.len(),
                "{} at {at}",
                path.display()
            );
            blobs += 1;
        }
    }
    assert!(
        blobs > 0,
        "{programs} programs in {} have no blob",
        folder.display()
    );
    eprintln!("{blobs} blobs of {programs} programs");
}
