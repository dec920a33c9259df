//! The C ABI through bindings made from the committed header: what a C host sees.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "this is what a C host does; the ABI's own checks are what is tested"
)]

#[path = "../common/blob.rs"]
mod blob;
mod ffi;
mod misuse;
mod run;

use blob::GraphBuilder;
use etvk::core::tensor::DType;
use ffi::*;

/// `y = clone(x)` (fp32, `dims`) and the named constant `key` (fp32, 5 elements) as second output.
fn sample(dims: &[u32], key: &str) -> Vec<u8> {
    sample_of_data(dims, key, 20)
}

/// The same where the program states `size_bytes` of named data, 0 for nothing.
fn sample_of_data(dims: &[u32], key: &str, size_bytes: u64) -> Vec<u8> {
    let mut b = GraphBuilder::new();
    let x = b.input(DType::F32, dims);
    let y = b.tensor(DType::F32, dims);
    let w = b.named(DType::F32, &[5], key, size_bytes);
    let packed = b.tensor(DType::F32, &[5]);
    let none = b.none();
    b.node("aten.clone.default", &[x, none, y]);
    b.node("et_vk.prepack.default", &[w, packed]);
    b.output(y).output(packed);
    b.build()
}

/// Whether there is a device to test on; says so when there is none.
fn device_is_there(test: &str) -> bool {
    let status = unsafe { etvk_probe(std::ptr::null(), 0) };
    match status {
        ETVK_STATUS_OK => true,
        ETVK_STATUS_NO_DEVICE => {
            eprintln!("SKIPPED {test}: {}", last_error());
            false
        }
        _ => panic!("a device is there but does not start: {}", last_error()),
    }
}

/// Runs the ignored test `name` of this binary in a process of its own, with `variables` set.
fn in_child(name: &str, variables: &[(&str, &str)]) {
    let out = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .expect("the test binary starts");
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{name}: {}\n{text}", out.status);
    assert!(text.contains("1 passed"), "{name} did not run:\n{text}");
}
