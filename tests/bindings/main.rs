//! `tests/bindings/etvk.rs` is what bindgen makes of `include/etvk.h`, so that the Rust tests call
//! the library exactly as C hosts see it. `ETVK_BLESS=1` rewrites it.

use std::path::Path;

/// The header as Rust. C++ mode, where an enum has the type that it names.
fn generate(header: &Path) -> String {
    bindgen::Builder::default()
        .header(header.to_string_lossy())
        .clang_args(["-x", "c++", "-std=c++11"])
        .allowlist_item("etvk_.*|ETVK_.*")
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("known"))
        .prepend_enum_name(false)
        .use_core()
        .layout_tests(true)
        .formatter(bindgen::Formatter::None)
        .disable_header_comment()
        .generate_comments(false)
        .generate()
        .expect("the header is C++")
        .to_string()
        // One statement per line, so that a change reads well.
        .replace("; ", ";\n")
        .replace("} ", "}\n")
}

#[test]
fn bindings_are_generated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Err(error) = clang_is_there() {
        eprintln!(
            "SKIPPED bindings_are_generated: no libclang ({error}); LIBCLANG_PATH names its folder"
        );
        return;
    }
    let made = generate(&root.join("include/etvk.h"));
    let path = root.join("tests/bindings/etvk.rs");
    if std::env::var_os("ETVK_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, &made).expect("the bindings are writable");
    }
    let committed = std::fs::read_to_string(&path).expect("the bindings are there");
    assert!(
        committed == made,
        "tests/bindings/etvk.rs is not what include/etvk.h says; ETVK_BLESS=1 rewrites it"
    );
}

/// bindgen panics where it finds no libclang.
fn clang_is_there() -> Result<(), String> {
    std::panic::catch_unwind(|| bindgen::clang_version().full)
        .map(|_| ())
        .map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}
