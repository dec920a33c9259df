//! The crate's layers, kept: which folder may import which others, that no files import one another
//! in a circle, where `unsafe` may stand, and how long a file may be. It reads the source as text.

#[path = "layering/imports.rs"]
mod imports;

use imports::{circles, Source};
use std::path::Path;

/// A folder with everything under it, and what it may import of the crate: folders, or single files.
/// Each permit is used: one that nothing uses any more is an error, so that the table stays true.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("core", &["base"]),
    ("ops::support", &["base", "core"]),
    ("ops", &["base", "core", "ops::support"]),
    ("compile", &["base", "core", "ops"]),
    // Vulkan sees programs and plans, no operators and no graphs.
    (
        "shell::vk",
        &[
            "base",
            "core::constant",
            "core::device",
            "core::image",
            "core::memory",
            "core::options",
            "core::program",
            "core::shader",
            "core::tensor",
            "core::valid",
        ],
    ),
    ("shell::delegate", &["base", "compile", "core", "shell::vk"]),
    (
        "shell::ffi",
        &["base", "core", "shell::delegate", "shell::vk"],
    ),
];

/// Where `unsafe` may stand; `core::parse` and `shell` only say where it is allowed.
const UNSAFE: &[&str] = &["shell::vk", "shell::ffi"];

/// Lines of a source file; beyond, it becomes a folder.
const MAX_LINES: usize = 500;

/// Imports that are counted at least, so that a reader which sees none fails.
const MIN_IMPORTS: usize = 300;

fn sources() -> Vec<Source> {
    let sources = imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let count: usize = sources.iter().map(|source| source.imports.len()).sum();
    assert!(count >= MIN_IMPORTS, "{count} imports: what is read?");
    sources
}

/// Whether `module` is `folder` or under it.
fn within(module: &str, folder: &str) -> bool {
    module == folder
        || module
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with("::"))
}

#[test]
fn folders_import_only_what_is_below_them() {
    let (mut wrong, mut used) = (Vec::new(), Vec::new());
    for source in sources() {
        if source.only_declares() {
            continue;
        }
        // The innermost folder of the table decides.
        let layer = LAYERS
            .iter()
            .filter(|(layer, _)| within(&source.module, layer));
        let Some((layer, permits)) = layer.max_by_key(|(layer, _)| layer.len()) else {
            wrong.push(format!("{} is in no layer", source.file));
            continue;
        };
        for target in &source.imports {
            let permit = permits.iter().find(|permit| within(target, permit));
            match permit {
                Some(permit) => used.push((*layer, *permit)),
                None if within(target, layer) => {}
                None => wrong.push(format!("{} imports {target}", source.file)),
            }
        }
    }
    for (layer, permits) in LAYERS {
        for permit in permits
            .iter()
            .filter(|permit| !used.contains(&(layer, permit)))
        {
            wrong.push(format!(
                "{layer} imports nothing of {permit}: the permit goes"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_one_another() {
    let circles = circles(&sources());
    assert!(circles.is_empty(), "files in circles: {circles:#?}");
}

#[test]
fn unsafe_stays_in_the_shell() {
    let mut wrong = Vec::new();
    for source in sources() {
        let word = |line: &str| {
            line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .any(|word| word == "unsafe")
        };
        if UNSAFE.iter().any(|layer| within(&source.module, layer)) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            if word(&imports::bare(line)) {
                wrong.push(format!("{}:{}", source.file, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe in {}", wrong.join(", "));
}

#[test]
fn files_stay_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut long = Vec::new();
    for folder in ["src", "tests", "shaders", "cpp_harness"] {
        for (file, text) in imports::files(&root.join(folder)) {
            let lines = text.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{folder}/{file} has {lines} lines"));
            }
        }
    }
    assert!(
        long.is_empty(),
        "at most {MAX_LINES} are readable: {long:#?}"
    );
}
