//! What operators say of their calls, asked as passes, bounds and mutable buffers do.

use super::*;
use crate::core::graph::{ConstantId, TensorSpec, Value};
use crate::core::tensor::DType;
use std::collections::HashSet;

#[derive(Default)]
struct Sketch {
    graph: Graph,
}

impl Sketch {
    fn value(&mut self, value: Value) -> ValueId {
        self.graph.values.push(value);
        ValueId(self.graph.values.len() as u32 - 1)
    }

    fn typed(&mut self, dtype: DType, dims: &[u32], constant: Option<u32>) -> ValueId {
        self.value(Value::Tensor(TensorSpec {
            dtype,
            host_dtype: dtype,
            dims: dims.to_vec(),
            constant: constant.map(ConstantId),
        }))
    }

    fn tensor(&mut self, dims: &[u32]) -> ValueId {
        self.typed(DType::F32, dims, None)
    }

    fn numbers(&mut self, numbers: &[f64]) -> Vec<ValueId> {
        let value = |&n: &f64| self.value(Value::Double(n));
        numbers.iter().map(value).collect()
    }

    /// What `ask` says of the call `op(args)`.
    fn ask<T>(
        &self,
        op: &str,
        args: &[ValueId],
        ask: impl Fn(&OpEntry, &Args<'_>, &Graph) -> T,
    ) -> T {
        let node = Node {
            op: op.into(),
            args: args.to_vec(),
            ..Node::default()
        };
        let entry = find(op).expect("known");
        ask(entry, &Args::of_any_size(&self.graph, &node), &self.graph)
    }

    fn step(&self, op: &str, args: &[ValueId], operand: ValueId) -> Option<Step> {
        self.ask(op, args, |entry, args, graph| {
            (entry.step)(args, operand, graph)
        })
    }

    fn accepts(&self, op: &str, args: &[ValueId], step: Step) -> bool {
        self.ask(op, args, |entry, args, _| (entry.accepts)(args, step))
    }
}

const DIMS: &[u32] = &[1, 6, 5, 7];

#[test]
fn every_name_is_of_one_entry() {
    let mut seen = HashSet::new();
    for entry in OPS {
        for &name in entry.names.iter().chain(entry.internal) {
            assert!(seen.insert(name), "{name} twice");
            assert!(std::ptr::eq(find(name).expect("found"), entry), "{name}");
        }
        for &name in entry.internal {
            assert!(find_exported(name).is_none(), "{name}");
        }
    }
}

#[test]
fn activations_are_steps_on_their_operand() {
    let mut s = Sketch::default();
    let (x, y) = (s.tensor(DIMS), s.tensor(DIMS));
    let none = s.value(Value::None);
    let numbers = s.numbers(&[-0.5, 6.0, f64::MAX, f64::NAN, 0.25]);
    let &[low, six, most, nan, quarter] = &numbers[..] else {
        unreachable!()
    };
    let clamp = |low, high| Some(Step::Clamp { low, high });
    let infinity = f32::INFINITY;
    let cases: &[(&str, &[ValueId], Option<Step>)] = &[
        ("aten.relu.default", &[], clamp(0.0, infinity)),
        ("aten.relu6.default", &[], clamp(0.0, 6.0)),
        ("aten.clamp.default", &[low, none], clamp(-0.5, infinity)),
        ("aten.clamp.default", &[none, six], clamp(-infinity, 6.0)),
        ("aten.hardtanh.default", &[low, most], clamp(-0.5, infinity)),
        ("aten.hardtanh.default", &[], clamp(-1.0, 1.0)),
        ("aten.clamp.default", &[nan, six], None),
        ("aten.silu.default", &[], Some(Step::Silu)),
        ("aten.sigmoid.default", &[], Some(Step::Sigmoid)),
        ("aten.tanh.default", &[], Some(Step::Tanh)),
        ("aten.hardswish.default", &[], Some(Step::Hardswish)),
        ("aten.hardsigmoid.default", &[], Some(Step::Hardsigmoid)),
        (
            "aten.leaky_relu.default",
            &[quarter],
            Some(Step::LeakyRelu { slope: 0.25 }),
        ),
        ("aten.exp.default", &[], None),
        ("aten.gelu.default", &[], None),
    ];
    for (op, more, want) in cases {
        let args = [&[x], *more, &[y]].concat();
        assert_eq!(s.step(op, &args, x), *want, "{op} {more:?}");
        assert_eq!(s.step(op, &args, y), None, "{op}: another operand");
    }
}

#[test]
fn a_bound_that_depends_on_input_sizes_is_no_step() {
    let mut s = Sketch::default();
    let (x, y, none) = (s.tensor(DIMS), s.tensor(DIMS), s.value(Value::None));
    let size = s.value(Value::SymInt(3));
    assert_eq!(s.step("aten.clamp.default", &[x, none, size, y], x), None);
}

#[test]
fn additions_of_a_like_tensor_are_steps() {
    let mut s = Sketch::default();
    let [x, other, y] = [0; 3].map(|_| s.tensor(DIMS));
    let (row, half) = (s.tensor(&[7]), s.typed(DType::F16, DIMS, None));
    let (one, two) = (s.value(Value::Double(1.0)), s.value(Value::Int(2)));
    let add = |args: &[ValueId]| s.step("aten.add.Tensor", args, x);
    let step = Some(Step::Add { other });
    assert_eq!(add(&[x, other, one, y]), step);
    assert_eq!(add(&[other, x, one, y]), step);
    assert_eq!(add(&[x, other, two, y]), None, "a factor");
    assert_eq!(add(&[x, row, one, y]), None, "broadcast");
    assert_eq!(add(&[x, half, one, y]), None, "another type");
    assert_eq!(add(&[x, x, one, y]), None, "of itself");
    assert_eq!(add(&[x, two, one, y]), None, "of a number");
    assert_eq!(s.step("aten.sub.Tensor", &[x, other, one, y], x), None);
}

#[test]
fn slopes_per_channel_are_steps() {
    let mut s = Sketch::default();
    let prelu = crate::ops::binary::Binary::prelu;
    for (dims, slope_dims, want) in [
        (DIMS, &[6u32, 1, 1][..], true),
        (DIMS, &[1, 6, 1, 1], true),
        (DIMS, &[1], true),
        (DIMS, &[], true),
        (DIMS, &[7], false),
        (DIMS, &[6, 5, 1], false),
        (DIMS, &[6, 1], false),
        (&[6, 6, 6], &[6, 1], true),
        (&[6, 6, 6], &[6], false),
        (&[6, 6], &[1], false),
    ] {
        let (x, y, slope) = (s.tensor(dims), s.tensor(dims), s.tensor(slope_dims));
        let call = prelu(x, slope, y);
        let step = want.then_some(Step::Prelu { slope });
        assert_eq!(
            s.step(&call.op, &call.args, x),
            step,
            "{dims:?} {slope_dims:?}"
        );
        assert_eq!(
            s.step(&call.op, &call.args, slope),
            None,
            "the slope itself"
        );
    }
}

#[test]
fn convolutions_accept_what_fits_behind_their_own_clamp() {
    let mut s = Sketch::default();
    let (x, y, w) = (s.tensor(DIMS), s.tensor(DIMS), s.tensor(&[6, 6, 1, 1]));
    let (none, no, one) = (
        s.value(Value::None),
        s.value(Value::Bool(false)),
        s.value(Value::Int(1)),
    );
    let (ones, zeros) = (
        s.value(Value::Ints(vec![1; 2])),
        s.value(Value::Ints(vec![0; 2])),
    );
    let bounds = s.numbers(&[0.0, 6.0]);
    let plain = [x, w, none, ones, zeros, ones, no, zeros, one];
    let steps = [Step::Tanh, Step::Prelu { slope: w }, Step::Add { other: x }];
    for step in steps {
        let args = [&plain[..], &[y]].concat();
        assert!(
            s.accepts("aten.convolution.default", &args, step),
            "{step:?}"
        );
        let args = [&plain[..], &bounds, &[y]].concat();
        let adds = matches!(step, Step::Add { .. });
        assert_eq!(
            s.accepts("et_vk.conv_with_clamp.default", &args, step),
            adds,
            "{step:?}"
        );
    }
    // Not one whose arguments are wrong.
    assert!(!s.accepts("aten.convolution.default", &[x, y], Step::Tanh));
}

#[test]
fn products_accept_activations_and_others_nothing() {
    let mut s = Sketch::default();
    let (a, b, c) = (s.tensor(&[5, 6]), s.tensor(&[6, 7]), s.tensor(&[5, 7]));
    let accepts = |op, step| s.accepts(op, &[a, b, c], step);
    assert!(accepts("aten.mm.default", Step::Silu));
    assert!(!accepts("aten.mm.default", Step::Add { other: c }));
    assert!(!accepts("aten.mm.default", Step::Prelu { slope: c }));
    assert!(!accepts("aten.mul.Tensor", Step::Silu));
}

#[test]
fn copies_and_views_pass_elements_on_and_prepack_unpacks() {
    let mut s = Sketch::default();
    let (x, y) = (s.typed(DType::F32, &[1], Some(0)), s.tensor(&[1]));
    let (sizes, dim) = (s.value(Value::Ints(vec![1])), s.value(Value::Int(0)));
    let copies = crate::ops::copy::Copy::NAMES
        .iter()
        .map(|&op| (op, vec![x, y]));
    let others = [
        ("aten.view_copy.default", vec![x, sizes, y]),
        ("aten.squeeze_copy.dims", vec![x, sizes, y]),
        ("aten.unsqueeze_copy.default", vec![x, dim, y]),
    ];
    for (op, args) in copies.chain(others) {
        assert_eq!(
            s.ask(op, &args, |e, args, _| (e.passes_on)(args)),
            Some(x),
            "{op}"
        );
        let unpacks = (op == "et_vk.prepack.default").then_some(x);
        assert_eq!(
            s.ask(op, &args, |e, args, _| (e.unpacks)(args)),
            unpacks,
            "{op}"
        );
    }
    let relu = s.ask("aten.relu.default", &[x, y], |e, args, _| {
        (e.passes_on)(args)
    });
    assert_eq!(relu, None);
}

/// The integer `n` of the call `op(args)` is found to be `want`.
fn check_bound(s: &Sketch, op: &str, args: &[ValueId], n: ValueId, want: Option<i64>) {
    let found = s.ask(op, args, |entry, args, graph| {
        let mut known = Known::new(graph);
        (entry.bounds)(args, &mut known);
        known.number(n)
    });
    assert_eq!(found, want, "{op} {args:?}");
}

#[test]
fn sizes_that_operators_take_are_those_of_their_results() {
    let mut s = Sketch::default();
    let (x, y) = (s.tensor(&[5, 6]), s.tensor(&[3, 10]));
    let (n, other) = (s.value(Value::SymInt(0)), s.value(Value::SymInt(0)));
    let (none, value) = (s.value(Value::None), s.value(Value::Double(1.0)));
    let [zero, one, two] = [0, 1, 2].map(|k| s.value(Value::Int(k)));
    let sizes = s.value(Value::List(vec![other, n]));
    for op in ["aten.view_copy.default", "aten.view.default"] {
        check_bound(&s, op, &[x, sizes, y], n, Some(10));
    }
    check_bound(
        &s,
        "aten.expand_copy.default",
        &[x, sizes, none, y],
        n,
        Some(10),
    );
    check_bound(&s, "aten.full.default", &[sizes, value, y], other, Some(3));
    check_bound(&s, "aten.ones.default", &[sizes, y], n, Some(10));
    check_bound(&s, "aten.ones_like.default", &[sizes, y], n, None);
    check_bound(&s, "sym_size.int", &[x, one, n], n, Some(6));
    // Every second element from 1 on: 3 of them end before 7.
    check_bound(
        &s,
        "aten.slice_copy.Tensor",
        &[x, zero, one, n, two, y],
        n,
        Some(7),
    );
    let range = s.tensor(&[4]);
    check_bound(
        &s,
        "aten.arange.start_step",
        &[two, n, two, range],
        n,
        Some(10),
    );
    check_bound(
        &s,
        "aten.arange.start_step",
        &[none, n, none, range],
        n,
        Some(4),
    );
    check_bound(
        &s,
        "aten.arange.start_step",
        &[other, n, two, range],
        n,
        None,
    );
}

#[test]
fn arithmetic_is_turned_around() {
    let mut s = Sketch::default();
    let [n, free] = [0; 2].map(|_| s.value(Value::SymInt(0)));
    let [three, twelve] = [3, 12].map(|k| s.value(Value::Int(k)));
    for (op, left, right, result) in [
        ("add", 9, 9, 15),
        ("sub", 15, -9, 9),
        ("mul", 4, 4, 36),
        // The largest n with n // 3 = 12.
        ("floordiv", 38, -1, 4),
    ] {
        check_bound(&s, op, &[n, three, twelve], n, Some(left));
        check_bound(
            &s,
            op,
            &[three, n, twelve],
            n,
            (right >= 0).then_some(right),
        );
        check_bound(&s, op, &[twelve, three, n], n, Some(result));
        check_bound(&s, op, &[n, free, twelve], n, None);
    }
}

#[test]
fn operands_that_only_their_result_tells_of_are_made_up() {
    let mut s = Sketch::default();
    let [a, b] = [0; 2].map(|_| s.value(Value::SymInt(0)));
    let (twelve, unknown) = (s.value(Value::Int(12)), s.value(Value::SymInt(0)));
    let made_up = |op: &str, args: &[ValueId]| {
        s.ask(op, args, |entry, args, graph| {
            let mut known = Known::new(graph);
            (entry.make_up)(args, &mut known)?;
            Some([known.number(a)?, known.number(b)?])
        })
    };
    assert_eq!(made_up("add", &[a, b, twelve]), Some([12, 0]));
    assert_eq!(made_up("sub", &[a, b, twelve]), Some([12, 0]));
    assert_eq!(made_up("mul", &[a, b, twelve]), Some([12, 1]));
    assert_eq!(made_up("floordiv", &[a, b, twelve]), None);
    assert_eq!(made_up("mul", &[a, a, twelve]), None);
    assert_eq!(made_up("mul", &[a, b, unknown]), None);
    assert_eq!(made_up("aten.relu.default", &[a, b]), None);
}
