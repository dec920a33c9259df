//! What a file that holds a pipeline cache says: everything that is checked before its bytes reach a
//! driver. A file is as trusted as the program that names it; what is ruled out here is one that was
//! cut off, damaged, or made by another device, driver or version of the kernels.

use crate::core::shader::Shader;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Files beyond this are neither read nor written.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;

/// What a cache holds good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) vendor_id: u32,
    pub(super) device_id: u32,
    pub(super) driver_version: u32,
    /// The driver's own name for the format of its caches.
    pub(super) cache_uuid: [u8; 16],
    /// Digest of all kernels.
    pub(super) kernels: u64,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CachedPipelines {
    /// Digests of the pipelines that `data` has, so that nothing is written for known ones.
    pub(super) keys: BTreeSet<u64>,
    /// As the driver gave it.
    pub(super) data: Vec<u8>,
}

/// What the files of every version begin with.
pub(super) const KIND: &[u8] = b"etvkpc";
const MAGIC: [u8; 8] = *b"etvkpc1\n";
/// Magic, checksum of the rest, vendor, device, driver, number of keys, UUID, kernels, data length.
const HEADER_BYTES: usize = 64;
/// Bytes that the checksum covers begin here.
const COVERED: usize = 16;

/// A digest in which any change of one word shows: each step is a bijection of the state, and of
/// the word. Not a defence against forgery.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325;
    let mut step = |word: u64| {
        state = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 32;
    };
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        step(word.first_chunk().map_or(0, |w| u64::from_le_bytes(*w)));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    step(u64::from_le_bytes(last));
    step(bytes.len() as u64);
    state
}

/// Digest of a pipeline: its kernel and its specialization constants.
pub(super) fn pipeline_key(shader: Shader, spec: &[u32]) -> u64 {
    let words = std::iter::once(shader as u32).chain(spec.iter().copied());
    digest(&words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

/// Digest of all kernels of this build.
pub(super) fn kernels_digest() -> u64 {
    static DIGEST: OnceLock<u64> = OnceLock::new();
    *DIGEST.get_or_init(|| {
        let each =
            Shader::all().flat_map(|(_, info)| [digest(info.name.as_bytes()), digest(info.spirv)]);
        digest(&each.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
    })
}

/// The bytes of a file; `None` when there would be too many.
pub(super) fn encode(identity: &Identity, cached: &CachedPipelines) -> Option<Vec<u8>> {
    let key_count = u32::try_from(cached.keys.len()).ok()?;
    let total = HEADER_BYTES + cached.keys.len() * 8 + cached.data.len();
    if u64::try_from(total).ok()? > MAX_FILE_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(total);
    bytes.extend(MAGIC);
    bytes.extend([0; 8]);
    for word in [
        identity.vendor_id,
        identity.device_id,
        identity.driver_version,
        key_count,
    ] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(identity.cache_uuid);
    bytes.extend(identity.kernels.to_le_bytes());
    bytes.extend((cached.data.len() as u64).to_le_bytes());
    for key in &cached.keys {
        bytes.extend(key.to_le_bytes());
    }
    bytes.extend(&cached.data);
    let checksum = digest(&bytes[COVERED..]);
    bytes[MAGIC.len()..COVERED].copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// The contents of a file, or why they are of no use to `identity`.
pub(super) fn decode(identity: &Identity, bytes: &[u8]) -> Result<CachedPipelines, &'static str> {
    let u32_at = |at: usize| field(bytes, at).map(u32::from_le_bytes);
    let u64_at = |at: usize| field(bytes, at).map(u64::from_le_bytes);
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(&MAGIC) {
        return Err("it is no pipeline cache of this version");
    }
    if u64_at(8) != Some(digest(&bytes[COVERED..])) {
        return Err("it is damaged or cut off");
    }
    let same = u32_at(16) == Some(identity.vendor_id)
        && u32_at(20) == Some(identity.device_id)
        && u32_at(24) == Some(identity.driver_version)
        && field(bytes, 32) == Some(identity.cache_uuid);
    if !same {
        return Err("it is of another device or driver");
    }
    if u64_at(48) != Some(identity.kernels) {
        return Err("it is of other kernels");
    }
    let keys_end = u32_at(28)
        .and_then(|count| usize::try_from(count).ok())
        .and_then(|count| HEADER_BYTES.checked_add(count.checked_mul(8)?))
        .filter(|&end| end <= bytes.len())
        .ok_or("its keys do not fit it")?;
    let data = &bytes[keys_end..];
    if u64_at(56) != u64::try_from(data.len()).ok() {
        return Err("its length is wrong");
    }
    if !driver_header_fits(identity, data) {
        return Err("the driver's own header is of another device");
    }
    let keys = bytes[HEADER_BYTES..keys_end].chunks_exact(8);
    Ok(CachedPipelines {
        keys: keys
            .filter_map(|key| key.first_chunk().map(|k| u64::from_le_bytes(*k)))
            .collect(),
        data: data.to_vec(),
    })
}

/// Whether `data` begins as Vulkan says that caches begin: length of this header, version 1, vendor,
/// device, UUID.
fn driver_header_fits(identity: &Identity, data: &[u8]) -> bool {
    let u32_at = |at: usize| field(data, at).map(u32::from_le_bytes);
    u32_at(0).is_some_and(|length| length >= 32 && u64::from(length) <= data.len() as u64)
        && u32_at(4) == Some(1)
        && u32_at(8) == Some(identity.vendor_id)
        && u32_at(12) == Some(identity.device_id)
        && field(data, 16) == Some(identity.cache_uuid)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity {
        vendor_id: 0x10de,
        device_id: 7,
        driver_version: 580,
        cache_uuid: [9; 16],
        kernels: 0x0123_4567_89ab_cdef,
    };

    /// What a driver could have given.
    fn driver_data(length: usize) -> Vec<u8> {
        let mut data: Vec<u8> = [32, 1, IDENTITY.vendor_id, IDENTITY.device_id]
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes())
            .collect();
        data.extend(IDENTITY.cache_uuid);
        data.extend((data.len()..length).map(|i| (i * 37 % 251) as u8));
        data
    }

    fn contents() -> CachedPipelines {
        CachedPipelines {
            keys: [3, 1, u64::MAX].into(),
            data: driver_data(61),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert!(MAGIC.starts_with(KIND));
        for contents in [
            contents(),
            CachedPipelines {
                keys: BTreeSet::new(),
                data: driver_data(32),
            },
        ] {
            let bytes = encode(&IDENTITY, &contents).expect("small");
            assert_eq!(decode(&IDENTITY, &bytes), Ok(contents));
        }
    }

    #[test]
    fn every_changed_bit_and_every_length_is_noticed() {
        let bytes = encode(&IDENTITY, &contents()).expect("small");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    decode(&IDENTITY, &changed).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(decode(&IDENTITY, &bytes[..at]).is_err(), "{at} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(decode(&IDENTITY, &longer).is_err());
        for garbage in [&[][..], &[0; 4096], &MAGIC] {
            assert!(decode(&IDENTITY, garbage).is_err());
        }
    }

    #[test]
    fn another_device_driver_or_build_is_refused() {
        let bytes = encode(&IDENTITY, &contents()).expect("small");
        let others = [
            Identity {
                vendor_id: 1,
                ..IDENTITY
            },
            Identity {
                device_id: 1,
                ..IDENTITY
            },
            Identity {
                driver_version: 581,
                ..IDENTITY
            },
            Identity {
                cache_uuid: [8; 16],
                ..IDENTITY
            },
            Identity {
                kernels: 1,
                ..IDENTITY
            },
        ];
        for other in others {
            assert!(decode(&other, &bytes).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_whole_file_with_a_foreign_driver_header_is_refused() {
        let lengths: [usize; 3] = [0, 31, 64];
        let mut wrong: Vec<Vec<u8>> = lengths.map(|n| vec![0; n]).into();
        for at in [0, 4, 8, 12, 16, 31] {
            let mut data = driver_data(64);
            data[at] ^= 0x55;
            wrong.push(data);
        }
        for data in wrong {
            let keys = BTreeSet::new();
            let bytes = encode(&IDENTITY, &CachedPipelines { keys, data }).expect("small");
            assert!(decode(&IDENTITY, &bytes).is_err());
        }
    }

    #[test]
    fn too_many_bytes_or_keys_are_refused() {
        let data = vec![0; usize::try_from(MAX_FILE_BYTES).expect("64 bits") - HEADER_BYTES + 1];
        let keys = BTreeSet::new();
        assert_eq!(encode(&IDENTITY, &CachedPipelines { keys, data }), None);
        // A number of keys whose bytes would overflow, under a right checksum.
        let mut bytes = encode(&IDENTITY, &contents()).expect("small");
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = digest(&bytes[COVERED..]);
        bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode(&IDENTITY, &bytes), Err("its keys do not fit it"));
    }

    #[test]
    fn keys_tell_pipelines_apart() {
        let (a, b) = (Shader::CopyPlain, Shader::CopyHalf);
        let keys = [
            pipeline_key(a, &[64, 1, 1]),
            pipeline_key(b, &[64, 1, 1]),
            pipeline_key(a, &[1, 64, 1]),
            pipeline_key(a, &[64, 1, 1, 0]),
            pipeline_key(a, &[64, 1]),
        ];
        assert_eq!(BTreeSet::from(keys).len(), keys.len());
        assert_ne!(kernels_digest(), 0);
    }
}
