//! Sizes that cannot be: an error that says why, and the next call works.

use super::blob::GraphBuilder;
use super::nets::convolution;
use super::random::Random;
use super::reference::{assert_close, elementwise, Array, EXACT};
use super::run::{Loaded, ETVK_STATUS_INVALID_ARGUMENT};
use etvk::core::tensor::DType::F32;

#[test]
fn sizes_outside_the_bound_change_nothing() {
    let Some(loaded) = Loaded::new(&convolution(4, 8, 9)) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let random = &mut Random::new(5);
    let good = Array::random(F32, &[1, 4, 5, 7], random);
    let want = loaded
        .run(std::slice::from_ref(&good))
        .expect("below the bound");
    let wrong: [(&[u32], &str); 7] = [
        (&[1, 4, 10, 9], "[1, 4, 9, 9]"),
        (&[1, 4, 9, 10], "[1, 4, 9, 9]"),
        (&[2, 4, 9, 9], "[1, 4, 9, 9]"),
        (&[1, 3, 9, 9], "convolution"),
        (&[4, 9, 9], "[1, 4, 9, 9]"),
        (&[1, 4, 9, 9, 1], "[1, 4, 9, 9]"),
        (&[1, 4, 0, 9], "convolution"),
    ];
    for (dims, says) in wrong {
        let before = loaded.outputs().expect("ports")[0].dims;
        let input = Array::new(F32, dims, &vec![0.0; dims.iter().product::<u32>() as usize]);
        let error = loaded.run(&[input]).expect_err("cannot be");
        assert_eq!(
            error.status, ETVK_STATUS_INVALID_ARGUMENT,
            "{dims:?}: {}",
            error.message
        );
        assert!(error.message.contains(says), "{dims:?}: {}", error.message);
        assert_eq!(loaded.outputs().expect("ports")[0].dims, before, "{dims:?}");
        let again = loaded.run(std::slice::from_ref(&good)).expect("as before");
        assert_eq!(again[0].bytes(), want[0].bytes(), "after {dims:?}");
    }
}

#[test]
fn nothing_in_nothing_out() {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[3, 4, 6, 5]);
    let y = graph.tensor(F32, &[3, 4, 6, 5]);
    graph.node("aten.sigmoid.default", &[x, y]);
    let w = graph.constant_f32(&[2, 4, 1, 1], &[0.5; 8]);
    let z = graph.conv2d(y, w, None, &super::blob::Conv::default());
    graph.output(z);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let full = Array::new(F32, &[3, 4, 6, 5], &[0.0; 360]);
    for empty in [[0, 4, 6, 5], [3, 4, 6, 5], [0, 4, 1, 1]] {
        let count = empty.iter().product::<u32>() as usize;
        let input = Array::new(F32, &empty, &vec![0.0; count]);
        let got = loaded
            .run(&[input])
            .unwrap_or_else(|e| panic!("{empty:?}: {}", e.message));
        assert_eq!(got[0].dims, [empty[0], 2, empty[2], empty[3]]);
    }
    let got = loaded.run(&[full]).expect("all of it");
    assert!(got[0].values.iter().all(|&v| v == 1.0));
}

/// An addition of equal bounds is fused into the convolution; its operand may be smaller than the
/// result all the same, and nothing beyond it may be read.
#[test]
fn a_fused_addition_broadcasts_or_is_refused() {
    let mut graph = GraphBuilder::new();
    let bound = [1, 3, 8, 7];
    let x = graph.input(F32, &bound);
    let other = graph.input(F32, &bound);
    let mut identity = [0.0; 9];
    identity.iter_mut().step_by(4).for_each(|w| *w = 1.0);
    let w = graph.constant_f32(&[3, 3, 1, 1], &identity);
    let y = graph.conv2d(x, w, None, &super::blob::Conv::default());
    let (one, z) = (graph.int(1), graph.tensor(F32, &bound));
    graph.node("aten.add.Tensor", &[y, other, one, z]).output(z);
    let Some(loaded) = Loaded::new(&graph) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let random = &mut Random::new(6);
    for dims in [bound, [1, 3, 1, 1], [1, 1, 8, 1], [1, 1, 1, 7]] {
        let x = Array::random(F32, &bound, random);
        let other = Array::random(F32, &dims, random);
        let want = elementwise(F32, &[&x, &other], &|v| v[0] + v[1]);
        let got = loaded
            .run(&[x, other])
            .unwrap_or_else(|e| panic!("{}", e.message));
        assert_close(&format!("plus {dims:?}"), &got[0], &want, EXACT);
    }
    for dims in [[1, 3, 8, 6], [1, 2, 8, 7], [1, 3, 0, 7]] {
        let (x, other) = (
            Array::random(F32, &bound, random),
            Array::random(F32, &dims, random),
        );
        let error = loaded.run(&[x, other]).expect_err("cannot be added");
        assert_eq!(
            error.status, ETVK_STATUS_INVALID_ARGUMENT,
            "{dims:?}: {}",
            error.message
        );
    }
}
