//! Hostile programs through the C ABI on a device: create, resize, execute, destroy. In a process of
//! its own, since a driver that crashes or hangs takes its process along.

use super::bindings::*;
use super::random::Random;
use super::{failures, host, hostile, meter, seed, seeds, setting};
use etvk::compile::bound_shapes;
use etvk::core::graph::InputShape;
use etvk::core::parse::parse;
use std::ffi::{c_char, c_void, CStr};
use std::mem::MaybeUninit;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// What one program may take on a CPU under the validation layers.
const MAX_TIME: Duration = Duration::from_secs(90);
/// Bytes that the host has for any named constant.
const NAMED_BYTES: usize = 1 << 22;
/// Enough for the small seeds; what asks for more is refused before it is allocated.
const OPTIONS: [(&CStr, &CStr); 2] = [(c"keep_device", c"1"), (c"memory_limit_bytes", c"4194304")];

/// Named constants that are lent now.
static LENT: AtomicI64 = AtomicI64::new(0);

#[test]
fn mutated_programs_run_or_are_refused() {
    let this = std::env::current_exe().expect("this program");
    let mut child = Command::new(this);
    child.args(["device::child", "--exact", "--ignored", "--nocapture"]);
    // The runtime of a sanitizer, for one.
    if let Some(library) = std::env::var_os("FUZZ_PRELOAD").filter(|path| !path.is_empty()) {
        child.env("LD_PRELOAD", library);
    }
    let child = child.status().expect("a child");
    assert!(child.success(), "{child}; its output says which program");
}

#[test]
#[ignore = "started by mutated_programs_run_or_are_refused"]
fn child() {
    if unsafe { etvk_probe(std::ptr::null(), 0) } == ETVK_STATUS_NO_DEVICE {
        println!("SKIPPED, no device: {}", last_error());
        return;
    }
    let seeds = seeds::all();
    // Other programs than those that only the pure core sees.
    let (seed, first) = (seed().wrapping_add(1), setting("FUZZ_FIRST", 0));
    let time = Duration::from_secs(setting("FUZZ_SECONDS", 20));
    let count = setting("FUZZ_PROGRAMS", u64::MAX);
    let named: Vec<u8> = [0, 0, 0, 0x3E].repeat(NAMED_BYTES / 4);
    let (start, mut number, mut ran) = (Instant::now(), first, [0u64; 3]);
    let mut slowest = (Duration::ZERO, 0);
    println!("on a device: FUZZ_SEED={} {time:?}", seed.wrapping_sub(1));
    let watch = meter::Watch::start(MAX_TIME);
    while start.elapsed() < time && number - first < count {
        let (blob, mut r) = hostile(&seeds, seed, number);
        // Kept while it runs: a crash leaves it there.
        let file = failures().join("on-device.bin");
        std::fs::write(file, &blob).expect("written");
        watch.at(seed, number);
        let begun = Instant::now();
        if let Err(message) = run(&blob, &mut r, &named, &mut ran) {
            let kept = failures().join(format!("device-{seed}-{number}.bin"));
            std::fs::write(&kept, &blob).expect("written");
            panic!(
                "FUZZ_FIRST={number} FUZZ_PROGRAMS=1 ({}): {message}",
                kept.display()
            );
        }
        assert_eq!(
            LENT.load(Ordering::Relaxed),
            0,
            "FUZZ_FIRST={number}: constants are kept"
        );
        slowest = slowest.max((begun.elapsed(), number));
        number += 1;
    }
    watch.end();
    assert_eq!(unsafe { etvk_release_devices() }, ETVK_STATUS_OK);
    let mut held = MaybeUninit::<etvk_process_memory>::zeroed();
    assert_eq!(
        unsafe { etvk_memory_of_process(held.as_mut_ptr()) },
        ETVK_STATUS_OK
    );
    let held = unsafe { held.assume_init() };
    assert_eq!(held.driver_bytes, 0, "device memory is kept");
    let [made, resized, executed] = ran;
    println!(
        "{} programs on a device: {made} loaded, {resized} resizes, {executed} runs; slowest {slowest:?}",
        number - first
    );
}

fn last_error() -> String {
    let message = unsafe { CStr::from_ptr(etvk_last_error()) };
    message.to_string_lossy().into_owned()
}

/// Whether the call did what was asked; blaming the library, the driver or the device is a failure.
fn went_well(what: &str, status: etvk_status) -> Result<bool, String> {
    match status {
        ETVK_STATUS_OK => Ok(true),
        ETVK_STATUS_INTERNAL
        | ETVK_STATUS_PANIC
        | ETVK_STATUS_DEVICE_LOST
        | ETVK_STATUS_TIMEOUT
        | ETVK_STATUS_NO_DEVICE => Err(format!("{what}: status {status}: {}", last_error())),
        _ => Ok(false),
    }
}

unsafe extern "C" fn get(
    context: *mut c_void,
    _: *const c_char,
    data: *mut *const c_void,
    size_bytes: *mut usize,
    token: *mut *mut c_void,
) -> i32 {
    LENT.fetch_add(1, Ordering::Relaxed);
    unsafe {
        *data = context;
        *size_bytes = NAMED_BYTES;
        *token = context;
    }
    0
}

unsafe extern "C" fn release(_: *mut c_void, _: *mut c_void) {
    LENT.fetch_sub(1, Ordering::Relaxed);
}

fn run(blob: &[u8], r: &mut Random, named: &[u8], ran: &mut [u64; 3]) -> Result<(), String> {
    let options = OPTIONS.map(|(key, value)| etvk_option {
        key: key.as_ptr(),
        value: value.as_ptr(),
    });
    let info = etvk_create_info {
        struct_size: size_of::<etvk_create_info>() as u32,
        option_count: options.len() as u32,
        options: options.as_ptr(),
        blob: blob.as_ptr().cast(),
        blob_size_bytes: blob.len(),
        named_data_get: Some(get),
        named_data_release: Some(release),
        named_data_context: named.as_ptr().cast_mut().cast(),
    };
    let mut delegate = std::ptr::null_mut();
    if !went_well("create", unsafe {
        etvk_delegate_create(&info, &mut delegate)
    })? {
        return match delegate.is_null() {
            true => Ok(()),
            false => Err("a delegate of a failed create".to_owned()),
        };
    }
    ran[0] += 1;
    let result = used(delegate, blob, r, ran);
    unsafe { etvk_delegate_destroy(delegate) };
    result
}

fn used(
    delegate: *mut etvk_delegate,
    blob: &[u8],
    r: &mut Random,
    ran: &mut [u64; 3],
) -> Result<(), String> {
    execute(delegate, r, ran)?;
    let bound = parse(blob).and_then(|graph| bound_shapes(&graph));
    let bound = bound.map_err(|e| format!("loaded, yet not parsed: {e}"))?;
    for _ in 0..3 {
        let shapes: Vec<etvk_input_shape> = host::shapes(r, &bound).iter().map(shape).collect();
        let status =
            unsafe { etvk_delegate_resize(delegate, shapes.as_ptr(), shapes.len() as u32) };
        if went_well("resize", status)? {
            ran[1] += 1;
        }
        execute(delegate, r, ran)?;
    }
    Ok(())
}

fn shape(shape: &InputShape) -> etvk_input_shape {
    let mut all = [0; 8];
    let (rank, integer) = match shape {
        InputShape::Dims(dims) => {
            all[..dims.len()].copy_from_slice(dims);
            (dims.len(), 0)
        }
        InputShape::Integer(n) => (0, *n),
    };
    etvk_input_shape {
        rank: rank as u32,
        dims: all,
        integer,
    }
}

type PortOf = unsafe extern "C" fn(*const etvk_delegate, u32, *mut etvk_port) -> etvk_status;

fn ports(delegate: *mut etvk_delegate, count: u32, of: PortOf) -> Vec<etvk_port> {
    let port = |index| {
        let mut port = MaybeUninit::zeroed();
        assert_eq!(
            unsafe { of(delegate, index, port.as_mut_ptr()) },
            ETVK_STATUS_OK
        );
        unsafe { port.assume_init() }
    };
    (0..count).map(port).collect()
}

/// Runs with random bits as inputs: any index, NaN and infinity.
fn execute(delegate: *mut etvk_delegate, r: &mut Random, ran: &mut [u64; 3]) -> Result<(), String> {
    let (mut inputs, mut outputs) = (0, 0);
    assert_eq!(
        unsafe { etvk_delegate_input_count(delegate, &mut inputs) },
        ETVK_STATUS_OK
    );
    assert_eq!(
        unsafe { etvk_delegate_output_count(delegate, &mut outputs) },
        ETVK_STATUS_OK
    );
    let inputs = ports(delegate, inputs, etvk_delegate_input);
    let outputs = ports(delegate, outputs, etvk_delegate_output);
    let bytes = |port: &etvk_port, r: &mut Random| -> Vec<u8> {
        let words = (port.size_bytes as usize).div_ceil(8);
        let mut bytes: Vec<u8> = (0..words).flat_map(|_| r.bits().to_le_bytes()).collect();
        bytes.truncate(port.size_bytes as usize);
        bytes
    };
    let mut given: Vec<Vec<u8>> = inputs.iter().map(|p| bytes(p, r)).collect();
    let mut taken: Vec<Vec<u8>> = outputs.iter().map(|p| bytes(p, r)).collect();
    let tensor = |(port, bytes): (&etvk_port, &mut Vec<u8>)| etvk_tensor {
        data: bytes.as_mut_ptr().cast(),
        size_bytes: bytes.len(),
        dtype: port.dtype,
        rank: port.rank,
        dims: port.dims,
        dim_order: std::ptr::null(),
    };
    let ins: Vec<etvk_tensor> = inputs.iter().zip(&mut given).map(tensor).collect();
    let outs: Vec<etvk_tensor> = outputs.iter().zip(&mut taken).map(tensor).collect();
    let status = unsafe {
        let (i, o) = (ins.len() as u32, outs.len() as u32);
        etvk_delegate_execute(delegate, ins.as_ptr(), i, outs.as_ptr(), o)
    };
    if went_well("execute", status)? {
        ran[2] += 1;
    }
    Ok(())
}
