//! Every conversion, every order, every mistake.

use super::*;
use crate::base::error::ErrorKind;
use crate::base::parallel::Workers;

const ALL: [DType; 8] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::I32,
    DType::I64,
    DType::F16,
    DType::F32,
    DType::F64,
];

fn layout<'a>(dtype: DType, dims: &'a [u32], dim_order: Option<&'a [u8]>) -> HostLayout<'a> {
    HostLayout {
        dtype,
        dims,
        dim_order,
    }
}

/// Small integers as `dtype` has them.
fn encode(dtype: DType, values: &[i8]) -> Vec<u8> {
    let one = |&x: &i8| match dtype {
        DType::Bool => vec![u8::from(x != 0)],
        DType::U8 | DType::I8 => x.to_le_bytes().to_vec(),
        DType::I32 => i32::from(x).to_le_bytes().to_vec(),
        DType::I64 => i64::from(x).to_le_bytes().to_vec(),
        DType::F16 => f16::from(x).to_le_bytes().to_vec(),
        DType::F32 => f32::from(x).to_le_bytes().to_vec(),
        DType::F64 => f64::from(x).to_le_bytes().to_vec(),
    };
    values.iter().flat_map(one).collect()
}

fn staged(element: Element, values: &[i8]) -> Vec<u8> {
    encode(
        match element {
            Element::F32 => DType::F32,
            Element::F16 => DType::F16,
            Element::I32 => DType::I32,
        },
        values,
    )
}

/// What the header says of etvk_dtype_fits, pair by pair.
#[test]
fn types_that_fit() {
    use DType::{F16, F32, F64, I32, I64};
    let pairs = [(I32, I64), (F16, F32), (F16, F64), (F32, F64)];
    for (host, port) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))) {
        let listed = pairs.contains(&(host, port)) || pairs.contains(&(port, host));
        assert_eq!(
            fits(host, port),
            host == port || listed,
            "{host:?} {port:?}"
        );
    }
}

#[test]
fn every_allowed_pair_converts_both_ways_in_any_order() {
    let dims = [2, 3, 1, 2];
    let (nhwc, reversed): (&[u8], &[u8]) = (&[0, 2, 3, 1], &[3, 2, 1, 0]);
    for port in ALL {
        for host in ALL.into_iter().filter(|&host| fits(host, port)) {
            for element in [Element::F32, Element::F16, Element::I32] {
                let float = element != Element::I32;
                if float != port.is_float() || (element == Element::F16 && port != DType::F16) {
                    continue;
                }
                let values: [i8; 12] = match (host, port) {
                    (DType::Bool, _) => std::array::from_fn(|i| (i % 3 == 0).into()),
                    (DType::U8, _) => std::array::from_fn(|i| i as i8 * 10),
                    _ => std::array::from_fn(|i| i as i8 * 10 - 60),
                };
                for order in [None, Some(nhwc), Some(reversed)] {
                    // Where row-major element i lies, by the definition of dim_order.
                    let place = |i: usize| {
                        let index = [i / 6, i / 2 % 3, 0, i % 2];
                        let order = order.unwrap_or(&[0, 1, 2, 3]);
                        order.iter().fold(0, |at, &d| {
                            at * dims[usize::from(d)] as usize + index[usize::from(d)]
                        })
                    };
                    let mut permuted = [0; 12];
                    (0..12).for_each(|i| permuted[place(i)] = values[i]);
                    let data = encode(host, &permuted);
                    let layout = layout(host, &dims, order);
                    check(&layout, data.len(), port, &dims).expect("fits");
                    let mut staging = vec![0xAA; 12 * element.size_bytes() as usize];
                    store(
                        &Workers::default(),
                        &HostTensor {
                            layout,
                            data: &data,
                        },
                        element,
                        &mut staging,
                    )
                    .expect("store");
                    let case = format!("{host:?} for {port:?} as {element:?}, {order:?}");
                    assert_eq!(staging, staged(element, &values), "{case}");
                    let mut back = vec![0x55; data.len() + 3];
                    let mut out = HostTensorMut {
                        layout,
                        data: &mut back,
                    };
                    load(&Workers::default(), &staging, element, &mut out).expect("load");
                    assert_eq!(back[..data.len()], data, "{case}");
                    assert_eq!(back[data.len()..], [0x55; 3], "{case}: wrote beyond");
                }
            }
        }
    }
}

#[test]
fn wide_numbers_narrow_as_pytorch_narrows() {
    let mut staging = [0u8; 12];
    let big: Vec<u8> = [1i64 << 32 | 7, -1, i64::MIN]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let tensor = HostTensor {
        layout: layout(DType::I64, &[3], None),
        data: &big,
    };
    store(&Workers::default(), &tensor, Element::I32, &mut staging).expect("store");
    let want: Vec<u8> = [7i32, -1, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(staging.as_slice(), want);
    let f64s: Vec<u8> = [1e300f64, 0.1]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let tensor = HostTensor {
        layout: layout(DType::F64, &[2], None),
        data: &f64s,
    };
    store(&Workers::default(), &tensor, Element::F32, &mut staging).expect("store");
    assert_eq!(staging[..4], f32::INFINITY.to_le_bytes());
    assert_eq!(staging[4..8], 0.1f32.to_le_bytes());
}

/// Large tensors go in parts: none is missed, and nothing lands beside its place.
#[test]
fn large_tensors_convert_as_small_ones() {
    let count = 3_333_337u32;
    let dims = [count];
    let values: Vec<u8> = (0..count)
        .flat_map(|i| ((i % 2039) as f32).to_le_bytes())
        .collect();
    for (host, element) in [(DType::F32, Element::F32), (DType::F32, Element::F16)] {
        let tensor = HostTensor {
            layout: layout(host, &dims, None),
            data: &values,
        };
        let size = element.size_bytes() as usize;
        let mut staging = vec![0xEE; count as usize * size + 8];
        store(&Workers::default(), &tensor, element, &mut staging).expect("stores");
        assert!(staging[count as usize * size..].iter().all(|&b| b == 0xEE));
        let mut back = vec![0xEE; values.len() + 4];
        let mut tensor = HostTensorMut {
            layout: layout(host, &dims, None),
            data: &mut back,
        };
        load(&Workers::default(), &staging, element, &mut tensor).expect("loads");
        assert!(back[..values.len()] == values, "{element:?}");
        assert_eq!(back[values.len()..], [0xEE; 4]);
    }
}

#[test]
fn a_scalar_and_an_empty_tensor() {
    let mut staging = [0u8; 16];
    let scalar = HostTensor {
        layout: layout(DType::F32, &[], Some(&[])),
        data: &[1, 2, 3, 4],
    };
    check(&scalar.layout, 4, DType::F32, &[]).expect("scalar");
    store(&Workers::default(), &scalar, Element::F32, &mut staging).expect("scalar");
    assert_eq!(staging[..4], [1, 2, 3, 4]);
    let empty = HostTensor {
        layout: layout(DType::F32, &[2, 0], Some(&[1, 0])),
        data: &[],
    };
    check(&empty.layout, 0, DType::F32, &[2, 0]).expect("empty");
    store(&Workers::default(), &empty, Element::F32, &mut []).expect("empty");
}

#[test]
fn every_mistake_is_an_argument_error() {
    let dims = [2, 3];
    let max = [u32::MAX, u32::MAX, u32::MAX];
    let cases = [
        (layout(DType::I32, &dims, None), 24, "dtype"),
        (layout(DType::F32, &[3, 2], None), 24, "dims"),
        (layout(DType::F32, &[2, 3, 1], None), 24, "dims"),
        (layout(DType::F32, &dims, None), 23, "23 bytes"),
        (layout(DType::F64, &dims, None), 24, "needs 48"),
        (layout(DType::F32, &dims, Some(&[0, 0])), 24, "permutation"),
        (layout(DType::F32, &dims, Some(&[0, 2])), 24, "permutation"),
        (layout(DType::F32, &dims, Some(&[0])), 24, "permutation"),
    ];
    for (layout, size_bytes, names) in cases {
        let error = check(&layout, size_bytes, DType::F32, &dims).expect_err(names);
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert!(error.message.contains(names), "{}", error.message);
    }
    assert!(check(&layout(DType::F32, &max, None), 24, DType::F32, &max).is_err());
}

/// Many at once are rounded as one is: ties, overflow, denormals, infinities and NaN.
#[test]
fn halves_round_as_one_by_one() {
    let values: Vec<f32> = (0..70_000u32)
        .map(|i| f32::from_bits(i.wrapping_mul(0x9E37_79B9) ^ (i << 3)))
        .chain([65_519.9, 65_520.0, 2.0f32.powi(-25), f32::NAN, -0.0])
        .collect();
    let dims = [values.len() as u32];
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensor = HostTensor {
        layout: layout(DType::F32, &dims, None),
        data: &data,
    };
    let mut staging = vec![0u8; 2 * values.len()];
    store(&Workers::default(), &tensor, Element::F16, &mut staging).expect("store");
    let mut back = vec![0u8; data.len()];
    let mut out = HostTensorMut {
        layout: layout(DType::F32, &dims, None),
        data: &mut back,
    };
    load(&Workers::default(), &staging, Element::F16, &mut out).expect("load");
    for (i, &value) in values.iter().enumerate() {
        let want = f16::from_f32(value);
        let half = f16::from_le_bytes(take(&staging, i));
        let again = f32::from_le_bytes(take(&back, i));
        match value.is_nan() {
            true => assert!(half.is_nan() && again.is_nan(), "{value}"),
            false => assert_eq!((half, again), (want, want.to_f32()), "{value}"),
        }
    }
}
