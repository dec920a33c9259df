//! Bits after a resize are those of a program that was made for the size.

use super::blob::GraphBuilder;
use super::nets::{convolution, made_static, random_net};
use super::random::Random;
use super::reference::Array;
use super::run::{Failure, Loaded};
use etvk::core::tensor::DType::F32;
use std::collections::HashMap;

fn bits(outputs: &[Array]) -> Vec<(Vec<u32>, Vec<u8>)> {
    let of = |array: &Array| (array.dims.clone(), array.bytes());
    outputs.iter().map(of).collect()
}

fn fresh(graph: &GraphBuilder, input: &Array) -> Result<Vec<Array>, Failure> {
    let made = Loaded::new(&made_static(graph, &input.dims)).expect("a device was there");
    made.and_then(|loaded| loaded.run(std::slice::from_ref(input)))
}

#[test]
fn random_networks_give_the_bits_of_static_ones() {
    let mut refused = 0;
    for seed in 0..12 {
        let random = &mut Random::new(1000 + seed);
        let count = random.int(3, 12) as usize;
        let graph = random_net(random, [2, 5, 17, 20], count);
        let Some(loaded) = Loaded::new(&graph) else {
            return;
        };
        let loaded = loaded.unwrap_or_else(|e| panic!("seed {seed}: {}", e.message));
        let before = loaded.memory().expect("a report");
        for _ in 0..5 {
            let [n, h, w] = [2, 17, 20].map(|most| random.int(1, most) as u32);
            let input = Array::random(F32, &[n, 5, h, w], random);
            let what = format!("seed {seed}, {:?}", input.dims);
            match (
                loaded.run(std::slice::from_ref(&input)),
                fresh(&graph, &input),
            ) {
                (Ok(got), Ok(want)) => assert!(bits(&got) == bits(&want), "{what}"),
                (Err(_), Err(_)) => refused += 1,
                (got, want) => panic!("{what}: {:?}, static {:?}", got.err(), want.err()),
            }
        }
        let after = loaded.memory().expect("a report");
        assert_eq!(before, after, "seed {seed}");
    }
    assert!(refused < 12, "{refused} of 60 sizes were refused");
}

#[test]
fn two_thousand_resizes() {
    // At 12 x 12 and below, both Direct and tiled im2col.
    let graph = convolution(40, 24, 12);
    let options = [("workspace_bytes", "65536")];
    let Some(loaded) = Loaded::with_options(&graph, &options) else {
        return;
    };
    let loaded = loaded.unwrap_or_else(|e| panic!("{}", e.message));
    let before = loaded.memory().expect("a report");
    let random = &mut Random::new(3);
    let mut wanted: HashMap<[u32; 2], (Array, Vec<Array>)> = HashMap::new();
    let mut algorithms = std::collections::HashSet::new();
    for step in 0..2000 {
        let [h, w] = [12, 12].map(|most| random.int(1, most) as u32);
        let (input, want) = wanted.entry([h, w]).or_insert_with(|| {
            let input = Array::random(F32, &[1, 40, h, w], random);
            let want = fresh(&graph, &input).unwrap_or_else(|e| panic!("{}", e.message));
            (input, want)
        });
        let got = loaded
            .run(std::slice::from_ref(input))
            .unwrap_or_else(|e| panic!("step {step}, {h} x {w}: {}", e.message));
        assert!(bits(&got) == bits(want), "step {step}, {h} x {w}");
        algorithms.insert(loaded.convolutions().expect("a report")[0].algorithm);
    }
    assert_eq!(algorithms.len(), 2, "{algorithms:?}");
    assert_eq!(before, loaded.memory().expect("a report"));
}
