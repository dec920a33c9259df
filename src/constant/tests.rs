use super::*;

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

/// [c_out = 5, c_in = 3, 3, 3] -> [36][3 padded to 4][5 padded to 8], in any chunks.
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
        dims: vec![36, 4, 8],
        valid: vec![36, 3, 5],
        strides: vec![0, 9, 27],
        offset: 0,
        transform: Transform::Winograd([3, 1]),
    };
    let got = run(&pack, &source);
    for (at, &x) in got.iter().enumerate() {
        let (position, c, o) = (at / 32, at / 8 % 4, at % 8);
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
    pack.dims[0] = 35;
    assert!(pack.validate(length).is_err());
}
