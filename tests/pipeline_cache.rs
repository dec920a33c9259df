//! The option `pipeline_cache` inside one process: delegates that share a device and a file, also
//! at the same time. What processes hand to each other is tested by cpp_harness/check_cache.py.

#[path = "common/blob.rs"]
mod blob;
#[path = "common/random.rs"]
mod random;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/run.rs"]
mod run;

use blob::GraphBuilder;
use etvk::core::tensor::DType::F32;
use random::Random;
use reference::Array;
use run::Loaded;
use std::fs;
use std::path::{Path, PathBuf};

const UNARY: [&str; 4] = [
    "aten.relu.default",
    "aten.neg.default",
    "aten.abs.default",
    "aten.sign.default",
];

fn reference(op: &str, x: f64) -> f64 {
    match op {
        "aten.relu.default" => x.max(0.0),
        "aten.neg.default" => -x,
        "aten.abs.default" => x.abs(),
        _ => x
            .partial_cmp(&0.0)
            .map_or(0.0, |order| f64::from(order as i8)),
    }
}

/// Loads `op` with the file and checks what it gives; `None` without a device.
fn check(op: &str, path: &Path, seed: u64) -> Option<()> {
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[3, 7]);
    let y = graph.tensor(F32, &[3, 7]);
    graph.node(op, &[x, y]).output(y);
    let path = path.to_str().expect("UTF-8");
    let loaded = Loaded::with_options(&graph, &[("pipeline_cache", path)])?;
    let loaded = loaded.unwrap_or_else(|e| panic!("{op}: {}", e.message));
    let values = Random::new(seed).ints(21, -50, 50);
    let got = loaded
        .run(&[Array::new(F32, &[3, 7], &values)])
        .expect("runs");
    let want: Vec<f64> = values.iter().map(|&x| reference(op, x)).collect();
    assert_eq!(got[0].values, want, "{op}, seed {seed}");
    Some(())
}

/// A folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("etvk-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("temporary folder");
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("there");
        let names = entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn delegates_at_the_same_time_share_one_file() {
    let folder = Folder::new("cache-shared");
    let path = folder.0.join("cache");
    let device = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let path = &path;
                scope.spawn(move || {
                    (0..8).try_for_each(|i| check(UNARY[(t + i) % 4], path, (t * 8 + i) as u64))
                })
            })
            .collect();
        threads
            .into_iter()
            .all(|t| t.join().expect("no panic").is_some())
    });
    if device {
        assert_eq!(folder.names(), ["cache"], "one file, whole");
    }
}

#[test]
fn a_device_that_has_pipelines_takes_a_file_over_and_adds_to_it() {
    let folder = Folder::new("cache-merged");
    let (first, second) = (folder.0.join("first"), folder.0.join("second"));
    if check(UNARY[0], &first, 1).is_none() {
        return;
    }
    // The second file is known to the device by its bytes alone, and has all that it made.
    for op in UNARY {
        check(op, &first, 2);
    }
    fs::copy(&first, &second).expect("copied");
    let before = fs::metadata(&second)
        .expect("there")
        .modified()
        .expect("a time");
    check(UNARY[1], &second, 3);
    let after = fs::metadata(&second)
        .expect("there")
        .modified()
        .expect("a time");
    let unchanged = fs::read(&first).expect("there") == fs::read(&second).expect("there");
    // Other tests may have made pipelines meanwhile; then there is more to write.
    assert!(before == after || !unchanged, "the same was written again");
    assert_eq!(folder.names(), ["first", "second"]);
}

#[test]
fn what_is_no_cache_and_what_cannot_be_written_does_no_harm() {
    let folder = Folder::new("cache-useless");
    let garbage = folder.0.join("garbage");
    fs::write(&garbage, b"etvkpc1\nand nothing more").expect("written");
    let places = [
        garbage.clone(),
        folder.0.clone(),
        folder.0.join("none/cache"),
    ];
    for path in places {
        if check(UNARY[2], &path, 4).is_none() {
            return;
        }
    }
    let bytes = fs::read(&garbage).expect("there");
    assert!(
        bytes.len() > 64 && bytes.starts_with(b"etvkpc1\n"),
        "the garbage was replaced"
    );
    assert_eq!(folder.names(), ["garbage"]);
    // Nothing named is nothing kept.
    assert!(check(UNARY[3], Path::new(""), 5).is_some());
}
