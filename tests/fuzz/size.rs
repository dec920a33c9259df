//! Programs that are large instead of wrong: planning must stay near linear, or refuse.

use super::blob::GraphBuilder;
use super::random::Random;
use super::{devices, tried};
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType;

const NODES: usize = 100_000;

fn survives(what: &str, b: &GraphBuilder) {
    let blob = b.build();
    let start = std::time::Instant::now();
    let result = tried(&blob, &mut Random::new(1), &devices()[..1]);
    println!("{what}: {result:?} in {:?}", start.elapsed());
    assert!(result.is_ok(), "{what}: {result:?}");
}

/// `nodes` calls in a row.
#[test]
fn a_long_chain() {
    let mut b = GraphBuilder::new();
    let mut x = b.input(DType::F32, &[3, 5]);
    for _ in 0..NODES {
        let y = b.tensor(DType::F32, &[3, 5]);
        b.node("aten.neg.default", &[x, y]);
        x = y;
    }
    b.output(x);
    survives("a chain", &b);
}

/// All results live until the last call.
#[test]
fn many_results_at_once() {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, &[3, 5]);
    let all: Vec<ValueId> = (0..NODES)
        .map(|_| {
            let y = b.tensor(DType::F32, &[3, 5]);
            b.node("aten.neg.default", &[x, y]);
            y
        })
        .collect();
    let zero = b.int(0);
    for part in all.chunks(1000) {
        let list = b.list(part);
        let out = b.tensor(DType::F32, &[3 * part.len() as u32, 5]);
        b.node("aten.cat.default", &[list, zero, out]);
        b.output(out);
    }
    survives("many results at once", &b);
}

/// Readers of the first result only.
#[test]
fn many_outputs() {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, &[3, 5]);
    for _ in 0..NODES.min(1 << 16) {
        let y = b.tensor(DType::F32, &[3, 5]);
        b.node("aten.neg.default", &[x, y]);
        b.output(y);
    }
    survives("many outputs", &b);
}

/// One long list of tensors, named by every call.
#[test]
fn lists_that_every_call_names() {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, &[3, 5]);
    let zero = b.int(0);
    let list = b.list(&vec![x; 1 << 17]);
    for _ in 0..2000 {
        let y = b.tensor(DType::F32, &[3 << 17, 5]);
        b.node("aten.cat.default", &[list, zero, y]);
    }
    let y = b.tensor(DType::F32, &[3, 5]);
    b.node("aten.neg.default", &[x, y]).output(y);
    let refused = etvk::core::parse::parse(&b.build()).expect_err("too much");
    assert!(refused.message.contains("items of lists"), "{refused}");
}

/// Constants that many calls read, each in the same form.
#[test]
fn one_constant_for_all() {
    let mut b = GraphBuilder::new();
    let mut x = b.input(DType::F32, &[1, 4, 5, 5]);
    let w = b.constant_f32(&[4, 4, 1, 1], &[0.5; 16]);
    for _ in 0..NODES / 10 {
        x = b.conv2d(x, w, None, &Default::default());
    }
    b.output(x);
    survives("one constant", &b);
}

/// Buffers that stay and are written in every run.
#[test]
fn many_mutable_buffers() {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, &[2]);
    let one = b.int(1);
    for _ in 0..NODES / 5 {
        let w = b.constant_f32(&[2], &[0.5; 2]);
        let state = b.tensor(DType::F32, &[2]);
        b.node("et_vk.prepack.default", &[w, state]);
        b.node("aten.add.Tensor", &[state, x, one, state]);
    }
    let y = b.tensor(DType::F32, &[2]);
    b.node("aten.neg.default", &[x, y]).output(y);
    survives("many buffers", &b);
}

/// A list where one number per dim is meant.
#[test]
fn one_number_for_each_of_very_many_dims() {
    for op in etvk::ops::table::OPS.iter().flat_map(|entry| entry.names) {
        let mut b = GraphBuilder::new();
        let x = b.input(DType::F32, &[2, 3]);
        let many = b.ints(&[1; 1 << 17]);
        let y = b.tensor(DType::F32, &[2, 3]);
        let no = b.bool(false);
        b.node(op, &[x, many, no, y]).output(y);
        b.node(op, &[x, many, y]).output(y);
        survives(op, &b);
    }
}
