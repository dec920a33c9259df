//! What the pure core does with a blob, and what must hold of every program that it makes.

use super::host;
use super::mutate::chance;
use super::random::Random;
use etvk::base::error::{Error, ErrorKind, Result};
use etvk::compile::load::{self, Planned};
use etvk::core::constant::ConstantData;
use etvk::core::device::{DeviceClass, DeviceLimits, DeviceView, ImageExtents, ImageSizes};
use etvk::core::graph::ConstantSource;
use etvk::core::image::{ImageDimensions, ImageShape};
use etvk::core::memory::{hazards, MemoryPlan};
use etvk::core::options::Options;
use etvk::core::parse::parse;
use etvk::core::program::{BufferKind, Dispatch, Program};
use etvk::core::tensor::Element;

/// Inline constants from the blob; named ones are what a host with little data gives.
pub(super) struct Data<'a>(pub(super) &'a [u8]);

impl ConstantData for Data<'_> {
    fn with_bytes(
        &self,
        source: &ConstantSource,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match source {
            ConstantSource::Inline {
                offset_bytes,
                size_bytes,
            } => read(&self.0[*offset_bytes..][..*size_bytes]),
            ConstantSource::Named { size_bytes, .. } if *size_bytes > 64 => Err(Error::new(
                ErrorKind::MissingData,
                "a host without large constants",
            )),
            ConstantSource::Named { .. } => read(&[0x40; 64]),
            ConstantSource::Empty => read(&[]),
        }
    }
}

/// A driver that pads rows of images.
#[derive(Debug)]
pub(super) struct PaddedImages;

impl PaddedImages {
    fn extents() -> ImageExtents {
        let mut extents = ImageExtents::default();
        for element in [Element::F32, Element::F16] {
            extents.set(ImageDimensions::Two, element, [4096, 4096, 1]);
            extents.set(ImageDimensions::Three, element, [256; 3]);
        }
        extents
    }
}

impl ImageSizes for PaddedImages {
    fn allocation_bytes(&self, image: ImageShape) -> Result<Option<u64>> {
        let [x, y, z] = image.extent.map(u64::from);
        let row = (x * 4 * image.element.size_bytes()).next_multiple_of(256);
        Ok(Some(row * y * z + 4096))
    }
}

/// The least device, a CPU and a large GPU.
pub(super) fn devices() -> Vec<DeviceLimits> {
    let minimum = DeviceLimits::minimum();
    let large = DeviceLimits {
        class: DeviceClass::Discrete,
        max_storage_buffer_range_bytes: u32::MAX.into(),
        max_allocation_bytes: u64::MAX,
        storage_buffer_alignment_bytes: 16,
        max_workgroup_count: [i32::MAX as u32, 65_535, 65_535],
        max_workgroup_invocations: 1024,
        max_workgroup_size: [1024, 1024, 64],
        max_shared_memory_bytes: 48 << 10,
        max_push_constant_bytes: 256,
        subgroup_size: 32,
        storage_16bit: true,
        arithmetic_16bit: true,
        matrix_16x16: true,
        image_extents: PaddedImages::extents(),
        ..minimum.clone()
    };
    let cpu = DeviceLimits {
        class: DeviceClass::Cpu,
        subgroup_size: 8,
        storage_16bit: true,
        image_extents: PaddedImages::extents(),
        ..large.clone()
    };
    vec![minimum, cpu, large]
}

/// How far a blob got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    Bytes,
    Graph,
    Program,
    Resized,
}

/// Runs everything but the device on `blob`. Errors are fine; what panics is a defect.
pub(super) fn survive(blob: &[u8], r: &mut Random, devices: &[DeviceLimits]) -> Reached {
    if accepted(parse(blob)).is_none() {
        return Reached::Bytes;
    }
    let options = host::options(r);
    let planned = devices
        .iter()
        .map(|limits| planned(blob, &options, limits, r));
    planned.max().unwrap_or(Reached::Graph)
}

/// Loads as a delegate does, then asks for other sizes and for outputs to be kept.
fn planned(blob: &[u8], options: &Options, limits: &DeviceLimits, r: &mut Random) -> Reached {
    let on = DeviceView {
        limits,
        images: &PaddedImages,
    };
    let Some((loaded, bound)) = accepted(load::plan(blob, &Data(blob), on, options)) else {
        return Reached::Graph;
    };
    let limits = &loaded.constraints.limits;
    check_planned(&bound, limits, options.workspace_bytes);
    let mut reached = Reached::Program;
    for _ in 0..2 {
        let shapes = host::shapes(r, &bound.shapes);
        let kept_outputs = match chance(r, 80) {
            true => 0,
            false => r.int(0, 3) as usize,
        };
        if let Some(resized) = accepted(loaded.at(&shapes, kept_outputs, &PaddedImages)) {
            check_planned(&resized, limits, bound.plan.workspace_bytes);
            reached = Reached::Resized;
        }
    }
    reached
}

fn check_planned(planned: &Planned, limits: &DeviceLimits, workspace_bytes: u64) {
    let Planned { program, plan, .. } = planned;
    assert_eq!(hazards(program, plan).len(), program.dispatches.len());
    check_program(program, plan, limits, workspace_bytes);
}

/// The result; an error that blames this library for what the blob says is a defect too.
fn accepted<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(e) => {
            assert!(e.kind != ErrorKind::Internal, "internal: {e}");
            assert!(
                e.message.len() < 100_000,
                "a message of {} bytes",
                e.message.len()
            );
            None
        }
    }
}

fn check_program(p: &Program, plan: &MemoryPlan, limits: &DeviceLimits, workspace_bytes: u64) {
    assert!(
        p.workspace_bytes() <= workspace_bytes,
        "the workspace's budget"
    );
    assert_eq!(plan.places.len(), p.buffers.len());
    for (buffer, place) in p.buffers.iter().zip(&plan.places) {
        assert!(buffer.size_bytes > 0, "{buffer:?}");
        let end = place.offset_bytes.checked_add(buffer.size_bytes);
        let end = end.expect("an end within 64 bits");
        // A temporary that no dispatch touches has no place.
        let unused = buffer.kind == BufferKind::Temporary && place.offset_bytes == 0;
        assert!(
            unused || end <= plan.region_bytes(place.region),
            "{buffer:?} at {place:?}"
        );
        if let BufferKind::Constant(i) | BufferKind::State(i) = buffer.kind {
            let pack = &p.uploads[i].pack;
            let numel = pack.numel().expect("a size within 64 bits");
            assert!(
                numel * pack.element.size_bytes() <= buffer.size_bytes,
                "{pack:?} in {buffer:?}"
            );
        }
    }
    for dispatch in &p.dispatches {
        check_dispatch(p, dispatch, limits);
    }
}

fn check_dispatch(p: &Program, d: &Dispatch, limits: &DeviceLimits) {
    let info = d.shader.info();
    let groups = d.workgroups.iter().zip(limits.max_workgroup_count);
    for (&n, max) in groups {
        assert!((1..=max).contains(&n), "{d:?}");
    }
    let local = d.spec[..3].iter().map(|&n| u64::from(n)).product::<u64>();
    assert!((1..=u64::from(limits.max_workgroup_invocations)).contains(&local));
    assert!(info.push_words * 4 <= limits.max_push_constant_bytes.max(256));
    for binding in &d.bindings {
        let buffer = p.buffer(binding.buffer);
        let image = matches!(buffer.kind, BufferKind::WorkspaceImage(_));
        assert!(
            image || buffer.size_bytes <= limits.max_storage_buffer_range_bytes,
            "{buffer:?} of {d:?}"
        );
        let (size, range) = (buffer.size_bytes, &binding.range_bytes);
        assert!(range.start <= range.end && range.end <= size, "{d:?}");
    }
    check_windows(p, d);
}

/// Kernels that walk over windows of the buffers of the same names, and over nothing else of them.
const STRIDED: &[&str] = &[
    "copy",
    "unary",
    "binary",
    "select",
    "fill",
    "quantize",
    "dequantize_channel",
    "batch_norm",
];

/// Computes the first and last element that such a kernel touches in each of its buffers.
fn check_windows(p: &Program, d: &Dispatch) {
    let info = d.shader.info();
    if !STRIDED.contains(&info.file) {
        return;
    }
    let words = |name: &str| info.push_words_of(name).map(|at| &d.push[at]);
    let signed = |word: u32| i64::from(word as i32);
    let sizes = words("sizes").expect("sizes of the loop");
    let iterations = sizes.iter().map(|&n| u64::from(n)).product::<u64>();
    assert_eq!(words("count"), Some(&[iterations as u32][..]), "{d:?}");
    let mut checked = 0;
    for (name, binding) in info.binding_names.iter().zip(&d.bindings) {
        let Some(strides) = words(&format!("{name}.strides")) else {
            continue;
        };
        let offset = words(&format!("{name}.offset")).expect("an offset")[0];
        let (mut low, mut high) = (signed(offset), signed(offset));
        for (&size, &stride) in sizes.iter().zip(strides) {
            let reach = (i64::from(size) - 1) * signed(stride);
            low += reach.min(0);
            high += reach.max(0);
        }
        let buffer = p.buffer(binding.buffer);
        // The narrowest element that a buffer may hold.
        let least = buffer.size_bytes / 2;
        assert!(
            low >= 0 && (high as u64) < least,
            "{}: {name}: elements {low} to {high} of {buffer:?}: {d:?}",
            info.name
        );
        let touched = 2 * low as u64..2 * high as u64;
        let said = &binding.range_bytes;
        assert!(
            said.start <= 4 * low as u64 && touched.end < said.end,
            "{}: {name}: {touched:?} beyond {said:?}",
            info.name
        );
        checked += 1;
    }
    assert!(checked > 0, "{}: no window was checked", info.name);
}
