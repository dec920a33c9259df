//! Weights of Winograd's F(4x4, 3x3), which `shaders/conv2d_winograd.comp` multiplies with.

use super::pack::Pack;
use super::read::read_float;
use crate::core::kernels::conv2d_winograd as shader;

/// `G` of `U = G g G^T`. Products are evaluations of polynomials at 0, 5/8, -5/8, 3/2, -3/2 and
/// infinity; row `i` is `[1, p, p^2]` over the product of the distances to the other points.
///
/// Why these points: they keep fp32 errors small, because all powers are near 1 and every
/// coefficient of the other two transforms is a short binary fraction, so exact. Against f64, for
/// normal or uniform data, the largest error over the largest output is 1.3e-6 at 64 and 3.3e-6 at
/// 512 input channels; with the usual 0, 1, -1, 2, -2 it is 5.7e-6 and 1.6e-5.
const G: [[f64; 3]; 6] = {
    const P: f64 = shader::P as f64;
    const Q: f64 = shader::Q as f64;
    const P2: f64 = P * P;
    const Q2: f64 = Q * Q;
    const AT_P: f64 = 2.0 * P2 * (P2 - Q2);
    const AT_Q: f64 = 2.0 * Q2 * (Q2 - P2);
    [
        [1.0 / (P2 * Q2), 0.0, 0.0],
        [1.0 / AT_P, P / AT_P, P2 / AT_P],
        [1.0 / AT_P, -P / AT_P, P2 / AT_P],
        [1.0 / AT_Q, Q / AT_Q, Q2 / AT_Q],
        [1.0 / AT_Q, -Q / AT_Q, Q2 / AT_Q],
        [0.0, 0.0, 1.0],
    ]
};

/// `G` of three taps.
fn points(taps: [f64; 3]) -> [f64; 6] {
    G.map(|row| row[0] * taps[0] + row[1] * taps[1] + row[2] * taps[2])
}

/// `G g G^T`, row-major.
fn products(kernel: &[[f64; 3]; 3]) -> [[f64; 6]; 6] {
    let columns = [0, 1, 2].map(|c| points([kernel[0][c], kernel[1][c], kernel[2][c]]));
    std::array::from_fn(|row| points([columns[0][row], columns[1][row], columns[2][row]]))
}

/// [`Pack::write`] of `pack`, whose taps lie `taps` apart: `[c_in][36][c_out]`, an input at a time,
/// since a kernel's products lie far apart.
pub(super) fn write(pack: &Pack, taps: [i64; 2], source: &[u8], first: u64, mut out: &mut [u8]) {
    let (&[_, _, width], &[valid_in, _, valid_out]) = (&pack.dims[..], &pack.valid[..]) else {
        return;
    };
    let width = width as usize;
    let length = shader::POSITIONS as usize * width;
    let mut block = vec![0f32; length];
    let (mut input, skipped) = (first / length.max(1) as u64, first % length.max(1) as u64);
    let mut skipped = skipped as usize;
    while !out.is_empty() && length > 0 {
        block.fill(0.0);
        let outputs = match input < valid_in.into() {
            true => valid_out as usize,
            false => 0,
        };
        for output in 0..outputs {
            let at = pack.offset + input as i64 * pack.strides[0] + output as i64 * pack.strides[2];
            let tap = |row: i64, column: i64| {
                let at = usize::try_from(at + row * taps[0] + column * taps[1]);
                f64::from(read_float(pack.source, source, at.unwrap_or(usize::MAX)))
            };
            let kernel = [0, 1, 2].map(|row| [0, 1, 2].map(|column| tap(row, column)));
            for (position, product) in products(&kernel).iter().flatten().enumerate() {
                block[position * width + output] = *product as f32;
            }
        }
        let count = (length - skipped).min(out.len() / 4);
        let (now, later) = out.split_at_mut(4 * count);
        let values = &block[skipped..skipped + count];
        for (slot, value) in now.chunks_exact_mut(4).zip(values) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        (out, skipped) = (later, 0);
        input += 1;
        if count == 0 {
            return;
        }
    }
}
