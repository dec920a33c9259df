//! Weights of Winograd's F(4x4, 3x3), which `shaders/lib/winograd.glsl` multiplies with.

/// Products per tile of 4x4 outputs and channel: 6x6 instead of 9 * 16.
pub const POSITIONS: u32 = 36;

/// `G` of `U = G g G^T`. Products are evaluations of polynomials at 0, 5/8, -5/8, 3/2, -3/2 and
/// infinity; row `i` is `[1, p, p^2]` over the product of the distances to the other points.
///
/// Why these points: they keep fp32 errors small, because all powers are near 1 and every
/// coefficient of the other two transforms is a short binary fraction, so exact. Against f64, for
/// normal or uniform data, the largest error over the largest output is 1.3e-6 at 64 and 3.3e-6 at
/// 512 input channels; with the usual 0, 1, -1, 2, -2 it is 5.7e-6 and 1.6e-5.
const G: [[f64; 3]; 6] = {
    const P: f64 = 5.0 / 8.0;
    const Q: f64 = 3.0 / 2.0;
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

/// What each tap of a 3x3 kernel, row-major, contributes to product `position` of [`POSITIONS`].
pub(super) fn coefficients(position: u64) -> [f64; 9] {
    let [row, column] = [position / 6, position].map(|i| G[(i % 6) as usize]);
    std::array::from_fn(|tap| row[tap / 3] * column[tap % 3])
}
