//! The `VH00` header: where the flatbuffer and the raw bytes of constants lie in a blob.

use crate::base::error::{Error, Result};
use std::ops::Range;

const MAGIC: &[u8; 4] = b"VH00";

/// Bytes of the header's fields; a writer may state more, never fewer.
const HEADER_BYTES: usize = 30;

/// The two regions of a blob. Both lie inside it; they do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The flatbuffer; never empty.
    pub(super) graph: Range<usize>,
    /// Constants that are not in the host's named data.
    pub(super) data: Range<usize>,
}

impl Header {
    /// Reads and checks the header of `blob`. The first four bytes are free for any use: the magic
    /// sits where a flatbuffer's identifier would.
    pub(super) fn read(blob: &[u8]) -> Result<Self> {
        let len = blob.len();
        if len < HEADER_BYTES {
            return Err(Error::blob(format!(
                "the blob ends at byte {len}, inside its header of {HEADER_BYTES} bytes"
            )));
        }
        if blob[4..8] != MAGIC[..] {
            return Err(Error::blob(format!(
                "byte 4: magic is {:?}, expected \"VH00\"",
                String::from_utf8_lossy(&blob[4..8])
            )));
        }
        let header_bytes = number(blob, 8..10)?;
        if header_bytes < HEADER_BYTES {
            return Err(Error::blob(format!(
                "byte 8: header size is {header_bytes}, expected at least {HEADER_BYTES}"
            )));
        }
        let graph_start = number(blob, 10..14)?;
        if graph_start < header_bytes {
            return Err(Error::blob(format!(
                "byte 10: the flatbuffer starts at byte {graph_start}, inside the header of \
                 {header_bytes} bytes"
            )));
        }
        let graph_bytes = number(blob, 14..18)?;
        if graph_bytes == 0 {
            return Err(Error::blob("byte 14: the flatbuffer has no bytes"));
        }
        let graph_end =
            end(graph_start, graph_bytes, len).map_err(|e| e.context("byte 14: the flatbuffer"))?;
        let data_start = number(blob, 18..22)?;
        if data_start < graph_end {
            return Err(Error::blob(format!(
                "byte 18: constant data starts at byte {data_start}, inside the flatbuffer that \
                 ends at byte {graph_end}"
            )));
        }
        let data_bytes = number(blob, 22..30)?;
        let data_end =
            end(data_start, data_bytes, len).map_err(|e| e.context("byte 22: constant data"))?;
        // A size of 0 means "the rest": writers of programs without inline data say 0 too.
        let data_end = if data_bytes == 0 { len } else { data_end };
        Ok(Self {
            graph: graph_start..graph_end,
            data: data_start..data_end,
        })
    }
}

/// The little-endian number in bytes `at` of the header, which has been read in full.
fn number(blob: &[u8], at: Range<usize>) -> Result<usize> {
    let value = blob[at.clone()]
        .iter()
        .rev()
        .fold(0u64, |n, &b| n << 8 | u64::from(b));
    usize::try_from(value)
        .map_err(|_| Error::blob(format!("byte {}: {value} is beyond any blob", at.start)))
}

/// Where `size` bytes from `start` end, if that is inside a blob of `len` bytes.
fn end(start: usize, size: usize, len: usize) -> Result<usize> {
    start
        .checked_add(size)
        .filter(|&end| end <= len)
        .ok_or_else(|| {
            Error::blob(format!(
                "{size} bytes from byte {start} exceed the blob, which ends at byte {len}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    /// A blob of 64 bytes: flatbuffer in 32..48, 16 bytes of data behind it.
    fn blob() -> Vec<u8> {
        let mut blob = vec![0; 64];
        blob[4..8].copy_from_slice(MAGIC);
        blob[8..10].copy_from_slice(&30u16.to_le_bytes());
        blob[10..14].copy_from_slice(&32u32.to_le_bytes());
        blob[14..18].copy_from_slice(&16u32.to_le_bytes());
        blob[18..22].copy_from_slice(&48u32.to_le_bytes());
        blob[22..30].copy_from_slice(&16u64.to_le_bytes());
        blob
    }

    fn with(at: usize, bytes: &[u8]) -> Result<Header> {
        let mut blob = blob();
        blob[at..at + bytes.len()].copy_from_slice(bytes);
        Header::read(&blob)
    }

    fn refused(result: Result<Header>, place: &str) {
        let error = result.expect_err("must be refused");
        assert_eq!(error.kind, ErrorKind::InvalidBlob, "{error}");
        assert!(error.message.contains(place), "{error}");
    }

    #[test]
    fn reads_both_regions() {
        let header = Header::read(&blob()).expect("valid");
        assert_eq!(
            header,
            Header {
                graph: 32..48,
                data: 48..64
            }
        );
    }

    #[test]
    fn first_four_bytes_are_free() {
        assert!(with(0, b"abcd").is_ok());
    }

    #[test]
    fn too_small_for_a_header() {
        for len in 0..HEADER_BYTES {
            refused(Header::read(&blob()[..len]), &format!("byte {len},"));
        }
    }

    #[test]
    fn wrong_magic() {
        refused(with(4, b"VH01"), "byte 4: magic is \"VH01\"");
        refused(with(4, &[0xFF; 4]), "byte 4");
    }

    #[test]
    fn header_size_may_grow_not_shrink() {
        refused(with(8, &29u16.to_le_bytes()), "byte 8: header size is 29");
        assert!(with(8, &32u16.to_le_bytes()).is_ok());
        refused(with(8, &33u16.to_le_bytes()), "byte 10");
        refused(with(10, &29u32.to_le_bytes()), "byte 10");
    }

    #[test]
    fn flatbuffer_lies_inside_the_blob() {
        refused(
            with(14, &0u32.to_le_bytes()),
            "byte 14: the flatbuffer has no bytes",
        );
        refused(with(14, &33u32.to_le_bytes()), "byte 14");
        refused(with(14, &u32::MAX.to_le_bytes()), "byte 14");
        refused(with(10, &u32::MAX.to_le_bytes()), "byte 14");
    }

    #[test]
    fn data_lies_behind_the_flatbuffer_and_inside_the_blob() {
        refused(with(18, &47u32.to_le_bytes()), "byte 18");
        refused(with(18, &49u32.to_le_bytes()), "byte 22");
        refused(with(22, &17u64.to_le_bytes()), "byte 22");
        refused(with(22, &u64::MAX.to_le_bytes()), "byte 22");
        assert_eq!(with(22, &15u64.to_le_bytes()).expect("valid").data, 48..63);
    }

    #[test]
    fn data_size_of_zero_means_the_rest() {
        assert_eq!(with(22, &0u64.to_le_bytes()).expect("valid").data, 48..64);
        let mut none = blob();
        none[18..30].copy_from_slice(&[64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Header::read(&none).expect("valid").data, 64..64);
        none[18] = 65;
        refused(Header::read(&none), "byte 22");
    }
}
