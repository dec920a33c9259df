//! `include/etvk.h` is what cbindgen makes of `src/shell/ffi`. `ETVK_BLESS=1` rewrites it.

use std::path::Path;

#[test]
fn header_is_generated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("include/cbindgen.toml")).expect("config");
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/shell/ffi/types.rs"))
        .with_src(root.join("src/shell/ffi.rs"))
        .with_src(root.join("src/shell/ffi/host_device.rs"))
        .generate()
        .expect("src/shell/ffi has a C interface")
        .write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    let path = root.join("include/etvk.h");
    if std::env::var_os("ETVK_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, &made).expect("the header is writable");
    }
    let committed = std::fs::read_to_string(&path).expect("the header is there");
    for (line, (a, b)) in (1..).zip(committed.lines().zip(made.lines())) {
        assert_eq!(
            a, b,
            "include/etvk.h:{line} is not what src/shell/ffi says; ETVK_BLESS=1 rewrites it"
        );
    }
    assert!(
        committed == made,
        "include/etvk.h has other length; ETVK_BLESS=1 rewrites it"
    );
}
