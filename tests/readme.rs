//! The tables of README are what the code says. `ETVK_BLESS=1 cargo test --test readme` rewrites
//! them.

use etvk::core::options;
use etvk::ops::table;
use std::fmt::Write as _;

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

fn operator_rows() -> String {
    let mut rows: Vec<String> = table::OPS
        .iter()
        .map(|entry| {
            let mut names: Vec<&str> = entry.names.to_vec();
            names.sort_unstable();
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("| {} |\n", names.join(" "))
        })
        .collect();
    rows.sort();
    format!("| operators |\n|--|\n{}", rows.concat())
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
