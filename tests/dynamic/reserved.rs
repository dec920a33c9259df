//! What is planned for the bound serves every smaller size. No GPU.

use super::nets::random_net;
use super::random::Random;
use etvk::base::error::{Error, Result};
use etvk::compile::load::{plan_graph, Planned};
use etvk::core::constant::ConstantData;
use etvk::core::constraints::Constraints;
use etvk::core::device::{DeviceLimits, NoImages};
use etvk::core::graph::{ConstantSource, InputShape};
use etvk::core::memory::{plan_memory, Region};
use etvk::core::options::{ConvChoice, Options};

/// Sizes alone are planned: no pass may ask for a weight.
struct NoData;

impl ConstantData for NoData {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        _: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        Err(Error::internal(format!("{source:?} was asked for")))
    }
}

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
        let constraints = Constraints::new(&options, &limits);
        let planned = plan_graph(net.graph, &NoData, constraints, &NoImages);
        let (loaded, bound) = planned.expect("the bound compiles");
        let reserved = bound.plan;
        for _ in 0..20 {
            let [n, h, w] = [2, 24, 32].map(|most| random.int(1, most) as u32);
            let shape = [InputShape::Dims(vec![n, 5, h, w])];
            let Planned { program, plan, .. } = loaded
                .at(&shape, 0, &NoImages)
                .unwrap_or_else(|e| panic!("seed {seed}, {shape:?}: {e}"));
            for region in REGIONS {
                let (needs, has) = (plan.region_bytes(region), reserved.region_bytes(region));
                assert!(
                    needs <= has,
                    "seed {seed}, {shape:?}: {region:?} of {needs} bytes, {has} were reserved"
                );
            }
            for upload in &program.uploads {
                assert!(
                    bound.program.uploads.contains(upload),
                    "seed {seed}: {upload:?}"
                );
            }
            let alone = plan_memory(&program, &limits).expect("small");
            plans += 1;
            anomalies += u32::from(alone.arena_bytes > reserved.arena_bytes);
        }
    }
    println!("{plans} plans, {anomalies} would have needed a larger arena on their own");
}
