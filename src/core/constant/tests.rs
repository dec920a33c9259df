use super::*;
use crate::base::parallel::Workers;
use crate::core::tensor::{DType, Element};
use half::f16;

fn floats(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

fn run(pack: &Pack, source: &[u8]) -> Vec<f32> {
    pack.validate(source.len() as u64).expect("valid");
    let mut out = vec![0xAA; (pack.numel().expect("fits") * 4) as usize];
    pack.write(source, 0, &mut out);
    out.chunks_exact(4)
        .map(|c| f32::from_le_bytes(c.try_into().expect("4")))
        .collect()
}

#[test]
fn transposes_and_pads_with_zeros() {
    // [c_out = 2, c_in = 3] -> [c_in padded to 4][c_out padded to 4]
    let pack = Pack {
        source: DType::F32,
        element: Element::F32,
        dims: vec![4, 4],
        valid: vec![3, 2],
        strides: vec![1, 3],
        offset: 0,
        transform: Transform::None,
    };
    let want = [
        0., 3., 0., 0., 1., 4., 0., 0., 2., 5., 0., 0., 0., 0., 0., 0.,
    ];
    assert_eq!(run(&pack, &floats(6)), want);
}

#[test]
fn chunks_equal_the_whole() {
    let pack = Pack {
        source: DType::F32,
        element: Element::F32,
        dims: vec![3, 5, 4],
        valid: vec![3, 4, 3],
        strides: vec![-12, 3, 1],
        offset: 24,
        transform: Transform::None,
    };
    let source = floats(36);
    let whole = run(&pack, &source);
    for chunk in 1..60 {
        let mut got = Vec::new();
        for first in (0..60).step_by(chunk) {
            let mut out = vec![0u8; chunk.min(60 - first) * 4];
            pack.write(&source, first as u64, &mut out);
            got.extend(
                out.chunks_exact(4)
                    .map(|c| f32::from_le_bytes(c.try_into().expect("4"))),
            );
        }
        assert_eq!(got, whole, "chunk {chunk}");
    }
}

#[test]
fn every_type_and_layout_equals_an_element_at_a_time() {
    // Values that survive every type in question; 5 x 6 x 7 of them.
    let values = 5 * 6 * 7;
    let bytes = |dtype: DType, i: usize| -> Vec<u8> {
        let n = (i % 113) as u8;
        match dtype {
            DType::F32 => f32::from(n).to_le_bytes().into(),
            DType::F16 => f16::from_f32(f32::from(n)).to_le_bytes().into(),
            DType::F64 => f64::from(n).to_le_bytes().into(),
            DType::I32 => i32::from(n).to_le_bytes().into(),
            DType::I64 => i64::from(n).to_le_bytes().into(),
            _ => vec![n],
        }
    };
    // Sizes and valid sizes; strides and offset.
    type Sizes = [u32; 3];
    let layouts: [([Sizes; 2], [i64; 3], i64); 5] = [
        ([[5, 6, 7], [5, 6, 7]], [42, 7, 1], 0),
        ([[7, 6, 8], [7, 6, 5]], [1, 7, 42], 0),
        ([[6, 3, 9], [5, 2, 7]], [42, 14, -1], 6),
        ([[2, 2, 2], [0, 2, 2]], [1, 1, 1], 0),
        ([[4, 1, 3], [4, 1, 1]], [7, 0, i64::MAX], 3),
    ];
    let sources = [
        DType::F32,
        DType::F16,
        DType::F64,
        DType::I32,
        DType::I64,
        DType::U8,
    ];
    for source in sources {
        let stored: Vec<u8> = (0..values).flat_map(|i| bytes(source, i)).collect();
        for element in [Element::F32, Element::F16, Element::I32] {
            for ([dims, valid], strides, offset) in layouts {
                let (dims, valid) = (dims.to_vec(), valid.to_vec());
                let strides = strides.to_vec();
                let pack = Pack {
                    source,
                    element,
                    dims,
                    valid,
                    strides,
                    offset,
                    transform: Transform::None,
                };
                pack.validate(stored.len() as u64).expect("inside");
                let size = element.size_bytes() as usize;
                let mut got = vec![0xAA; pack.numel().expect("fits") as usize * size];
                pack.write(&stored, 0, &mut got);
                let mut slots = got.chunks_exact(size);
                for (i, j, k) in (0..pack.dims[0]).flat_map(|i| {
                    let [_, h, w] = [pack.dims[0], pack.dims[1], pack.dims[2]];
                    (0..h).flat_map(move |j| (0..w).map(move |k| (i, j, k)))
                }) {
                    let inside = [i, j, k].iter().zip(&pack.valid).all(|(i, v)| i < v);
                    let at = || {
                        let steps = [i, j, k].map(i64::from);
                        let sum: i64 = steps.iter().zip(&pack.strides).map(|(i, s)| i * s).sum();
                        (offset + sum) as usize % 113
                    };
                    let want = if inside { at() as f32 } else { 0.0 };
                    let slot = slots.next().expect("as many");
                    let value = match element {
                        Element::F32 => f32::from_le_bytes(slot.try_into().expect("4")),
                        Element::F16 => f16::from_le_bytes(slot.try_into().expect("2")).to_f32(),
                        Element::I32 => i32::from_le_bytes(slot.try_into().expect("4")) as f32,
                    };
                    assert_eq!(value, want, "{source:?} to {pack:?} at {:?}", [i, j, k]);
                }
            }
        }
    }
}

#[test]
fn threads_write_what_one_writes() {
    // Ragged, and long enough for several threads.
    let pack = Pack {
        source: DType::F32,
        element: Element::F16,
        dims: vec![3, 331, 513],
        valid: vec![3, 331, 509],
        strides: vec![1, 3, 3 * 331],
        offset: 0,
        transform: Transform::None,
    };
    let source = floats(3 * 331 * 509);
    let bytes = pack.numel().expect("fits") as usize * 2;
    for (first, length) in [(0, bytes), (1000, bytes - 2000), (7, 4), (7, 0)] {
        let (mut one, mut many) = (vec![1; length], vec![2; length]);
        pack.write(&source, first, &mut one);
        pack.write_parallel(&Workers::default(), &source, first, &mut many);
        assert!(one == many, "{length} bytes from element {first}");
    }
}

#[test]
fn refuses_to_read_outside() {
    let mut pack = Pack::contiguous(DType::F32, Element::F32, &[2, 3]);
    assert!(pack.validate(24).is_ok());
    assert!(pack.validate(23).is_err());
    pack.offset = -1;
    assert!(pack.validate(24).is_err());
    pack.offset = i64::MAX;
    assert!(pack.validate(24).is_err());
}

#[test]
fn converts_as_pytorch() {
    let source: Vec<u8> = [1i64, -1, 1 << 33, 7]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    assert_eq!(read_int(DType::I64, &source, 2), 0);
    assert_eq!(read_float(DType::I64, &source, 1), -1.0);
    assert_eq!(read_int(DType::Bool, &[2], 0), 1);
    assert_eq!(read_int(DType::F32, &2.9f32.to_le_bytes(), 0), 2);
}

/// `G g G^T` from the definition: Lagrange's basis at Winograd's points.
fn winograd_of(kernel: &[f64; 9]) -> [f64; 36] {
    let points = [0.0, 0.625, -0.625, 1.5, -1.5];
    let at = |row: [f64; 3], i: usize| match points.get(i) {
        None => row[2],
        Some(p) => {
            let others = points.iter().filter(|other| *other != p);
            let distances: f64 = others.map(|other| p - other).product();
            (row[0] + row[1] * p + row[2] * p * p) / distances
        }
    };
    std::array::from_fn(|position| {
        let row = |r: usize| at([0, 1, 2].map(|c| kernel[r * 3 + c]), position % 6);
        at([row(0), row(1), row(2)], position / 6)
    })
}

/// [c_out = 5, c_in = 3, 3, 3] -> [3 padded to 4][36][5 padded to 8], in any chunks.
#[test]
fn winograd_of_every_kernel() {
    let (c_out, c_in) = (5usize, 3usize);
    let values: Vec<f32> = (0..c_out * c_in * 9)
        .map(|i| ((i * 7919 + 13) % 1009) as f32 / 509.0 - 1.0)
        .collect();
    let source: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut pack = Pack {
        source: DType::F32,
        element: Element::F32,
        dims: vec![4, 36, 8],
        valid: vec![3, 36, 5],
        strides: vec![9, 0, 27],
        offset: 0,
        transform: Transform::Winograd([3, 1]),
    };
    let got = run(&pack, &source);
    for (at, &x) in got.iter().enumerate() {
        let (c, position, o) = (at / 288, at / 8 % 36, at % 8);
        let want = match c < c_in && o < c_out {
            true => {
                let kernel = &values[(o * c_in + c) * 9..][..9];
                winograd_of(&std::array::from_fn(|i| f64::from(kernel[i])))[position]
            }
            false => 0.0,
        };
        // One rounding, and those of f64 on the way.
        let off = (f64::from(x) - want).abs();
        assert!(off <= 2f64.powi(-24) * want.abs() + 1e-14, "element {at}");
    }
    for chunk in [1, 7, 100, 1151] {
        let mut parts = Vec::new();
        for first in (0..got.len()).step_by(chunk) {
            let mut out = vec![0u8; chunk.min(got.len() - first) * 4];
            pack.write(&source, first as u64, &mut out);
            parts.extend(
                out.chunks_exact(4)
                    .map(|c| f32::from_le_bytes(c.try_into().expect("4"))),
            );
        }
        assert_eq!(parts, got, "chunk {chunk}");
    }
    // The last tap of the last kernel is read, and nothing behind it.
    let length = source.len() as u64;
    assert!(pack.validate(length).is_ok());
    assert!(pack.validate(length - 1).is_err());
    pack.dims[1] = 35;
    assert!(pack.validate(length).is_err());
}
