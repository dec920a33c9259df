//! Any bytes are a graph or an error. Each input is tried as a whole blob, and as the flatbuffer of
//! a blob with a valid header, since random bytes seldom pass the header.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// Size of the header with its padding.
const HEADER_BYTES: u32 = 32;

fuzz_target!(|bytes: &[u8]| {
    let _ = etvk::parse::parse(bytes);
    let Ok(size) = u32::try_from(bytes.len()) else {
        return;
    };
    let Some(end) = size.checked_add(HEADER_BYTES) else {
        return;
    };
    let mut blob = b"\0\0\0\0VH00\x1e\0".to_vec();
    for number in [HEADER_BYTES, size, end, 0, 0] {
        blob.extend(number.to_le_bytes());
    }
    blob.resize(32, 0);
    blob.extend(bytes);
    let _ = etvk::parse::parse(&blob);
});
