//! Hostile variants of valid programs, from a seed alone.

use super::blob::{assemble, flatbuffer, GraphBuilder};
use super::random::Random;
use super::seeds::Seed;
use etvk::core::graph::{ConstantId, ConstantSource, Node, Value, ValueId};
use etvk::core::tensor::DType;
use etvk::ops::table::OPS;

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

const INTS: [i64; 26] = [
    0,
    1,
    -1,
    2,
    3,
    -2,
    7,
    16,
    255,
    256,
    4097,
    65_535,
    65_536,
    1 << 20,
    i32::MAX as i64 - 1,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    i32::MIN as i64,
    i32::MIN as i64 - 1,
    u32::MAX as i64,
    u32::MAX as i64 + 1,
    1 << 40,
    i64::MAX,
    i64::MAX - 1,
    i64::MIN,
    i64::MIN + 1,
];

const DOUBLES: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-310,
    1e-30,
    1e30,
    -1e300,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    9e15,
];

const DIMS: [u32; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    13,
    16,
    17,
    64,
    255,
    1021,
    4096,
    65_535,
    65_536,
    1 << 20,
    i32::MAX as u32,
    1 << 31,
    u32::MAX - 1,
    u32::MAX,
];

pub(super) fn pick<T: Copy>(r: &mut Random, all: &[T]) -> T {
    all[r.int(0, all.len() as i64 - 1) as usize]
}

/// An index into `count` things, if there are any.
fn at(r: &mut Random, count: usize) -> Option<usize> {
    (count > 0).then(|| r.int(0, count as i64 - 1) as usize)
}

pub(super) fn chance(r: &mut Random, percent: i64) -> bool {
    r.int(0, 99) < percent
}

/// A dim: small more often than absurd, so that programs stay compilable now and then.
pub(super) fn dim(r: &mut Random, old: u32) -> u32 {
    match r.int(0, 9) {
        0..=3 => pick(r, &DIMS[..12]),
        4..=5 => pick(r, &DIMS),
        6 => old.wrapping_add(1),
        7 => old.wrapping_sub(1),
        8 => old.wrapping_mul(2),
        _ => old / 2,
    }
}

pub(super) fn int(r: &mut Random, old: i64) -> i64 {
    match r.int(0, 4) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => pick(r, &INTS[..9]),
        3 => old.wrapping_neg(),
        _ => pick(r, &INTS),
    }
}

/// The bytes of program number `number` of `seed`; the same two numbers give the same bytes.
pub(super) fn program(seeds: &[Seed], seed: u64, number: u64) -> (Vec<u8>, Random) {
    let mut r = Random::new(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    let from = &seeds[at(&mut r, seeds.len()).expect("seeds")];
    let blob = match r.int(0, 9) {
        0..=2 => {
            let mut blob = from.blob.clone();
            bytes(&mut r, &mut blob, seeds);
            blob
        }
        kind => {
            let mut graph = from.graph.clone();
            for _ in 0..r.int(1, 4) {
                structure(&mut r, &mut graph, seeds);
            }
            let mut blob = assemble(&flatbuffer(&graph.graph), &graph.data);
            if kind == 9 {
                bytes(&mut r, &mut blob, seeds);
            }
            blob
        }
    };
    (blob, r)
}

/// Changes that know nothing of the format.
fn bytes(r: &mut Random, blob: &mut Vec<u8>, seeds: &[Seed]) {
    for _ in 0..r.int(1, 8) {
        let Some(i) = at(r, blob.len()) else { return };
        match r.int(0, 9) {
            0 => blob[i] ^= 1 << r.int(0, 7),
            1 => blob[i] = r.bits() as u8,
            2 | 3 => {
                let i = i / 4 * 4;
                let word = pick(r, &INTS) as u32;
                if let Some(slot) = blob.get_mut(i..i + 4) {
                    slot.copy_from_slice(&word.to_le_bytes());
                }
            }
            4 => {
                // Offsets are relative: near values point at neighbours.
                let i = i / 4 * 4;
                if let Some(slot) = blob.get_mut(i..i + 4) {
                    let old = u32::from_le_bytes(slot.try_into().expect("4 bytes"));
                    let new = old.wrapping_add(r.int(-64, 64) as u32);
                    slot.copy_from_slice(&new.to_le_bytes());
                }
            }
            5 => {
                let i = i / 8 * 8;
                let word = pick(r, &INTS);
                if let Some(slot) = blob.get_mut(i..i + 8) {
                    slot.copy_from_slice(&word.to_le_bytes());
                }
            }
            6 if chance(r, 20) => blob.truncate(i),
            7 => {
                let from = &seeds[at(r, seeds.len()).expect("seeds")].blob;
                let start = at(r, from.len()).unwrap_or(0);
                let size = (r.int(1, 64) as usize)
                    .min(from.len() - start)
                    .min(blob.len() - i);
                blob[i..i + size].copy_from_slice(&from[start..start + size]);
            }
            8 => {
                let size = (r.int(1, 64) as usize).min(blob.len() - i);
                let to = at(r, blob.len() - size + 1).unwrap_or(0);
                blob.copy_within(i..i + size, to);
            }
            _ => {
                let i = 32.min(blob.len() - 1) + i % 64;
                if let Some(slot) = blob.get_mut(i) {
                    *slot = r.bits() as u8;
                }
            }
        }
    }
}

/// One change that leaves a well-formed flatbuffer.
fn structure(r: &mut Random, b: &mut GraphBuilder, seeds: &[Seed]) {
    let g = &mut b.graph;
    let any = |r: &mut Random, count: usize| ValueId(r.int(0, count as i64 - 1) as u32);
    let count = g.values.len();
    let (Some(value), Some(node)) = (at(r, count), at(r, g.nodes.len())) else {
        return;
    };
    match r.int(0, 25) {
        0 => {
            let args = &mut g.nodes[node].args;
            if let Some(i) = at(r, args.len()) {
                args[i] = any(r, count);
            }
        }
        1..=5 => change_value(r, g, value),
        6..=9 => resize(r, g),
        10 => change_tensor_type(r, g, value),
        11 => change_ports(r, g, count),
        12 => {
            g.nodes.remove(node);
        }
        13 => {
            let again = g.nodes[node].clone();
            let to = at(r, g.nodes.len()).unwrap_or(0);
            g.nodes.insert(to, again);
        }
        14 => {
            let other = at(r, g.nodes.len()).unwrap_or(0);
            g.nodes.swap(node, other);
        }
        15 => {
            // A node that reads what it writes.
            let args = &mut g.nodes[node].args;
            if let (Some(i), Some(&last)) = (at(r, args.len()), args.last()) {
                args[i] = last;
            }
        }
        16 | 17 => {
            let entry = &OPS[at(r, OPS.len()).expect("operators")];
            g.nodes[node].op = (*pick(r, entry.names)).to_owned();
        }
        18 => {
            let args = &mut g.nodes[node].args;
            match (at(r, args.len()), chance(r, 50)) {
                (Some(i), true) => {
                    args.remove(i);
                }
                (i, _) => args.insert(i.unwrap_or(0), any(r, count)),
            }
        }
        19 | 20 => change_constants(r, g, value),
        21 => {
            let other = at(r, count).unwrap_or(0);
            g.values[value] = g.values[other].clone();
        }
        22 => {
            let items = (0..r.int(0, 6)).map(|_| any(r, count)).collect();
            g.values[value] = Value::List(items);
        }
        23 | 24 => {
            let other = at(r, seeds.len()).expect("seeds");
            append(r, b, &seeds[other].graph);
        }
        _ => repeat(r, g, node),
    }
}

/// Another number, list or size of the same kind.
fn change_value(r: &mut Random, g: &mut etvk::core::graph::Graph, index: usize) {
    let count = g.values.len() as i64;
    // Numbers are rarer than tensors, and decide more.
    let index = (index..g.values.len())
        .find(|&i| !matches!(g.values[i], Value::Tensor(_)))
        .filter(|_| chance(r, 80))
        .unwrap_or(index);
    match &mut g.values[index] {
        Value::None => g.values[index] = Value::Int(pick(r, &INTS)),
        Value::Int(n) => *n = int(r, *n),
        Value::Double(x) => *x = pick(r, &DOUBLES),
        Value::Bool(flag) => *flag = !*flag,
        Value::SymInt(n) => *n = int(r, (*n).into()) as i32,
        Value::Ints(list) => match (at(r, list.len()), r.int(0, 9)) {
            (Some(i), 0..=6) => list[i] = int(r, list[i]),
            (Some(_), 7) => {
                list.pop();
            }
            (_, 8) if chance(r, 5) => list.resize(70_000, 1),
            _ => list.push(pick(r, &INTS)),
        },
        Value::Doubles(list) => match at(r, list.len()) {
            Some(i) => list[i] = pick(r, &DOUBLES),
            None => list.push(pick(r, &DOUBLES)),
        },
        Value::Bools(list) => list.push(true),
        Value::List(list) => match (at(r, list.len()), r.int(0, 9)) {
            (Some(i), 0..=3) => list[i] = ValueId(r.int(0, count - 1) as u32),
            (Some(i), 4..=5) => {
                list.remove(i);
            }
            (Some(i), 6) if chance(r, 5) => list.resize(5000, list[i]),
            (Some(i), 7) => list.push(list[i]),
            _ => list.push(ValueId(r.int(0, count - 1) as u32)),
        },
        Value::String(text) => text.push_str(&"x".repeat(r.int(0, 300) as usize)),
        Value::Tensor(spec) => match (at(r, spec.dims.len()), r.int(0, 9)) {
            (Some(i), 0..=6) => spec.dims[i] = dim(r, spec.dims[i]),
            (Some(i), 7) => {
                spec.dims.remove(i);
            }
            (Some(i), 8) => spec.dims.swap(0, i),
            _ => spec.dims.push(pick(r, &DIMS)),
        },
    }
}

/// A size that becomes another wherever it stands, so that the program may stay consistent.
fn resize(r: &mut Random, g: &mut etvk::core::graph::Graph) {
    let tensors = g.values.iter().filter_map(|v| match v {
        Value::Tensor(spec) => Some(&spec.dims),
        _ => None,
    });
    let sizes: Vec<u32> = tensors.flatten().copied().collect();
    let Some(i) = at(r, sizes.len()) else { return };
    let (old, new) = (sizes[i], dim(r, sizes[i]));
    let constants = chance(r, 30);
    for value in &mut g.values {
        match value {
            Value::Tensor(spec) if constants || spec.constant.is_none() => {
                let same = spec.dims.iter_mut().filter(|d| **d == old);
                same.for_each(|d| *d = new);
            }
            Value::Ints(list) if chance(r, 50) => {
                let same = list.iter_mut().filter(|n| **n == i64::from(old));
                same.for_each(|n| *n = new.into());
            }
            _ => {}
        }
    }
}

fn change_tensor_type(r: &mut Random, g: &mut etvk::core::graph::Graph, index: usize) {
    if chance(r, 30) {
        // All of one type, as an export with forced fp16 does.
        let (from, to) = (pick(r, &DTYPES), pick(r, &DTYPES));
        for value in &mut g.values {
            if let Value::Tensor(spec) = value {
                if spec.dtype == from && spec.constant.is_none() {
                    spec.dtype = to;
                }
            }
        }
        return;
    }
    for value in g.values.iter_mut().skip(index) {
        if let Value::Tensor(spec) = value {
            let dtype = pick(r, &DTYPES);
            match r.int(0, 2) {
                0 => spec.dtype = dtype,
                1 => spec.host_dtype = dtype,
                _ => (spec.dtype, spec.host_dtype) = (dtype, dtype),
            }
            return;
        }
    }
}

fn change_ports(r: &mut Random, g: &mut etvk::core::graph::Graph, count: usize) {
    let ports = match chance(r, 50) {
        true => &mut g.inputs,
        false => &mut g.outputs,
    };
    match (at(r, ports.len()), r.int(0, 3)) {
        (Some(i), 0) => {
            ports.remove(i);
        }
        (Some(i), 1) => ports.push(ports[i]),
        (Some(i), 2) => ports[i] = ValueId(r.int(0, count as i64) as u32),
        _ => ports.push(ValueId(r.int(0, count as i64 - 1) as u32)),
    }
}

fn change_constants(r: &mut Random, g: &mut etvk::core::graph::Graph, value: usize) {
    match (at(r, g.constants.len()), r.int(0, 4)) {
        (Some(i), 0..=2) => match &mut g.constants[i] {
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => match chance(r, 50) {
                true => *offset_bytes = pick(r, &INTS) as usize,
                false => *size_bytes = pick(r, &INTS) as usize,
            },
            ConstantSource::Named { size_bytes, key } => match chance(r, 70) {
                true => *size_bytes = pick(r, &INTS) as u64,
                false => key.clear(),
            },
            ConstantSource::Empty => {
                g.constants[i] = ConstantSource::Named {
                    key: "k".repeat(r.int(1, 100) as usize),
                    size_bytes: pick(r, &INTS) as u64,
                }
            }
        },
        (Some(i), _) => {
            if let Value::Tensor(spec) = &mut g.values[value] {
                let id = chance(r, 80).then_some(ConstantId(i as u32));
                spec.constant = id;
            }
        }
        (None, _) => g.constants.push(ConstantSource::Named {
            key: "named".into(),
            size_bytes: 0,
        }),
    }
}

/// Another program behind this one, with one of its inputs perhaps fed from here.
fn append(r: &mut Random, b: &mut GraphBuilder, other: &GraphBuilder) {
    let (values, constants) = (b.graph.values.len() as u32, b.graph.constants.len() as u32);
    if values > 20_000 {
        return;
    }
    let from = at(r, b.graph.outputs.len()).map(|i| b.graph.outputs[i]);
    let fed = at(r, other.graph.inputs.len()).map(|i| other.graph.inputs[i]);
    let moved = |id: ValueId| match (from, fed) {
        (Some(from), Some(fed)) if id == fed => from,
        _ => ValueId(id.0.saturating_add(values)),
    };
    for value in &other.graph.values {
        b.graph.values.push(match value {
            Value::List(list) => Value::List(list.iter().map(|&id| moved(id)).collect()),
            Value::Tensor(spec) => {
                let mut spec = spec.clone();
                if let Some(id) = &mut spec.constant {
                    id.0 += constants;
                }
                Value::Tensor(spec)
            }
            value => value.clone(),
        });
    }
    let start = b.data.len();
    b.data.extend_from_slice(&other.data);
    for source in &other.graph.constants {
        let mut source = source.clone();
        if let ConstantSource::Inline { offset_bytes, .. } = &mut source {
            *offset_bytes += start;
        }
        b.graph.constants.push(source);
    }
    for node in &other.graph.nodes {
        let args = node.args.iter().map(|&id| moved(id)).collect();
        b.graph.nodes.push(Node {
            args,
            ..node.clone()
        });
    }
    let inputs = other.graph.inputs.iter().filter(|&&id| Some(id) != fed);
    b.graph.inputs.extend(inputs.map(|&id| moved(id)));
    let outputs = other.graph.outputs.iter().map(|&id| moved(id));
    b.graph.outputs.extend(outputs);
}

/// The same call many times, each with a result of its own.
fn repeat(r: &mut Random, g: &mut etvk::core::graph::Graph, node: usize) {
    let times = if chance(r, 3) { 2000 } else { r.int(1, 30) };
    let model = g.nodes[node].clone();
    let Some(&out) = model.args.last() else {
        return;
    };
    let Ok(spec) = g.tensor(out).cloned() else {
        return;
    };
    let mut last = out;
    for _ in 0..times {
        let fresh = ValueId(g.values.len() as u32);
        g.values.push(Value::Tensor(spec.clone()));
        let mut next = model.clone();
        if let Some(arg) = next.args.first_mut() {
            *arg = last;
        }
        if let Some(arg) = next.args.last_mut() {
            *arg = fresh;
        }
        g.nodes.push(next);
        last = fresh;
    }
    g.outputs.push(last);
}
