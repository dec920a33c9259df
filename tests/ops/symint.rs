use super::blob::GraphBuilder;
use super::reference::Array;
use super::run::run;
use etvk::core::tensor::DType::F32;

#[test]
fn results_reach_the_host() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[3, 10]);
    let last = graph.int(-1);
    let three = graph.int(3);
    let minus_four = graph.int(-4);
    let w = graph.sym_int(10);
    graph.node("sym_size.int", &[x, last, w]);
    for (op, other) in [
        ("add", three),
        ("sub", three),
        ("mul", three),
        ("floordiv", minus_four),
    ] {
        let out = graph.sym_int(30);
        graph.node(op, &[w, other, out]);
        graph.output(out);
    }
    let Some(outputs) = run(&graph, &[Array::new(F32, &[3, 10], &[0.0; 30])]) else {
        return;
    };
    let got: Vec<f64> = outputs.expect("runs").iter().map(|a| a.values[0]).collect();
    assert_eq!(got, [13.0, 7.0, 30.0, -3.0]);
}
