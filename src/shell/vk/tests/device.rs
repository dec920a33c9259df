//! Devices as they come, are shared, are lost, and go.

use super::*;
use crate::shell::vk::requirements::buffer_info;

#[test]
fn a_lost_device_stays_lost_and_is_not_handed_out_again() {
    in_child("device::child_loses_its_device");
}

#[test]
#[ignore = "run by a_lost_device_stays_lost_and_is_not_handed_out_again: tests share the device"]
fn child_loses_its_device() {
    let Some(first) = gpu("child_loses_its_device", &[]) else {
        return;
    };
    let mut loaded = load(&first, Access::Write).expect("load");
    let lost = first
        .device
        .check::<()>("vkQueueSubmit", Err(ash::vk::Result::ERROR_DEVICE_LOST));
    assert_eq!(lost.expect_err("lost").kind, ErrorKind::DeviceLost);
    for error in [
        loaded.session.run(&mut loaded.recording).err(),
        loaded
            .session
            .prepare(loaded.recording.placed().clone())
            .err(),
        load(&first, Access::Write).err(),
    ] {
        assert_eq!(error.expect("lost").kind, ErrorKind::DeviceLost);
    }
    let second = gpu("child_loses_its_device", &[]).expect("a new one");
    assert!(!Arc::ptr_eq(&first, &second));
    drop((loaded, first));
    load(&second, Access::Write).expect("the new one works");
}

#[test]
fn delegates_share_one_device_and_the_last_frees_it() {
    in_child("device::child_shares_and_frees_the_device");
}

#[test]
#[ignore = "run by delegates_share_one_device_and_the_last_frees_it: no other test may hold the device"]
fn child_shares_and_frees_the_device() {
    let Some(first) = gpu("child_shares_and_frees_the_device", &[]) else {
        return;
    };
    let second = gpu("child_shares_and_frees_the_device", &[]).expect("the same");
    assert!(Arc::ptr_eq(&first, &second));
    drop(second);
    assert_eq!(Arc::strong_count(&first), 1);
    let weak = Arc::downgrade(&first);
    drop(load(&first, Access::Write).expect("load"));
    assert_eq!(
        Arc::strong_count(&first),
        1,
        "something still holds the device"
    );
    drop(first);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn a_message_of_the_validation_layer_is_an_error() {
    in_child("device::child_trips_validation");
}

#[test]
#[ignore = "run by a_message_of_the_validation_layer_is_an_error: messages are process-wide"]
fn child_trips_validation() {
    let options = Options::from_environment(&[("validation", "1")]).expect("options");
    let gpu = match Gpu::open(&options) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("SKIPPED child_trips_validation: {error}");
            return;
        }
    };
    load(&gpu, Access::Write).expect("load");
    validation::check().expect("a good program is silent");
    assert_eq!(validation::message_count(), 0);

    // A copy that hides its write gets no barrier: synchronization validation must see it.
    load(&gpu, Access::Read).expect("load");
    let error = validation::check().expect_err("a missing barrier");
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("SYNC-HAZARD"), "{error}");
    validation::check().expect("each message is reported once");

    // A buffer without size: core validation must see it.
    let count = validation::message_count();
    let device = &gpu.device.handle;
    // SAFETY: wrong on purpose; the layer reports it, the driver makes a buffer or an error of it.
    unsafe {
        if let Ok(buffer) = device.create_buffer(&buffer_info(0), None) {
            device.destroy_buffer(buffer, None);
        }
    }
    assert!(validation::check()
        .expect_err("a wrong size")
        .message
        .contains("VUID"));
    assert!(validation::message_count() > count);

    // An object that outlives its device.
    // SAFETY: leaked on purpose.
    let leaked = unsafe { device.create_fence(&Default::default(), None) };
    assert!(leaked.is_ok());
    drop(gpu);
    assert!(validation::check()
        .expect_err("a leak")
        .message
        .contains("has not been destroyed"));
}
