//! Who imports whom, read from the source: `crate::`, `super::` and `self::` paths, in `use` lines and
//! in the middle of code, and paths that begin with a child module's name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One file of the crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// Its path below `src`.
    pub file: String,
    /// Its module, as `a::b`; empty for the crate's root.
    pub module: String,
    /// All of it.
    pub text: String,
    /// Modules of the files that it imports from. A parent does not import the children that it
    /// declares or re-exports.
    pub imports: BTreeSet<String>,
}

impl Source {
    /// Whether it is a parent that holds nothing but its children's names.
    pub(crate) fn only_declares(&self) -> bool {
        self.imports.is_empty() && self.text.contains("mod ")
    }
}

/// Every text file under `folder` that is code: its path there, and its text.
pub(crate) fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    const CODE: &[&str] = &["rs", "comp", "glsl", "c", "h", "cpp", "hpp", "py"];
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let ends = path.extension().and_then(|e| e.to_str());
        if path.is_dir() {
            collect(root, &path, found);
        } else if ends.is_some_and(|e| CODE.contains(&e)) {
            let name = path.strip_prefix(root).expect("inside").display();
            found.push((name.to_string(), fs::read_to_string(&path).expect("UTF-8")));
        }
    }
}

/// The sources under `root` with their imports. Unit tests may import anything and are left out.
pub(crate) fn read(root: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = files(root)
        .into_iter()
        .filter(|(file, _)| file.ends_with(".rs") && !file.ends_with("tests.rs"))
        .map(|(file, text)| {
            let module = file.trim_end_matches(".rs").replace('/', "::");
            let module = if module == "lib" {
                String::new()
            } else {
                module
            };
            Source {
                file,
                module,
                text,
                imports: BTreeSet::new(),
            }
        })
        .collect();
    let modules: BTreeSet<String> = sources.iter().map(|source| source.module.clone()).collect();
    for source in &mut sources {
        source.imports = imports(&source.module, &source.text, &modules);
    }
    sources
}

/// Modules among `modules` that `text`, the file of `module`, imports.
fn imports(module: &str, text: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let text = code(text);
    let children = children(&text);
    let mut found = BTreeSet::new();
    let (uses, rest) = uses(&text);
    let mut paths: Vec<(bool, String)> = Vec::new();
    for (public, tree) in uses {
        paths.extend(spelled_out(&tree).into_iter().map(|path| (public, path)));
    }
    paths.extend(
        mentions(&rest, &children)
            .into_iter()
            .map(|path| (false, path)),
    );
    for (public, path) in paths {
        let Some(path) = absolute(module, &children, &path) else {
            continue;
        };
        let target = file_of(&path, modules);
        let own_child = target != module && within_module(&target, module);
        if target != module && !(public && own_child) {
            found.insert(target);
        }
    }
    found
}

fn within_module(target: &str, module: &str) -> bool {
    module.is_empty() || target.starts_with(&format!("{module}::"))
}

/// `text` without comments, strings and unit tests.
pub(crate) fn code(text: &str) -> String {
    let tests = text.find("\n#[cfg(test)]\nmod tests {");
    let text = &text[..tests.unwrap_or(text.len())];
    text.lines().map(|line| bare(line) + "\n").collect()
}

/// `line` without strings and without the comment at its end.
pub(crate) fn bare(line: &str) -> String {
    let outside: Vec<&str> = line.split('"').step_by(2).collect();
    outside.join("").split("//").next().unwrap_or("").to_owned()
}

/// What stands in quotes in `text`, without comments and unit tests.
pub(crate) fn strings(text: &str) -> Vec<String> {
    let tests = text.find("\n#[cfg(test)]\nmod tests {");
    let mut rest = &text[..tests.unwrap_or(text.len())];
    let mut found = Vec::new();
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let from = &rest[at..];
        let length = if from.starts_with("//") {
            from.find('\n').unwrap_or(from.len())
        } else if from.starts_with("'\"'") {
            3
        } else if let Some(inside) = from.strip_prefix('"') {
            let mut escaped = false;
            let end = inside.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.unwrap_or(inside.len());
            found.push(inside[..end].to_owned());
            (end + 2).min(from.len())
        } else {
            1
        };
        rest = &from[length..];
    }
    found
}

/// Names of `mod name;` in `text`.
fn children(text: &str) -> BTreeSet<String> {
    let declared = text.lines().filter_map(|line| {
        let line = line.trim().strip_suffix(';')?;
        let (before, name) = line.rsplit_once("mod ")?;
        let visible = before.trim().is_empty() || before.trim_start().starts_with("pub");
        visible.then(|| name.to_owned())
    });
    declared.collect()
}

/// The `use` declarations of `text`, whether each is public, and everything else.
fn uses(text: &str) -> (Vec<(bool, String)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    for statement in text.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|&at| {
            let before = statement[..at].lines().last().unwrap_or("").trim();
            statement.ends_with(';') && (before.is_empty() || before.starts_with("pub"))
        });
        match start {
            Some(at) => {
                let before = &statement[..at];
                let line = before.lines().last().unwrap_or("");
                found.push((
                    line.contains("pub"),
                    statement[at + 4..].trim_end_matches(';').into(),
                ));
                rest.push_str(before);
            }
            None => rest.push_str(statement),
        }
    }
    (found, rest)
}

/// `a::{b, c::{d as e, f}}` as `a::b`, `a::c::d`, `a::c::f`.
pub(crate) fn spelled_out(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or("").trim();
        return vec![path.split_whitespace().collect()];
    };
    let prefix: String = tree[..open].split_whitespace().collect();
    let inside = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut part, mut parts) = (0i32, String::new(), Vec::new());
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    parts.push(part);
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    let whole = parts.flat_map(|part| spelled_out(part));
    whole.map(|path| format!("{prefix}{path}")).collect()
}

/// Paths in the middle of code that begin at the crate, at a parent, here, or at a child.
fn mentions(text: &str, children: &BTreeSet<String>) -> Vec<String> {
    let path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = text
        .split(|c: char| !path(c))
        .filter(|word| word.contains("::"));
    let begins = |word: &&str| {
        let first = word.split("::").next().unwrap_or("");
        ["crate", "super", "self"].contains(&first) || children.contains(first)
    };
    words
        .filter(begins)
        .map(|word| word.trim_end_matches(':').to_owned())
        .collect()
}

/// `path` from the crate's root, as it is written in `module`; `None` where it is of another crate.
fn absolute(module: &str, children: &BTreeSet<String>, path: &str) -> Option<Vec<String>> {
    let mut segments: Vec<&str> = path
        .split("::")
        .filter(|segment| !segment.is_empty())
        .collect();
    let mut base: Vec<&str> = module
        .split("::")
        .filter(|segment| !segment.is_empty())
        .collect();
    match *segments.first()? {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while segments.get(1) == Some(&"super") {
                base.pop();
                segments.remove(0);
            }
            base.pop();
        }
        first if children.contains(first) => segments.insert(0, "self"),
        _ => return None,
    }
    Some(
        base.into_iter()
            .chain(segments.into_iter().skip(1))
            .map(str::to_owned)
            .collect(),
    )
}

/// The longest part of `path` that is a file.
fn file_of(path: &[String], modules: &BTreeSet<String>) -> String {
    let lengths = (0..=path.len()).rev();
    let names = lengths.map(|length| path[..length].join("::"));
    names
        .into_iter()
        .find(|name| modules.contains(name))
        .unwrap_or_default()
}

/// Groups of files of which each imports every other, directly or by way of the others.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let graph: BTreeMap<&str, &BTreeSet<String>> = sources
        .iter()
        .map(|source| (source.module.as_str(), &source.imports))
        .collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|&module| (module, reachable(&graph, module)))
        .collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, beyond) in &reached {
        let mutual = beyond
            .iter()
            .filter(|other| reached[*other].contains(module));
        let circle: Vec<String> = mutual.map(|other| other.to_string()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(graph: &BTreeMap<&'a str, &'a BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = open.pop() {
        for target in graph
            .get(module.as_str())
            .into_iter()
            .flat_map(|set| set.iter())
        {
            if let Some((&target, _)) = graph.get_key_value(target.as_str()) {
                if found.insert(target) {
                    open.push(target.to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn paths_of_every_form_are_read() {
    let text = "use crate::base::error::{Error, Result};\nuse super::{b, c::{D as E}};\n\
                pub use child::Item;\nmod child;\nmod other;\n\
                fn f() { crate::core::graph::g(); self::child::h(); other::i() } // crate::no\n\
                const S: &str = \"crate::no\";\n#[cfg(test)]\nmod tests {\nuse crate::shell;\n}";
    let modules = [
        "",
        "base::error",
        "a",
        "a::child",
        "a::other",
        "b",
        "c",
        "core::graph",
        "shell",
        "no",
    ];
    let modules = modules.map(str::to_owned).into();
    let found: Vec<String> = imports("a", text, &modules).into_iter().collect();
    assert_eq!(
        found,
        [
            "a::child",
            "a::other",
            "b",
            "base::error",
            "c",
            "core::graph"
        ]
    );
    // Re-exports alone are no imports.
    assert!(imports("a", "mod child;\npub use child::{X, Y};", &modules).is_empty());
    assert!(imports("a", "mod child;\npub use self::child::X;", &modules).is_empty());
    assert_eq!(imports("a", "mod child;\nuse child::X;", &modules).len(), 1);
}

#[test]
fn strings_are_read_outside_comments_and_tests() {
    let text = "let a = \"one\"; // \"two\"\nlet b = '\"'; let c = f(\"\\\"three\", \"four\\\n \
                five\");\n/// \"six\"\n#[cfg(test)]\nmod tests {\nlet d = \"seven\";\n}";
    let found = strings(text);
    assert_eq!(found, ["one", "\\\"three", "four\\\n five"]);
}

#[test]
fn circles_are_named() {
    let source = |module: &str, imports: &[&str]| Source {
        module: module.into(),
        imports: imports.iter().map(|i| i.to_string()).collect(),
        ..Source::default()
    };
    let line = [source("a", &["b"]), source("b", &["c"]), source("c", &[])];
    assert!(circles(&line).is_empty());
    let ring = [
        source("a", &["b"]),
        source("b", &["c"]),
        source("c", &["a", "d"]),
        source("d", &[]),
    ];
    assert_eq!(circles(&ring), [["a", "b", "c"]]);
}
