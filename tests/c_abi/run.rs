//! A small program from load to destroy, and what its host may get wrong on the way.

use super::ffi::*;
use super::{device_is_there, sample, GraphBuilder};
use etvk::core::tensor::DType;
use std::ffi::c_char;

const WEIGHT: [f32; 5] = [1.0, -2.0, 0.5, f32::INFINITY, -0.0];

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 * 0.25 - 3.0).collect()
}

#[test]
fn a_program_runs_is_resized_and_tells_about_itself() {
    if !device_is_there("a_program_runs_is_resized_and_tells_about_itself") {
        return;
    }
    let named = Named::floats("weight", &WEIGHT);
    let d = Delegate::create(&sample(&[2, 3, 4], "weight"), &named).expect("created");
    assert!(named.lent.get() > 0 && named.lent.get() == named.returned.get());
    let port = d.input(0);
    assert_eq!(
        (port.kind, port.dtype, port.rank),
        (ETVK_PORT_TENSOR, ETVK_DTYPE_FLOAT32, 3)
    );
    assert_eq!((port.dims, port.size_bytes), (padded(&[2, 3, 4]), 96));
    for dims in [[2, 3, 4], [1, 3, 2], [2, 3, 4], [2, 1, 1]] {
        assert_eq!(d.resize(&dims), ETVK_STATUS_OK, "{}", last_error());
        let port = d.output(0);
        assert_eq!(
            (port.dims, port.max_dims),
            (padded(&dims), padded(&[2, 3, 4]))
        );
        let count = dims.iter().product::<u32>() as usize;
        let (mut x, mut y, mut w) = (numbers(count), vec![9.0; count], [9.0; 5]);
        for _ in 0..3 {
            y.fill(9.0);
            let outputs = [tensor(&mut y, &dims), tensor(&mut w, &[5])];
            let status = d.execute(&[tensor(&mut x, &dims)], &outputs);
            assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
            assert_eq!((&y, w.map(f32::to_bits)), (&x, WEIGHT.map(f32::to_bits)));
        }
    }
    assert_eq!(named.lent.get(), named.returned.get());

    let mut memory = unsafe { std::mem::zeroed::<etvk_memory>() };
    assert_eq!(
        unsafe { etvk_delegate_memory(d.0, &mut memory) },
        ETVK_STATUS_OK
    );
    assert!(memory.staging_bytes >= 192 && memory.weight_bytes >= 20);
    assert_eq!(
        (memory.workspace_bytes, memory.workspace_budget_bytes),
        (0, 16 << 20)
    );
    let parts = memory.activation_bytes + memory.weight_bytes + memory.staging_bytes;
    assert_eq!(memory.driver_bytes, parts);
    assert!((2..=4).contains(&memory.driver_allocations));
    assert!(
        memory.driver_bytes < 1 << 16,
        "far more than the plan: {}",
        memory.driver_bytes
    );
}

type Text =
    unsafe extern "C" fn(*const etvk_delegate, *mut c_char, usize, *mut usize) -> etvk_status;

#[test]
fn texts_tell_their_size() {
    if !device_is_there("texts_tell_their_size") {
        return;
    }
    let d = Delegate::create(&sample(&[2, 3], "w"), &Named::floats("w", &WEIGHT)).expect("created");
    let calls: [Text; 2] = [etvk_delegate_report, etvk_delegate_device_name];
    for (call, start) in calls.into_iter().zip(["{\"etvk\":", ""]) {
        let mut needed = 0;
        let status = unsafe { call(d.0, std::ptr::null_mut(), 0, &mut needed) };
        assert_eq!((status, needed > 1), (ETVK_STATUS_OK, true));
        let mut text = vec![0x55u8; needed + 1];
        let status = unsafe { call(d.0, text.as_mut_ptr().cast(), needed, std::ptr::null_mut()) };
        assert_eq!(status, ETVK_STATUS_OK);
        assert_eq!(text[needed - 1..], [0, 0x55]);
        assert!(text.starts_with(start.as_bytes()) && !text[..needed - 1].contains(&0));
        let status = unsafe { call(d.0, std::ptr::null_mut(), 4, &mut needed) };
        assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    }
    for index in [2, u32::MAX] {
        let mut port = unsafe { std::mem::zeroed::<etvk_port>() };
        let status = unsafe { etvk_delegate_output(d.0, index, &mut port) };
        assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
        assert!(last_error().contains(&index.to_string()));
    }
}

#[test]
fn wrong_tensors_change_nothing() {
    if !device_is_there("wrong_tensors_change_nothing") {
        return;
    }
    let named = Named::floats("w", &WEIGHT);
    let d = Delegate::create(&sample(&[2, 3], "w"), &named).expect("created");
    let (mut x, mut y, mut w) = (numbers(6), vec![9.0f32; 6], [9.0f32; 5]);
    let good_x = tensor(&mut x, &[2, 3]);
    let good = [tensor(&mut y, &[2, 3]), tensor(&mut w, &[5])];
    let twice: [u8; 2] = [1, 1];
    type Change<'a> = &'a dyn Fn(&mut etvk_tensor);
    let wrong: [(Change<'_>, &str); 9] = [
        (&|t| t.data = std::ptr::null_mut(), "null"),
        (&|t| t.size_bytes = 23, "23"),
        (&|t| t.size_bytes = usize::MAX, "address space"),
        (&|t| t.dtype = ETVK_DTYPE_INT32, "I32"),
        (&|t| t.dtype = 8, "dtype 8"),
        (&|t| t.rank = 9, "rank 9"),
        (&|t| t.rank = 1, "dims"),
        (&|t| t.dims[1] = 2, "dims"),
        (&|t| t.dim_order = twice.as_ptr(), "dim_order"),
    ];
    for (change, names) in wrong {
        for output in [false, true] {
            let (mut input, mut outputs) = (good_x, good);
            change(if output { &mut outputs[0] } else { &mut input });
            let status = d.execute(&[input], &outputs);
            let message = last_error();
            assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT, "{message}");
            let place = if output { "output 0" } else { "input 0" };
            // An output as large as memory overlaps the other one: that is found first.
            assert!(
                message.contains(place) || message.contains("overlap"),
                "{message}"
            );
            assert!(
                message.contains(names) || message.contains("overlap"),
                "{message}"
            );
        }
    }
    let same = [
        good[0],
        etvk_tensor {
            data: good[0].data,
            ..good[1]
        },
    ];
    assert_eq!(d.execute(&[good_x], &same), ETVK_STATUS_INVALID_ARGUMENT);
    assert!(last_error().contains("outputs 0 and 1 overlap"));
    assert_eq!(d.execute(&[], &good), ETVK_STATUS_INVALID_ARGUMENT);
    assert_eq!(
        d.execute(&[good_x, good_x], &good),
        ETVK_STATUS_INVALID_ARGUMENT
    );
    assert_eq!(
        d.execute(&[good_x], &good[..1]),
        ETVK_STATUS_INVALID_ARGUMENT
    );
    let status = unsafe { etvk_delegate_execute(d.0, std::ptr::null(), 1, good.as_ptr(), 2) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    for dims in [&[2, 4][..], &[3, 3], &[2], &[2, 3, 1]] {
        assert_eq!(d.resize(dims), ETVK_STATUS_INVALID_ARGUMENT, "{dims:?}");
        assert_eq!(d.input(0).dims, padded(&[2, 3]));
    }
    let status = unsafe { etvk_delegate_resize(d.0, std::ptr::null(), 0) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    assert_eq!((y.as_slice(), w), (&[9.0; 6][..], [9.0; 5]));
    // And it still works.
    let good = [tensor(&mut y, &[2, 3]), tensor(&mut w, &[5])];
    assert_eq!(
        d.execute(&[good_x], &good),
        ETVK_STATUS_OK,
        "{}",
        last_error()
    );
    assert_eq!(y, numbers(6));
}

#[test]
fn more_sizes_than_are_kept() {
    if !device_is_there("more_sizes_than_are_kept") {
        return;
    }
    let named = Named::floats("w", &WEIGHT);
    let d = Delegate::create(&sample(&[20, 3], "w"), &named).expect("created");
    let mut w = [0.0; 5];
    for rows in (1..=20).chain((1..=20).rev()) {
        assert_eq!(d.resize(&[rows, 3]), ETVK_STATUS_OK, "{}", last_error());
        let mut x = numbers(rows as usize * 3);
        let mut y = vec![9.0; x.len()];
        let outputs = [tensor(&mut y, &[rows, 3]), tensor(&mut w, &[5])];
        let status = d.execute(&[tensor(&mut x, &[rows, 3])], &outputs);
        assert_eq!(status, ETVK_STATUS_OK, "{rows} rows: {}", last_error());
        assert_eq!((&y, w), (&x, WEIGHT), "{rows} rows");
    }
    assert_eq!(d.resize(&[0, 3]), ETVK_STATUS_OK, "{}", last_error());
    let outputs = [tensor(&mut [], &[0, 3]), tensor(&mut w, &[5])];
    let status = d.execute(&[tensor(&mut [], &[0, 3])], &outputs);
    assert_eq!(status, ETVK_STATUS_OK, "no rows: {}", last_error());
}

#[test]
fn integers_travel_as_ports() {
    if !device_is_there("integers_travel_as_ports") {
        return;
    }
    let mut b = GraphBuilder::new();
    let n = b.sym_int(6);
    b.graph.inputs.push(n);
    b.output(n);
    let d = Delegate::create(&b.build(), &Named::floats("w", &[])).expect("created");
    for port in [d.input(0), d.output(0)] {
        assert_eq!(
            (port.kind, port.dtype),
            (ETVK_PORT_INTEGER, ETVK_DTYPE_INT64)
        );
        assert_eq!((port.rank, port.size_bytes), (0, 8));
    }
    let integer = |data: &mut [i64]| etvk_tensor {
        data: data.as_mut_ptr().cast(),
        size_bytes: 8,
        dtype: ETVK_DTYPE_INT64,
        ..tensor(&mut [], &[])
    };
    let set = |integer| {
        let shape = etvk_input_shape {
            rank: 0,
            dims: [0; 8],
            integer,
        };
        unsafe { etvk_delegate_resize(d.0, &shape, 1) }
    };
    let (mut x, mut y) = ([4i64], [9i64]);
    for wrong in [7, -1, i64::MIN] {
        assert_eq!(set(wrong), ETVK_STATUS_INVALID_ARGUMENT);
    }
    // Still at the bound, where 4 is wrong.
    let status = d.execute(&[integer(&mut x)], &[integer(&mut y)]);
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    assert!(
        last_error().contains('4') && last_error().contains('6'),
        "{}",
        last_error()
    );
    assert_eq!(set(4), ETVK_STATUS_OK, "{}", last_error());
    let short = etvk_tensor {
        size_bytes: 7,
        ..integer(&mut y)
    };
    let status = d.execute(&[integer(&mut x)], &[short]);
    assert_eq!((status, y), (ETVK_STATUS_INVALID_ARGUMENT, [9]));
    let status = d.execute(&[integer(&mut x)], &[integer(&mut y)]);
    assert_eq!((status, y), (ETVK_STATUS_OK, [4]), "{}", last_error());
}

#[test]
fn other_types_orders_and_shared_memory() {
    if !device_is_there("other_types_orders_and_shared_memory") {
        return;
    }
    let named = Named::floats("w", &WEIGHT);
    let dims = [1, 2, 2, 3];
    let d = Delegate::create(&sample(&dims, "w"), &named).expect("created");
    let mut w = [0.0; 5];
    // fp64, channels last, in; fp32, contiguous, out.
    let order: [u8; 4] = [0, 2, 3, 1];
    let mut x: Vec<f64> = (0..12).map(|i| f64::from(i % 2 * 6 + i / 2)).collect();
    let mut y = [9.0f32; 12];
    let mut input = tensor(&mut [], &dims);
    (input.data, input.size_bytes) = (x.as_mut_ptr().cast(), 96);
    (input.dtype, input.dim_order) = (ETVK_DTYPE_FLOAT64, order.as_ptr());
    let status = d.execute(&[input], &[tensor(&mut y, &dims), tensor(&mut w, &[5])]);
    assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
    assert_eq!(y, std::array::from_fn(|i| i as f32));
    // The same memory in and out.
    let both = tensor(&mut y, &dims);
    let mut out = both;
    out.dim_order = order.as_ptr();
    let status = d.execute(&[both], &[out, tensor(&mut w, &[5])]);
    assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
    assert_eq!(y, std::array::from_fn(|i| (i % 2 * 6 + i / 2) as f32));
}

#[test]
fn a_constant_larger_than_the_upload_staging_arrives_whole() {
    if !device_is_there("a_constant_larger_than_the_upload_staging_arrives_whole") {
        return;
    }
    // 6 MiB and a ragged rest, after a constant that leaves staging misaligned for it.
    const COUNT: usize = (6 << 18) + 3;
    let mut b = GraphBuilder::new();
    let small = b.constant_f32(&[3], &[7.0, 8.0, 9.0]);
    let large = b.named(DType::F32, &[COUNT as u32], "large", 4 * COUNT as u64);
    for w in [small, large] {
        let dims = b.graph.tensor(w).expect("tensor").dims.clone();
        let y = b.tensor(DType::F32, &dims);
        b.node("et_vk.prepack.default", &[w, y]).output(y);
    }
    let want: Vec<f32> = (0..COUNT).map(|i| (i * 31 % 65_521) as f32).collect();
    let d = Delegate::create(&b.build(), &Named::floats("large", &want)).expect("created");
    let (mut y, mut z) = ([0.0; 3], vec![0.0; COUNT]);
    let outputs = [tensor(&mut y, &[3]), tensor(&mut z, &[COUNT as u32])];
    assert_eq!(d.execute(&[], &outputs), ETVK_STATUS_OK, "{}", last_error());
    assert_eq!(y, [7.0, 8.0, 9.0]);
    assert!(
        z == want,
        "first difference at {:?}",
        z.iter().zip(&want).position(|(a, b)| a != b)
    );
}

#[test]
fn threads_share_one_delegate_and_make_their_own() {
    if !device_is_there("threads_share_one_delegate_and_make_their_own") {
        return;
    }
    let blob = sample(&[16, 16], "w");
    let shared = Delegate::create(&blob, &Named::floats("w", &WEIGHT)).expect("created");
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (blob, shared) = (&blob, &shared);
            scope.spawn(move || {
                for round in 0..8u8 {
                    let own = Delegate::create(blob, &Named::floats("w", &WEIGHT));
                    let own = own.expect("created");
                    for d in [shared, &own] {
                        let mut x = vec![f32::from(thread * 16 + round); 256];
                        let (mut y, mut w) = (vec![0.0; 256], [0.0; 5]);
                        let outputs = [tensor(&mut y, &[16, 16]), tensor(&mut w, &[5])];
                        let status = d.execute(&[tensor(&mut x, &[16, 16])], &outputs);
                        assert_eq!(status, ETVK_STATUS_OK, "{}", last_error());
                        assert_eq!(y, x);
                    }
                }
            });
        }
    });
}

#[test]
fn a_destroyed_delegate_is_refused() {
    if !device_is_there("a_destroyed_delegate_is_refused") {
        return;
    }
    let named = Named::floats("w", &WEIGHT);
    let d = Delegate::create(&sample(&[2], "w"), &named).expect("created");
    let handle = d.0;
    drop(d);
    let mut count = 0;
    let status = unsafe { etvk_delegate_input_count(handle, &mut count) };
    assert_eq!(status, ETVK_STATUS_INVALID_ARGUMENT);
    unsafe { etvk_delegate_destroy(handle) };
}
