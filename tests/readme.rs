//! The tables of README are what the code says. `ETVK_BLESS=1 cargo test --test readme` rewrites
//! them.

use etvk::core::options;
use etvk::ops::table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// `text` with what stands between the markers of `name` replaced by `table`.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = text.find(&open).expect("opening marker") + open.len();
    let end = text.find(&close).expect("closing marker");
    format!("{}{table}{}", &text[..start], &text[end..])
}

fn option_rows() -> String {
    let mut table = String::from("| option | environment | values | what |\n|--|--|--|--|\n");
    for key in options::KEYS {
        let (name, env) = (key.name, key.env_name());
        writeln!(
            table,
            "| `{name}` | `{env}` | {} | {} |",
            key.allowed, key.doc
        )
        .expect("string");
    }
    table
}

/// A row per file. Names that only passes give are nobody's to export.
fn operator_rows() -> String {
    let mut files: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in table::OPS {
        let module = (entry.type_name)().strip_prefix("etvk::ops::");
        let file = module.and_then(|module| module.split("::").next());
        let names = files.entry(file.expect("a module")).or_default();
        names.extend(entry.names);
    }
    let mut rows = String::from("| file | operators |\n|--|--|\n");
    for (file, names) in files {
        let path = format!("src/ops/{file}.rs");
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists(),
            "{path}"
        );
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(rows, "| `{file}` | {} |", names.join(" ")).expect("string");
    }
    rows
}

#[test]
fn tables_are_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let found = std::fs::read_to_string(path).expect("README.md");
    let wanted = with_table(&found, "options", &option_rows());
    let wanted = with_table(&wanted, "operators", &operator_rows());
    if std::env::var_os("ETVK_BLESS").is_some() {
        std::fs::write(path, &wanted).expect("writable");
        return;
    }
    assert!(
        found == wanted,
        "README.md is stale: ETVK_BLESS=1 cargo test --test readme"
    );
}
