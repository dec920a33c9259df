//! The crate's layers as a table: which module may mention which others. It scans text, so it is a
//! tripwire and not a proof.

use std::fs;
use std::path::{Path, PathBuf};

/// A module with everything under it, and what it may mention of the crate: modules, or single
/// items of them.
const LAYERS: &[(&str, &[&str])] = &[
    // Plain data, and what is computed from it alone.
    ("error", &[]),
    ("log_sink", &["error"]),
    ("shader", &[]),
    ("options", &["error", "log_sink", "tensor"]),
    ("tensor", &["error", "program::BufferId"]),
    ("graph", &["error", "tensor"]),
    ("parallel", &[]),
    ("constant", &["error", "graph", "parallel", "tensor"]),
    ("strided", &["error", "tensor"]),
    (
        "program",
        &["constant", "graph", "ops::conv2d", "shader", "tensor"],
    ),
    ("memory", &["error", "program", "tensor"]),
    // The pure core.
    ("parse", &["error", "graph", "tensor"]),
    ("state", &["error", "graph", "tensor"]),
    ("passes", &["constant", "error", "graph", "ops", "tensor"]),
    (
        "builder",
        &[
            "compile::InputShape",
            "constant",
            "error",
            "graph",
            "ops::conv2d",
            "ops::copy",
            "options",
            "program",
            "shader",
            "tensor",
        ],
    ),
    (
        "ops",
        &[
            "builder", "constant", "error", "graph", "ops", "options", "program", "shader",
            "strided", "tensor",
        ],
    ),
    (
        "compile",
        &[
            "builder", "error", "graph", "ops", "options", "program", "tensor",
        ],
    ),
    // The shell: no operators, and of graphs only where the bytes of constants are.
    (
        "vk",
        &[
            "constant",
            "error",
            "graph::ConstantSource",
            "memory",
            "options",
            "parallel::Workers",
            "program",
            "shader",
            "tensor",
        ],
    ),
    (
        "delegate",
        &[
            "compile",
            "constant",
            "error",
            "graph",
            "memory",
            "ops::conv2d",
            "options",
            "parallel",
            "parse",
            "passes",
            "program",
            "state",
            "tensor",
            "vk",
        ],
    ),
    (
        "ffi",
        &[
            "compile::InputShape",
            "constant",
            "delegate",
            "error",
            "graph::ConstantSource",
            "log_sink",
            "ops::conv2d",
            "options",
            "program",
            "tensor",
            "vk",
        ],
    ),
];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["vk", "ffi"];

/// Lines of a source file; beyond, it becomes a folder.
const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file: its top module, its name for messages, its text.
fn files() -> Vec<(String, String, String)> {
    let mut paths = Vec::new();
    sources(&root(), &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "the sources are not where they were");
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).expect("inside");
        let first = name.components().next().expect("a name").as_os_str();
        let module = first.to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(path).expect("UTF-8");
        (module, name.display().to_string(), text)
    };
    paths.iter().map(read).collect()
}

/// `text` without comments and without unit tests, which may use anything.
fn code(text: &str) -> String {
    let end = text
        .find("\n#[cfg(test)]\nmod tests {")
        .unwrap_or(text.len());
    text[..end].lines().map(|line| bare(line) + "\n").collect()
}

/// `line` without strings and without the comment at its end.
fn bare(line: &str) -> String {
    let outside: Vec<&str> = line.split('"').step_by(2).collect();
    outside.join("").split("//").next().unwrap_or("").to_owned()
}

/// Paths after each `crate::`, with `{a, b::c}` spelled out.
fn mentions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches(':');
        match rest[end..]
            .strip_prefix('{')
            .filter(|_| rest[..end].ends_with("::") || end == 0)
        {
            Some(list) => {
                let list = &list[..list.find('}').unwrap_or(list.len())];
                for item in list
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                {
                    found.push(
                        format!("{path}::{item}")
                            .trim_start_matches("::")
                            .to_owned(),
                    );
                }
            }
            None => found.push(path.to_owned()),
        }
    }
    found
}

fn allowed(path: &str, list: &[&str]) -> bool {
    list.iter()
        .any(|entry| path == *entry || path.starts_with(&format!("{entry}::")))
}

#[test]
fn modules_mention_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for (module, name, text) in files() {
        if module == "lib" || name.ends_with("tests.rs") {
            continue;
        }
        let Some((_, list)) = LAYERS.iter().find(|(layer, _)| *layer == module) else {
            wrong.push(format!("{name}: module {module} is not in the table"));
            continue;
        };
        for path in mentions(&code(&text)) {
            if !allowed(&path, list) && !allowed(&path, &[module.as_str()]) {
                wrong.push(format!("{name} mentions crate::{path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_the_shell() {
    let mut wrong = Vec::new();
    for (module, name, text) in files() {
        let word = |line: &str| {
            line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .any(|word| word == "unsafe")
        };
        for (number, line) in text.lines().enumerate() {
            if word(&bare(line)) && !UNSAFE.contains(&module.as_str()) {
                wrong.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe in {}", wrong.join(", "));
}

#[test]
fn files_stay_readable() {
    for (_, name, text) in files() {
        let lines = text.lines().count();
        assert!(
            lines <= MAX_LINES,
            "{name} has {lines} lines, at most {MAX_LINES} are readable"
        );
    }
}

#[test]
fn the_wire_trips() {
    let text = "use crate::base::error::{Error, Result};\nuse crate::{vk, graph::Graph};\nlet x = crate::ops::copy::emit();";
    let found = mentions(text);
    assert_eq!(
        found,
        [
            "error::Error",
            "error::Result",
            "vk",
            "graph::Graph",
            "ops::copy::emit"
        ]
    );
    assert!(allowed("ops::conv2d::ConvReport", &["ops::conv2d"]));
    assert!(!allowed("ops::conv2d_other", &["ops::conv2d"]));
    assert!(!allowed("graph::Graph", &["graph::ConstantSource"]));
    assert!(
        code("a // crate::shell::vk\n#[cfg(test)]\nmod tests {\ncrate::ffi")
            .find("crate")
            .is_none()
    );
}
