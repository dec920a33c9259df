//! One workspace for several delegates.

use super::nets::convolution;
use super::random::Random;
use super::reference::Array;
use super::run::Loaded;
use etvk::core::tensor::DType::F32;

const IM2COL: (&str, &str) = ("conv_algorithm", "im2col");
const SHARED: (&str, &str) = ("share_workspace", "1");

fn loaded(c_in: u32, side: u32, options: &[(&str, &str)]) -> Option<Loaded> {
    let loaded = Loaded::with_options(&convolution(c_in, 8, side), options)?;
    Some(loaded.unwrap_or_else(|e| panic!("{options:?}: {}", e.message)))
}

fn workspace(delegates: &[&Loaded]) -> Vec<u64> {
    let bytes = |d: &&Loaded| d.memory().expect("a report").workspace_bytes;
    delegates.iter().map(bytes).collect()
}

#[test]
fn delegates_share_one_workspace_that_grows_while_loading() {
    let budget = ("workspace_bytes", "200000");
    let options = [IM2COL, SHARED, budget];
    let random = &mut Random::new(11);
    let inputs =
        [(8, 6), (16, 16), (16, 9)].map(|(c, s)| Array::random(F32, &[1, c, s, s], random));
    let Some(small) = loaded(8, 16, &options) else {
        return;
    };
    let alone: Vec<Vec<u8>> = inputs
        .iter()
        .map(|x| {
            let own = loaded(x.dims[1], 16, &[IM2COL, budget]).expect("a device");
            own.run(std::slice::from_ref(x)).expect("runs")[0].bytes()
        })
        .collect();
    let check = |delegate: &Loaded, i: usize| {
        let got = delegate
            .run(std::slice::from_ref(&inputs[i]))
            .expect("runs");
        assert!(got[0].bytes() == alone[i], "input {i}");
    };
    check(&small, 0);
    let before = workspace(&[&small])[0];
    let large = loaded(16, 16, &options).expect("a device");
    let grown = workspace(&[&small, &large]);
    assert!(
        grown[0] > before && grown[0] <= 200_000 && grown[1] == 0,
        "{before} {grown:?}"
    );
    // What was recorded over the smaller workspace is recorded again.
    check(&small, 0);
    check(&large, 1);
    // Each from a thread of its own, changing sizes: never two at once on the workspace.
    std::thread::scope(|scope| {
        scope.spawn(|| (0..40).for_each(|_| check(&small, 0)));
        scope.spawn(|| (0..40).for_each(|i| check(&large, 1 + i % 2)));
    });
    // Neither another budget nor an owner of its own shares it.
    let other = loaded(16, 16, &[IM2COL, SHARED, ("workspace_bytes", "180000")]).expect("a device");
    let own = loaded(16, 16, &[IM2COL, budget]).expect("a device");
    assert!(workspace(&[&other, &own]).iter().all(|&bytes| bytes > 0));
    check(&other, 1);
    // The report goes to the next one when the first ends.
    drop(small);
    assert_eq!(workspace(&[&large]), grown[..1]);
    check(&large, 2);
    drop(large);
    let again = loaded(8, 16, &options).expect("a device");
    assert_eq!(workspace(&[&again])[0], before, "freed with its last user");
}
