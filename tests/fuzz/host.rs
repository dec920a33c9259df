//! What a host may ask for: options, and sizes for a resize.

use super::mutate::{chance, dim, int, pick};
use super::random::Random;
use etvk::core::graph::InputShape;
use etvk::core::options::{ConvChoice, Options, ScratchStorage};

/// What a host might ask for.
pub(super) fn options(r: &mut Random) -> Options {
    let choices = [
        ConvChoice::Im2col,
        ConvChoice::Direct,
        ConvChoice::Pointwise,
        ConvChoice::Depthwise,
        ConvChoice::Implicit,
    ];
    let storages = [
        ScratchStorage::Buffer,
        ScratchStorage::Texture2d,
        ScratchStorage::Texture3d,
    ];
    Options {
        workspace_bytes: pick(r, &[0, 1, 4096, 65_537, 1 << 20, 16 << 20, u64::MAX]),
        conv_algorithm: chance(r, 40).then(|| pick(r, &choices)),
        scratch_storage: chance(r, 20).then(|| pick(r, &storages)),
        graph_passes: chance(r, 85),
        fp16_storage: chance(r, 80),
        ..Options::default()
    }
}

/// Sizes for a resize: mostly within the bounds.
pub(super) fn shapes(r: &mut Random, bound: &[InputShape]) -> Vec<InputShape> {
    let small = |r: &mut Random, d: u32| match r.int(0, 5) {
        0..=2 => r.int(0, i64::from(d)) as u32,
        3 => dim(r, d),
        _ => d,
    };
    let mut shapes: Vec<InputShape> = bound
        .iter()
        .map(|shape| match shape {
            InputShape::Dims(dims) => InputShape::Dims(dims.iter().map(|&d| small(r, d)).collect()),
            InputShape::Integer(n) => InputShape::Integer(match chance(r, 80) {
                true => r.int(0, (*n).max(0)),
                false => int(r, *n),
            }),
        })
        .collect();
    if chance(r, 3) {
        shapes.pop();
    }
    shapes
}
