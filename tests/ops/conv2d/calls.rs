//! Calls beyond one run at the exported size: smaller inputs, and calls that are refused.

use super::case::{Case, Operands};
use super::{conv, sizes};
use crate::blob::GraphBuilder;
use crate::run::Loaded;
use etvk::core::graph::Value;
use etvk::core::tensor::DType;

/// One load serves every size below the bound, whatever the planner chooses for it.
#[test]
fn smaller_inputs_than_the_bound() {
    let padded = |groups| conv([1, 1], [1, 1], [1, 1], groups);
    for bound in [
        sizes([1, 16, 40, 40], 24, [3, 3], padded(1)),
        sizes([1, 18, 40, 40], 24, [3, 3], padded(2)),
        sizes([1, 3, 64, 64], 32, [3, 3], conv([2, 2], [1, 1], [1, 1], 1)),
        sizes([1, 9, 20, 20], 9, [3, 3], padded(9)),
    ] {
        let operands = bound.operands();
        let (graph, _) = bound.graph(&operands);
        let Some(loaded) = Loaded::new(&graph) else {
            return;
        };
        let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
        let [n, c, h, w] = bound.x;
        for (h, w) in [(h, w), (1, 1), (h, 3), (5, w - 1), (h / 2, w / 2), (h, w)] {
            let case = Case {
                x: [n, c, h, w],
                ..bound.clone()
            };
            let operands = Operands {
                x: case.operands().x,
                weight: operands.weight.clone(),
                bias: operands.bias.clone(),
            };
            let got = loaded
                .run(std::slice::from_ref(&operands.x))
                .unwrap_or_else(|e| panic!("{}: {case:?}", e.message));
            case.compare("auto", &got[0], &case.reference(&operands));
        }
    }
}

#[test]
fn wrong_calls_are_refused() {
    let refused = |case: &Case, fragment: &str, change: &dyn Fn(&mut GraphBuilder)| {
        let (mut graph, _) = case.graph(&case.operands());
        change(&mut graph);
        match Loaded::new(&graph) {
            Some(Ok(_)) => panic!("accepted, expected {fragment:?}"),
            Some(Err(e)) => assert!(e.message.contains(fragment), "{}", e.message),
            None => {}
        }
    };
    let argument = |graph: &mut GraphBuilder, at: usize, value: Value| {
        let id = graph.value(value);
        graph.graph.nodes[0].args[at] = id;
    };
    let case = Case::default();
    for (at, value, fragment) in [
        (3, Value::Ints(vec![0, 1]), "stride [0, 1]"),
        (3, Value::Ints(vec![1, 1, 1]), "3 elements"),
        (4, Value::Ints(vec![-1, 0]), "-1"),
        (5, Value::Ints(vec![1, 9]), "dilation [1, 9]"),
        (6, Value::None, "argument 6"),
        (8, Value::Int(3), "3 groups"),
        (8, Value::Int(-1), "-1 groups"),
        (8, Value::Int(0), "0 groups"),
    ] {
        refused(&case, fragment, &|graph| argument(graph, at, value.clone()));
    }
    // A bias of another length, a result of another size.
    refused(&case, "a bias of dims [9]", &|graph| {
        let bias = graph.constant_f32(&[9], &[0.0; 9]);
        graph.graph.nodes[0].args[2] = bias;
    });
    refused(&case, "[1, 8, 9, 11]", &|graph| {
        let out = graph.tensor(DType::F32, &[1, 8, 9, 10]);
        graph.graph.nodes[0].args[9] = out;
        graph.graph.outputs[0] = out;
    });
    let one_d = Case {
        one_d: true,
        x: [1, 8, 1, 11],
        kernel: [1, 3],
        conv: conv([1, 1], [0, 1], [1, 1], 1),
        ..Case::default()
    };
    refused(&one_d, "expected 1 element", &|graph| {
        argument(graph, 4, Value::Ints(vec![1, 1]));
    });
}
