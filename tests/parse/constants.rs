//! Where the bytes of constants are: named, inline, empty.

use super::*;

/// Constant 0 is `offset`, `length`, `key`; an fp32 tensor of `dims` refers to it.
fn constant(offset: u64, length: u64, key: Option<&str>, dims: &[u32]) -> Vec<u8> {
    raw((offset, length, key), |fbb| {
        let args = wire::TensorValueArgs {
            element_type: wire::ElementType::F32,
            dims: Some(fbb.create_vector(dims)),
            ..Default::default()
        };
        let tensor = wire::TensorValue::create(fbb, &args);
        vec![raw_value(fbb, wire::Payload::TensorValue, tensor)]
    })
}

fn source(blob: &[u8]) -> ConstantSource {
    parse(blob).expect("valid").constants[0].clone()
}

#[test]
fn named_constants_have_the_largest_offset_and_a_key() {
    let named = |size_bytes| ConstantSource::Named {
        key: "k".to_owned(),
        size_bytes,
    };
    assert_eq!(
        source(&constant(u64::MAX, 24, Some("k"), &[2, 3])),
        named(24)
    );
    assert_eq!(
        source(&constant(u64::MAX, 32, Some("k"), &[2, 3])),
        named(32)
    );
    // A length of 0 states nothing: it is what the tensor needs.
    assert_eq!(
        source(&constant(u64::MAX, 0, Some("k"), &[2, 3])),
        named(24)
    );
    let huge = source(&constant(u64::MAX, 0, Some("k"), &[u32::MAX; 8]));
    assert_eq!(huge, named(u64::MAX));
    for key in [None, Some("")] {
        refused(
            &constant(u64::MAX, 24, key, &[2, 3]),
            &["constant 0", "exceed"],
        );
    }
    refused(
        &constant(u64::MAX, 23, Some("k"), &[2, 3]),
        &["value %0", "constant 0", "23 bytes"],
    );
}

#[test]
fn inline_constants_lie_in_the_data() {
    let blob = constant(8, 24, None, &[2, 3]);
    let ConstantSource::Inline {
        offset_bytes,
        size_bytes,
    } = source(&blob)
    else {
        panic!("not inline");
    };
    assert_eq!(blob[offset_bytes..][..size_bytes], [7; 24]);
    // An offset beats a key.
    let both = source(&constant(4, 24, Some("k"), &[2, 3]));
    assert!(
        matches!(both, ConstantSource::Inline { size_bytes: 24, .. }),
        "{both:?}"
    );
    for (offset, length) in [
        (9, 24),
        (33, 1),
        (0, u64::MAX),
        (u64::MAX - 1, 24),
        (u64::MAX - 40, 48),
        (1 << 63, 8),
    ] {
        let error = refused(
            &constant(offset, length, None, &[1]),
            &["constant 0", "exceed"],
        );
        assert!(
            error
                .message
                .contains(&format!("{length} bytes at offset {offset}")),
            "{error}"
        );
    }
    refused(
        &constant(8, 20, None, &[2, 3]),
        &["value %0", "constant 0 has 20 bytes"],
    );
    refused(
        &constant(8, 24, None, &[u32::MAX; 8]),
        &["value %0", "constant 0 has 24 bytes"],
    );
}

#[test]
fn a_data_size_of_zero_means_the_rest_of_the_blob() {
    let mut blob = constant(8, 24, None, &[2, 3]);
    blob[22..30].fill(0);
    assert!(matches!(
        source(&blob),
        ConstantSource::Inline { size_bytes: 24, .. }
    ));
    blob[22] = 31;
    refused(&blob, &["constant 0", "exceed"]);
}

#[test]
fn constants_without_bytes_are_for_tensors_without_elements() {
    for key in [None, Some("")] {
        assert_eq!(source(&constant(0, 0, key, &[3, 0])), ConstantSource::Empty);
        assert_eq!(
            source(&constant(u64::MAX, 0, key, &[0])),
            ConstantSource::Empty
        );
    }
    refused(
        &constant(0, 0, None, &[1]),
        &["value %0", "constant 0 has 0 bytes"],
    );
    refused(
        &constant(0, 0, None, &[]),
        &["value %0", "constant 0 has 0 bytes"],
    );
}
