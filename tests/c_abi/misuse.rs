//! Null, garbage, wrong numbers: each is a status and a text, and nothing else happens.

use super::ffi::*;
use super::{device_is_there, in_child, sample, sample_of_data};
use std::ffi::{c_char, CStr};
use std::ptr::{dangling_mut, null, null_mut};

/// Calls every function that takes a delegate with `handle` and otherwise good arguments.
fn with_handle(handle: *mut etvk_delegate) -> Vec<(&'static str, etvk_status)> {
    let mut number = 7u32;
    let mut port = unsafe { std::mem::zeroed::<etvk_port>() };
    let mut memory = unsafe { std::mem::zeroed::<etvk_memory>() };
    let mut convolution = unsafe { std::mem::zeroed::<etvk_convolution>() };
    let mut text = [1 as c_char; 4];
    let mut needed = 7usize;
    let (out, at) = (&raw mut number, &raw mut needed);
    let all = unsafe {
        vec![
            ("input_count", etvk_delegate_input_count(handle, out)),
            ("output_count", etvk_delegate_output_count(handle, out)),
            ("input", etvk_delegate_input(handle, 0, &mut port)),
            ("output", etvk_delegate_output(handle, 0, &mut port)),
            ("resize", etvk_delegate_resize(handle, null(), 0)),
            (
                "execute",
                etvk_delegate_execute(handle, null(), 0, null(), 0),
            ),
            ("memory", etvk_delegate_memory(handle, &mut memory)),
            (
                "convolution_count",
                etvk_delegate_convolution_count(handle, out),
            ),
            (
                "convolution",
                etvk_delegate_convolution(handle, 0, &mut convolution),
            ),
            (
                "report",
                etvk_delegate_report(handle, text.as_mut_ptr(), 4, at),
            ),
            (
                "device_name",
                etvk_delegate_device_name(handle, text.as_mut_ptr(), 4, at),
            ),
        ]
    };
    assert_eq!(
        (number, needed, text),
        (7, 7, [1; 4]),
        "outputs were written on failure"
    );
    all
}

#[test]
fn a_handle_that_is_no_delegate_is_refused_everywhere() {
    let mut zeros = [0u64; 64];
    let garbage: [*mut etvk_delegate; 4] = [
        null_mut(),
        dangling_mut(),
        zeros.as_mut_ptr().cast(),
        usize::MAX as *mut _,
    ];
    for handle in garbage {
        for (name, status) in with_handle(handle) {
            assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT, "{name}({handle:?})");
            assert!(
                last_error().contains("delegate"),
                "{name}: {}",
                last_error()
            );
        }
        unsafe { etvk_delegate_destroy(handle) };
        assert_eq!(last_error(), "");
    }
}

#[test]
fn versions_and_names() {
    assert_eq!(unsafe { etvk_abi_version() }, ETVK_ABI_VERSION);
    let text = |p| {
        unsafe { CStr::from_ptr(p) }
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    assert_eq!(text(unsafe { etvk_version() }), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        text(unsafe { etvk_status_name(ETVK_STATUS_PANIC) }),
        "ETVK_STATUS_PANIC"
    );
    for number in [-1, 12, i32::MIN, i32::MAX] {
        assert_eq!(text(unsafe { etvk_status_name(number) }), "unknown status");
    }
}

fn probe(key: *const c_char, value: *const c_char) -> (etvk_status, String) {
    let option = etvk_option { key, value };
    let status = unsafe { etvk_probe(&option, 1) };
    (status, last_error())
}

#[test]
fn options_are_checked_before_anything_is_opened() {
    let cases: [(*const c_char, *const c_char, &[&str]); 6] = [
        (
            c"workspace".as_ptr(),
            c"1".as_ptr(),
            &["workspace", "workspace_bytes"],
        ),
        (
            c"workspace_bytes".as_ptr(),
            c"16M".as_ptr(),
            &["workspace_bytes", "16M"],
        ),
        (
            c"device_index".as_ptr(),
            c"first".as_ptr(),
            &["device_index", "first"],
        ),
        (null(), c"1".as_ptr(), &["option 0", "key is null"]),
        (c"log".as_ptr(), null(), &["option 0", "value is null"]),
        (c"log".as_ptr(), c"\xff".as_ptr(), &["option 0", "UTF-8"]),
    ];
    for (key, value, names) in cases {
        let (status, message) = probe(key, value);
        assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT, "{message}");
        assert!(names.iter().all(|name| message.contains(name)), "{message}");
    }
    assert_eq!(
        unsafe { etvk_probe(null(), 1) },
        ETVK_STATUS_INVALID_ARGUMENT
    );
    assert_eq!(
        unsafe { etvk_probe(std::ptr::without_provenance(1), 1) },
        ETVK_STATUS_INVALID_ARGUMENT
    );
    assert!(last_error().contains("aligned"), "{}", last_error());
}

#[test]
fn a_device_that_is_not_there() {
    let (status, message) = probe(c"device_index".as_ptr(), c"4294967295".as_ptr());
    assert_eq!(status, ETVK_STATUS_NO_DEVICE, "{message}");
}

#[test]
fn create_checks_its_structure() {
    let blob = *b"not a program, and too short for one";
    let named = Named::new("w", Vec::new());
    let mut out = null_mut();
    let status = unsafe { etvk_delegate_create(null(), &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    let info = create_info(&blob, &named);
    let status = unsafe { etvk_delegate_create(&info, null_mut()) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    assert!(last_error().contains("out is null"));
    for struct_size in [0, info.struct_size - 1, u32::MAX] {
        let info = etvk_create_info {
            struct_size,
            ..info
        };
        let status = unsafe { etvk_delegate_create(&info, &mut out) };
        assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
        assert!(last_error().contains("struct_size"), "{}", last_error());
    }
    #[repr(C)]
    struct Later {
        info: etvk_create_info,
        more: [u64; 2],
    }
    let mut later = Later { info, more: [0; 2] };
    later.info.struct_size = size_of::<Later>() as u32;
    let status = unsafe { etvk_delegate_create((&raw const later).cast(), &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_BLOB, "{}", last_error());
    later.more[1] = 1;
    let status = unsafe { etvk_delegate_create((&raw const later).cast(), &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    let none = etvk_create_info {
        blob: null(),
        ..info
    };
    let status = unsafe { etvk_delegate_create(&none, &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    assert!(last_error().contains("blob is null"));
    let empty = etvk_create_info {
        blob: null(),
        blob_size_bytes: 0,
        ..info
    };
    let status = unsafe { etvk_delegate_create(&empty, &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    let huge = etvk_create_info {
        blob_size_bytes: usize::MAX,
        ..info
    };
    let status = unsafe { etvk_delegate_create(&huge, &mut out) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    assert!(out.is_null());
}

#[test]
fn an_unknown_operator_is_named() {
    if !device_is_there("an_unknown_operator_is_named") {
        return;
    }
    let mut b = super::GraphBuilder::new();
    let x = b.input(etvk::core::tensor::DType::F32, &[1]);
    let y = b.tensor(etvk::core::tensor::DType::F32, &[1]);
    b.node("aten.no_such_thing.default", &[x, y])
        .graph
        .outputs
        .push(y);
    let error = Delegate::create(&b.build(), &Named::new("w", Vec::new())).err();
    let (status, message) = error.expect("refused");
    assert_eq!(status, ETVK_STATUS_UNKNOWN_OPERATOR);
    assert!(message.contains("aten.no_such_thing.default") && message.contains("node 0"));
}

#[test]
fn named_data_that_is_missing_or_short_is_named_and_given_back() {
    if !device_is_there("named_data_that_is_missing_or_short_is_named_and_given_back") {
        return;
    }
    let blob = sample(&[2, 3], "weight");
    let absent = Named::floats("another", &[0.0; 5]);
    let (status, message) = Delegate::create(&blob, &absent).err().expect("absent");
    assert_eq!(
        (status, message.contains("\"weight\"")),
        (ETVK_STATUS_MISSING_DATA, true)
    );
    assert_eq!(absent.lent.get(), 0);
    // Whatever the program says of its length: less than the tensor has is the host's fault.
    for size_bytes in [20, 0, 24] {
        let blob = sample_of_data(&[2, 3], "weight", size_bytes);
        let need = size_bytes.max(20).to_string();
        for count in [0, 1, 4] {
            let short = Named::floats("weight", &vec![0.0; count]);
            let (status, message) = Delegate::create(&blob, &short).err().expect("short");
            assert_eq!(status, ETVK_STATUS_MISSING_DATA, "{message}");
            let has = (4 * count).to_string();
            assert!(
                ["weight", &has, &need].iter().all(|t| message.contains(*t)),
                "{message}"
            );
            assert!(short.lent.get() > 0 && short.lent.get() == short.returned.get());
        }
    }
    let short = Named::floats("weight", &[0.0; 4]);
    let mut info = create_info(&blob, &short);
    info.named_data_get = None;
    let mut out = null_mut();
    let status = unsafe { etvk_delegate_create(&info, &mut out) };
    assert_eq!(status, ETVK_STATUS_MISSING_DATA);
    // After every failure the next one works.
    let good = Named::floats("weight", &[0.0; 5]);
    assert!(Delegate::create(&blob, &good).is_ok());
    assert_eq!(good.lent.get(), good.returned.get());
}

#[test]
fn a_machine_without_drivers_or_loader() {
    let nowhere = "/nonexistent/driver.json";
    let hidden = [("VK_ICD_FILENAMES", nowhere), ("VK_DRIVER_FILES", nowhere)];
    in_child("misuse::child_without_device", &hidden);
    // A loader that is no library: an empty file under its name is found first.
    let folder = std::env::temp_dir().join(format!("etvk-no-loader-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("temporary folder");
    std::fs::write(folder.join("libvulkan.so.1"), b"").expect("temporary file");
    let path = folder.to_string_lossy().into_owned();
    in_child(
        "misuse::child_without_device",
        &[("LD_LIBRARY_PATH", &path)],
    );
    std::fs::remove_dir_all(&folder).expect("temporary folder");
}

#[test]
#[ignore = "run by a_machine_without_drivers_or_loader in an environment of its own"]
fn child_without_device() {
    for _ in 0..2 {
        assert_eq!(unsafe { etvk_probe(null(), 0) }, ETVK_STATUS_NO_DEVICE);
        assert!(!last_error().is_empty());
        let named = Named::floats("weight", &[0.0; 5]);
        let error = Delegate::create(&sample(&[2, 3], "weight"), &named).err();
        assert_eq!(error.expect("no device").0, ETVK_STATUS_NO_DEVICE);
        assert_eq!(named.lent.get(), named.returned.get());
    }
}

#[test]
fn a_device_that_appears_later_is_found() {
    if device_is_there("a_device_that_appears_later_is_found") {
        in_child("misuse::child_with_a_late_device", &[]);
    }
}

#[test]
#[ignore = "run by a_device_that_appears_later_is_found: it changes the environment"]
fn child_with_a_late_device() {
    let names = ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"];
    let before = names.map(std::env::var_os);
    names
        .iter()
        .for_each(|name| std::env::set_var(name, "/nonexistent/driver.json"));
    assert_eq!(unsafe { etvk_probe(null(), 0) }, ETVK_STATUS_NO_DEVICE);
    for (name, value) in names.iter().zip(before) {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
    assert_eq!(
        unsafe { etvk_probe(null(), 0) },
        ETVK_STATUS_OK,
        "{}",
        last_error()
    );
}
