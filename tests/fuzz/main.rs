//! Hostile programs: valid ones, mutated from a seed. Nothing that a blob says may make this library
//! panic, hang, or take memory or time out of proportion.
//!
//! `make fuzz FUZZ_SECONDS=3600` runs for as long as one likes; `FUZZ_SEED` repeats a run, with
//! `FUZZ_FIRST` from a certain program on, `FUZZ_PROGRAMS` says how many. `FUZZ_BLOB` names a file
//! to try instead.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "a counting allocator, and what a C host does"
)]

#[path = "../common/blob.rs"]
mod blob;
mod bindings {
    #![allow(
        non_camel_case_types,
        dead_code,
        unreachable_pub,
        missing_docs,
        reason = "generated names"
    )]
    include!("../bindings/etvk.rs");
}
mod check;
mod device;
mod host;
mod meter;
mod mutate;
#[path = "../common/random.rs"]
mod random;
mod seeds;
mod size;

use check::{devices, survive, Data, PaddedImages, Reached};
use etvk::compile::load;
use etvk::core::device::{DeviceLimits, DeviceView};
use meter::Meter;
use random::Random;
use seeds::Seed;
use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Host memory that a program may take while it is parsed, compiled and planned.
const MAX_BYTES: usize = 256 << 20;
/// How long that may take on a busy machine; what is quadratic takes minutes.
const MAX_TIME: Duration = Duration::from_secs(20);
/// After so many different failures there is enough to look at.
const MAX_FAILURES: usize = 20;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().filter(|text| !text.is_empty());
    value.map_or(default, |text| text.parse().expect("a whole number"))
}

/// The seed of this run.
fn seed() -> u64 {
    setting("FUZZ_SEED", 6)
}

/// Program `number` of `seed`, or the file that `FUZZ_BLOB` names, and what else is random.
fn hostile(seeds: &[Seed], seed: u64, number: u64) -> (Vec<u8>, Random) {
    match std::env::var_os("FUZZ_BLOB") {
        Some(file) => (std::fs::read(file).expect("a file"), Random::new(number)),
        None => mutate::program(seeds, seed, number),
    }
}

/// Where programs that fail are left.
fn failures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// What `survive` makes of `blob` within its bounds, or what is wrong with it.
fn tried(blob: &[u8], r: &mut Random, devices: &[DeviceLimits]) -> Result<Reached, String> {
    let (start, meter) = (Instant::now(), Meter::start());
    let result = catch_unwind(AssertUnwindSafe(|| survive(blob, r, devices)));
    let (time, bytes) = (start.elapsed(), meter.peak_bytes());
    let reached = result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        format!("{}: {}", meter::place(), text.unwrap_or_default())
    })?;
    if time > MAX_TIME {
        return Err(format!("took {time:?}, {reached:?}"));
    }
    if bytes > MAX_BYTES {
        return Err(format!("took {bytes} bytes, {reached:?}"));
    }
    Ok(reached)
}

#[test]
fn every_operator_is_a_seed_that_compiles() {
    let calls = seeds::calls();
    let names = etvk::ops::table::OPS.iter().flat_map(|entry| entry.names);
    let without = names.filter(|name| !calls.iter().any(|s| s.name == **name));
    let mut wrong: Vec<String> = without.map(|name| format!("{name} has no seed")).collect();
    for seed in calls {
        let options = etvk::core::options::Options::default();
        for limits in devices() {
            let on = DeviceView {
                limits: &limits,
                images: &PaddedImages,
            };
            let planned = load::plan(&seed.blob, &Data(&seed.blob), on, &options);
            wrong.extend(planned.err().map(|e| format!("{}: {e}", seed.name)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Mutated programs through everything but a device.
#[test]
fn mutated_programs_are_programs_or_errors() {
    let seeds = seeds::all();
    let (seed, first) = (seed(), setting("FUZZ_FIRST", 0));
    let time = Duration::from_secs(setting("FUZZ_SECONDS", 20));
    let count = setting("FUZZ_PROGRAMS", u64::MAX);
    println!("FUZZ_SEED={seed}, {} seeds, {time:?}", seeds.len());
    let start = Instant::now();
    let mut reached: BTreeMap<Reached, u64> = BTreeMap::new();
    let (devices, mut slowest) = (devices(), (Duration::ZERO, first));
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    let mut number = first;
    meter::quiet();
    let watch = meter::Watch::start(Duration::from_secs(60));
    while start.elapsed() < time && number - first < count && failed.len() < MAX_FAILURES {
        let (blob, mut r) = hostile(&seeds, seed, number);
        watch.at(seed, number);
        let begun = Instant::now();
        let result = tried(&blob, &mut r, &devices);
        slowest = slowest.max((begun.elapsed(), number));
        match result {
            Ok(how_far) => *reached.entry(how_far).or_default() += 1,
            Err(message) => {
                let kind = meter::without_numbers(&message);
                let times = failed.entry(kind).or_default();
                if *times == 0 {
                    let file = failures().join(format!("{seed}-{number}.bin"));
                    std::fs::write(&file, &blob).expect("written");
                    println!("FUZZ_SEED={seed} FUZZ_FIRST={number} FUZZ_PROGRAMS=1: {message}");
                    println!("  {} bytes in {}", blob.len(), file.display());
                }
                *times += 1;
            }
        }
        number += 1;
    }
    watch.end();
    println!(
        "{} programs in {:?}: {reached:?}; slowest {slowest:?}",
        number - first,
        start.elapsed()
    );
    assert!(failed.is_empty(), "seed {seed}: {failed:#?}");
}

/// Programs that once failed, as bytes.
#[test]
fn the_corpus_survives() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "bin"))
        .collect();
    files.sort();
    for file in files {
        let blob = std::fs::read(&file).expect("readable");
        for seed in 0..20 {
            if let Err(message) = tried(&blob, &mut Random::new(seed), &devices()) {
                panic!("{}, seed {seed}: {message}", file.display());
            }
        }
    }
}
