//! A device that takes longer than it may.

use super::*;
use ash::vk::{Fence, FenceCreateInfo, SubmitInfo};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);

/// A fence that nothing signals yet, waited for in vain.
fn timed_out(gpu: &Gpu) -> Fence {
    // SAFETY: the device is alive; the fence ends with it, or with the process.
    let fence = unsafe {
        let info = FenceCreateInfo::default();
        gpu.device.handle.create_fence(&info, None).expect("fence")
    };
    let begun = Instant::now();
    let error = gpu
        .device
        .wait(fence, SHORT)
        .expect_err("nothing signals it");
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.message.contains("30 ms"), "{error}");
    fence
}

#[test]
fn what_does_not_end_in_time_loses_the_device_and_is_never_freed() {
    in_child("time::child_leaks");
}

#[test]
#[ignore = "run by what_does_not_end_in_time_loses_the_device_and_is_never_freed: it leaks"]
fn child_leaks() {
    let Some(first) = gpu("child_leaks", &[]) else {
        return;
    };
    let mut loaded = load(&first, Access::Write).expect("load");
    loaded.run(&floats(0.0)).expect("run");
    timed_out(&first);
    for later in [
        loaded.session.run(&mut loaded.recording).err(),
        loaded.session.fill(POISON).err(),
        load(&first, Access::Write).err(),
    ] {
        assert_eq!(later.expect("lost").kind, ErrorKind::DeviceLost);
    }
    let held = process_memory().now;
    assert_eq!(held, loaded.session.memory_report());
    let second = gpu("child_leaks", &[]).expect("a new one");
    assert!(!Arc::ptr_eq(&first, &second));
    drop((loaded, first));
    assert_eq!(
        process_memory().now,
        held,
        "the ledger tells what is not freed"
    );
    drop(load(&second, Access::Write).expect("the new one works"));
    assert_eq!(process_memory().now, held);
}

#[test]
fn what_ends_late_is_freed_all_the_same() {
    in_child("time::child_ends_late");
}

#[test]
#[ignore = "run by what_ends_late_is_freed_all_the_same: it loses the device"]
fn child_ends_late() {
    let Some(gpu) = gpu("child_ends_late", &[]) else {
        return;
    };
    let loaded = load(&gpu, Access::Write).expect("load");
    let fence = timed_out(&gpu);
    let device = &gpu.device.handle;
    // SAFETY: the queue is the device's, and nobody else uses it now.
    unsafe {
        let queue = device.get_device_queue(gpu.device.queue_family(), 0);
        let nothing = [SubmitInfo::default()];
        device.queue_submit(queue, &nothing, fence).expect("submit");
    }
    drop(loaded);
    assert_eq!(process_memory().now, MemoryReport::default());
    assert!(gpu.device.may_free());
    // SAFETY: it was waited for.
    unsafe { device.destroy_fence(fence, None) };
    let validated = gpu.validated();
    drop(gpu);
    if validated {
        validation::check().expect("nothing is left on the device");
    }
}
