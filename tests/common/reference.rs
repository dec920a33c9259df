//! Host arrays in f64, which holds every value of the narrower types, and how results are compared.
#![allow(dead_code, unreachable_pub, reason = "no test binary uses all of it")]

use super::random::Random;
use etvk::core::tensor::DType;
use half::f16;

/// A host tensor; its values are exact in `dtype`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dtype: DType,
    pub dims: Vec<u32>,
    pub values: Vec<f64>,
}

/// The nearest value of `dtype`; integers keep their low bits, as PyTorch's conversions do.
pub fn rounded(dtype: DType, x: f64) -> f64 {
    match dtype {
        DType::F16 => f16::from_f64(x).to_f64(),
        DType::F32 => f64::from(x as f32),
        DType::F64 => x,
        DType::Bool => f64::from(u8::from(x != 0.0)),
        DType::U8 => f64::from(x as i64 as u8),
        DType::I8 => f64::from(x as i64 as i8),
        DType::I32 => f64::from(x as i64 as i32),
        DType::I64 => x as i64 as f64,
    }
}

impl Array {
    /// `values`, rounded to `dtype`.
    pub fn new(dtype: DType, dims: &[u32], values: &[f64]) -> Self {
        let count: usize = dims.iter().map(|&d| d as usize).product();
        assert_eq!(count, values.len(), "dims {dims:?}");
        Self {
            dtype,
            dims: dims.to_vec(),
            values: values.iter().map(|&x| rounded(dtype, x)).collect(),
        }
    }

    /// Small random numbers: floats within 4 of 0, integers within 50.
    pub fn random(dtype: DType, dims: &[u32], random: &mut Random) -> Self {
        let count = dims.iter().map(|&d| d as usize).product();
        let values = match dtype {
            DType::Bool => random.ints(count, 0, 1),
            DType::U8 => random.ints(count, 0, 50),
            DType::I8 | DType::I32 | DType::I64 => random.ints(count, -50, 50),
            DType::F16 | DType::F32 | DType::F64 => random.floats(count, -4.0, 4.0),
        };
        Self::new(dtype, dims, &values)
    }

    pub fn scalar(dtype: DType, value: f64) -> Self {
        Self::new(dtype, &[], &[value])
    }

    /// As the host stores it, row-major.
    pub fn bytes(&self) -> Vec<u8> {
        let one = |&x: &f64| -> Vec<u8> {
            match self.dtype {
                DType::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
                DType::F32 => (x as f32).to_le_bytes().to_vec(),
                DType::F64 => x.to_le_bytes().to_vec(),
                DType::Bool | DType::U8 => vec![x as u8],
                DType::I8 => (x as i8).to_le_bytes().to_vec(),
                DType::I32 => (x as i32).to_le_bytes().to_vec(),
                DType::I64 => (x as i64).to_le_bytes().to_vec(),
            }
        };
        self.values.iter().flat_map(one).collect()
    }

    /// The inverse of [`Array::bytes`].
    pub fn from_bytes(dtype: DType, dims: &[u32], bytes: &[u8]) -> Self {
        fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.try_into().expect("a whole element")
        }
        let one = |b: &[u8]| match dtype {
            DType::F16 => f16::from_le_bytes(fixed(b)).to_f64(),
            DType::F32 => f32::from_le_bytes(fixed(b)).into(),
            DType::F64 => f64::from_le_bytes(fixed(b)),
            DType::Bool | DType::U8 => b[0].into(),
            DType::I8 => i8::from_le_bytes(fixed(b)).into(),
            DType::I32 => i32::from_le_bytes(fixed(b)).into(),
            DType::I64 => i64::from_le_bytes(fixed(b)) as f64,
        };
        let size = usize::try_from(dtype.size_bytes()).expect("small");
        let count: usize = dims.iter().map(|&d| d as usize).product();
        assert_eq!(bytes.len(), count * size, "{dtype:?} {dims:?}");
        Self {
            dtype,
            dims: dims.to_vec(),
            values: bytes.chunks_exact(size).map(one).collect(),
        }
    }

    /// The element at `index` of a shape that this array broadcasts to.
    fn at(&self, index: &[u32]) -> f64 {
        let lead = index.len() - self.dims.len();
        let mut flat = 0usize;
        for (&i, &d) in index[lead..].iter().zip(&self.dims) {
            flat = flat * d as usize + if d == 1 { 0 } else { i as usize };
        }
        self.values[flat]
    }
}

/// Every index of `dims`, row-major.
pub fn indices(dims: &[u32]) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new()];
    for &d in dims {
        all = all
            .iter()
            .flat_map(|index| {
                (0..d).map(move |i| {
                    let mut longer = index.clone();
                    longer.push(i);
                    longer
                })
            })
            .collect();
    }
    all
}

/// The shape that `all` broadcast to.
pub fn broadcast_dims(all: &[&Array]) -> Vec<u32> {
    let rank = all.iter().map(|a| a.dims.len()).max().unwrap_or(0);
    let size = |d: usize| {
        let of = |a: &&Array| {
            let lead = rank - a.dims.len();
            d.checked_sub(lead).map_or(1, |d| a.dims[d])
        };
        all.iter().map(of).find(|&n| n != 1).unwrap_or(1)
    };
    (0..rank).map(size).collect()
}

/// `function` of the elements of `operands`, broadcast together.
pub fn elementwise(dtype: DType, operands: &[&Array], function: &dyn Fn(&[f64]) -> f64) -> Array {
    let dims = broadcast_dims(operands);
    let values: Vec<f64> = indices(&dims)
        .iter()
        .map(|index| {
            let xs: Vec<f64> = operands.iter().map(|a| a.at(index)).collect();
            function(&xs)
        })
        .collect();
    Array::new(dtype, &dims, &values)
}

/// How far a result may be: `absolute + relative * |want|`, besides the rounding to its type.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
}

/// Bit for bit, but for the sign of zero and the payload of NaN.
pub const EXACT: Tolerance = Tolerance {
    relative: 0.0,
    absolute: 0.0,
};

/// A few units in the last place of fp32.
pub const fn relative(relative: f64) -> Tolerance {
    // Results below the smallest normal number may be flushed to zero.
    Tolerance {
        relative,
        absolute: 1.2e-38,
    }
}

/// Asserts that `got` is `want`; the message tells where it is farthest off.
pub fn assert_close(what: &str, got: &Array, want: &Array, tolerance: Tolerance) {
    if let Some(message) = difference(what, got, want, tolerance) {
        panic!("{message}");
    }
}

/// Where `got` is farthest from `want`, if that is more than `tolerance` allows.
pub fn difference(what: &str, got: &Array, want: &Array, tolerance: Tolerance) -> Option<String> {
    assert_eq!(got.dims, want.dims, "{what}: dims");
    assert_eq!(got.dtype, want.dtype, "{what}: type");
    // One unit in the last place of fp16: the device may round its stores either way.
    let (half_relative, half_absolute) = match got.dtype {
        DType::F16 => (1.0 / 1024.0, 6e-8),
        _ => (0.0, 0.0),
    };
    let off = |g: f64, w: f64| {
        if g == w || (g.is_nan() && w.is_nan()) {
            return 0.0;
        }
        let allowed =
            tolerance.absolute + half_absolute + (tolerance.relative + half_relative) * w.abs();
        let off = (g - w).abs();
        match off.is_finite() {
            true if allowed > 0.0 => off / allowed,
            _ => f64::INFINITY,
        }
    };
    let worst = got
        .values
        .iter()
        .zip(&want.values)
        .map(|(&g, &w)| off(g, w))
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let (at, worst) = worst.filter(|&(_, worst)| worst > 1.0)?;
    Some(format!(
        "{what}: element {at} of {:?} is {:e}, expected {:e}: {worst:.2} times what {tolerance:?} allows",
        got.dims, got.values[at], want.values[at],
    ))
}

/// The error function, to f64's precision: its series near 0, the continued fraction beyond.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    x.signum() * (1.0 - erfc(x.abs()))
}

/// 1 - erf(x) without cancellation, for x >= 2.
pub fn erfc(x: f64) -> f64 {
    let mut fraction = x;
    for n in (1..200).rev() {
        fraction = x + f64::from(n) / 2.0 / fraction;
    }
    (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
}
