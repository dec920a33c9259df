//! What is planned for the bound serves every smaller size. No GPU.

use super::nets::random_net;
use super::random::Random;
use etvk::compile::{bound_shapes, compile, InputShape};
use etvk::memory::{plan_memory, plan_memory_within, Region};
use etvk::options::{ConvChoice, Options};
use etvk::tensor::DeviceLimits;

const REGIONS: [Region; 4] = [
    Region::Arena,
    Region::Workspace,
    Region::Inputs,
    Region::Outputs,
];

#[test]
fn no_smaller_size_needs_more_memory_or_other_constants() {
    let limits = DeviceLimits::minimum();
    let (mut plans, mut anomalies) = (0, 0);
    for seed in 0..400 {
        let random = &mut Random::new(seed);
        let count = random.int(2, 24) as usize;
        let net = random_net(random, [2, 5, 24, 32], count);
        let options = Options {
            workspace_bytes: 1 << random.int(13, 20),
            conv_algorithm: [None, Some(ConvChoice::Im2col), Some(ConvChoice::Winograd)]
                [random.int(0, 2) as usize],
            ..Options::default()
        };
        let shapes = bound_shapes(&net.graph).expect("tensors");
        let bound = compile(&net.graph, &shapes, &limits, &options).expect("the bound compiles");
        let reserved = plan_memory(&bound, &limits).expect("small");
        let resized = Options {
            workspace_bytes: reserved.workspace_bytes,
            ..options
        };
        for _ in 0..20 {
            let [n, h, w] = [2, 24, 32].map(|most| random.int(1, most) as u32);
            let shape = [InputShape::Dims(vec![n, 5, h, w])];
            let program = compile(&net.graph, &shape, &limits, &resized)
                .unwrap_or_else(|e| panic!("seed {seed}, {shape:?}: {e}"));
            let plan = plan_memory_within(&program, &limits, &reserved).expect("small");
            for region in REGIONS {
                let (needs, has) = (plan.region_bytes(region), reserved.region_bytes(region));
                assert!(
                    needs <= has,
                    "seed {seed}, {shape:?}: {region:?} of {needs} bytes, {has} were reserved"
                );
            }
            for upload in &program.uploads {
                assert!(bound.uploads.contains(upload), "seed {seed}: {upload:?}");
            }
            let alone = plan_memory(&program, &limits).expect("small");
            plans += 1;
            anomalies += u32::from(alone.arena_bytes > reserved.arena_bytes);
        }
    }
    println!("{plans} plans, {anomalies} would have needed a larger arena on their own");
}
