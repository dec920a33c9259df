//! Valid programs to start from: the calls of `corpus/ops.txt`, and the delegates of stock programs.

use super::blob::GraphBuilder;
use etvk::core::graph::{ConstantSource, Graph, ValueId};
use etvk::core::parse::parse;
use etvk::core::tensor::DType;
use std::path::{Path, PathBuf};

/// A program and where it comes from.
#[derive(Clone)]
pub(super) struct Seed {
    pub(super) name: String,
    /// As bytes.
    pub(super) blob: Vec<u8>,
    /// As a graph, for the mutations that need to know what is what.
    pub(super) graph: GraphBuilder,
}

const OPS: &str = include_str!("corpus/ops.txt");

/// Every seed; the order never changes for the same files.
pub(super) fn all() -> Vec<Seed> {
    let mut seeds = calls();
    for folder in folders() {
        seeds.extend(stock(&folder));
    }
    seeds
}

/// One graph per operator and line of the corpus.
pub(super) fn calls() -> Vec<Seed> {
    let lines = OPS.lines().filter(|line| !line.starts_with('#'));
    lines
        .flat_map(|line| {
            let (names, rest) = line.split_once(' ').expect("names, arguments");
            names.split(',').map(move |name| (name, rest))
        })
        .map(|(name, rest)| {
            let graph = call(name, rest);
            Seed {
                name: name.to_owned(),
                blob: graph.build(),
                graph,
            }
        })
        .collect()
}

fn call(name: &str, rest: &str) -> GraphBuilder {
    let (args, results) = rest.split_once("->").expect("an arrow");
    let mut b = GraphBuilder::new();
    let mut ids: Vec<ValueId> = args.split_whitespace().map(|s| arg(&mut b, s)).collect();
    let results = results.split_whitespace();
    let outs: Vec<ValueId> = results.map(|s| result(&mut b, s)).collect();
    b.graph.outputs.extend(&outs);
    ids.push(match outs.as_slice() {
        [one] => *one,
        several => b.list(several),
    });
    b.node(name, &ids);
    b
}

/// `f:2x3` as type and dims.
fn typed(text: &str) -> (DType, Vec<u32>) {
    let (kind, dims) = text.split_once(':').expect("type:dims");
    let dtype = match kind {
        "f" => DType::F32,
        "h" => DType::F16,
        "i" => DType::I32,
        "l" => DType::I64,
        "c" => DType::I8,
        "u" => DType::U8,
        "b" => DType::Bool,
        other => panic!("type {other:?}"),
    };
    let dims = dims.split('x').filter(|d| !d.is_empty());
    (dtype, dims.map(|d| d.parse().expect("a dim")).collect())
}

fn result(b: &mut GraphBuilder, text: &str) -> ValueId {
    match text.strip_prefix('$') {
        Some(n) => b.sym_int(n.parse().expect("a number")),
        None => {
            let (dtype, dims) = typed(text);
            b.tensor(dtype, &dims)
        }
    }
}

fn arg(b: &mut GraphBuilder, text: &str) -> ValueId {
    let inner = || &text[1..text.len() - 1];
    let items = || inner().split(',').filter(|s| !s.is_empty());
    match text.as_bytes()[0] {
        b'-' => b.none(),
        b't' => b.bool(true),
        b'f' if text == "false" => b.bool(false),
        b'#' => b.int(text[1..].parse().expect("an int")),
        b'~' => b.double(text[1..].parse().expect("a double")),
        b'\'' => b.string(inner()),
        b'[' => {
            let list: Vec<i64> = items().map(|s| s.parse().expect("an int")).collect();
            b.ints(&list)
        }
        b'(' => {
            let list: Vec<f64> = items().map(|s| s.parse().expect("a double")).collect();
            b.doubles(&list)
        }
        b'{' => {
            let list: Vec<ValueId> = items().map(|s| arg(b, s)).collect();
            b.list(&list)
        }
        b'$' => {
            let id = b.sym_int(text[1..].parse().expect("an int"));
            b.graph.inputs.push(id);
            id
        }
        b'=' => {
            let (dtype, dims) = typed(&text[1..]);
            let count: u64 = dims.iter().map(|&d| u64::from(d)).product();
            // Small positive numbers in every type.
            let bytes: Vec<u8> = match dtype {
                DType::F32 => vec![0, 0, 0, 0x3E],
                DType::F16 => vec![0, 0x30],
                DType::I32 => vec![1, 0, 0, 0],
                _ => vec![1; dtype.size_bytes() as usize],
            };
            b.constant(dtype, &dims, &bytes.repeat(count as usize))
        }
        _ => {
            let (dtype, dims) = typed(text);
            b.input(dtype, &dims)
        }
    }
}

/// Folders of stock programs: those of the repository, and `ETVK_CASES` or what lies beside it.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = std::env::var_os("ETVK_CASES").map_or(root.join("../shared/cases"), PathBuf::from);
    vec![root.join("tests/models"), cases]
}

/// Every delegate of every `model.pte` under `folder`: found by the magic of its header.
fn stock(folder: &Path) -> Vec<Seed> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let mut seeds = Vec::new();
    for path in paths {
        let Ok(bytes) = std::fs::read(path.join("model.pte")) else {
            continue;
        };
        for at in (4..bytes.len()).filter(|&at| bytes[at..].starts_with(b"VH00")) {
            seeds.extend(delegate(&bytes[at - 4..]).map(|(blob, graph)| Seed {
                name: format!("{} at byte {}", path.display(), at - 4),
                blob,
                graph,
            }));
        }
    }
    seeds
}

/// The blob that `bytes` start with, cut to its size.
fn delegate(bytes: &[u8]) -> Option<(Vec<u8>, GraphBuilder)> {
    let word = |at: usize| {
        bytes
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
    };
    let end = word(18)?.checked_add(word(22)?)?;
    let blob = bytes.get(..usize::try_from(end).ok()?)?.to_vec();
    let graph = parse(&blob).ok()?;
    Some((blob.clone(), editable(graph, &blob)))
}

/// `graph` with the bytes of its inline constants; a graph says where they are in the blob.
pub(super) fn editable(mut graph: Graph, blob: &[u8]) -> GraphBuilder {
    let mut data = Vec::new();
    for source in &mut graph.constants {
        let ConstantSource::Inline {
            offset_bytes,
            size_bytes,
        } = source
        else {
            continue;
        };
        let bytes = &blob[*offset_bytes..*offset_bytes + *size_bytes];
        *offset_bytes = data.len();
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(16), 0);
    }
    GraphBuilder { graph, data }
}
