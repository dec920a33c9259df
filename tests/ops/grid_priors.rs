use super::fed::{made, random, Arg, Fed, FLOATS};
use super::reference::EXACT;

#[test]
fn anchors_of_a_feature_map() {
    for typed in FLOATS {
        for (stride, offset) in [(8i32, 0.5), (3, 0.0), (16, -0.25)] {
            let x = random(typed, &[1, 4, 5, 7], 1);
            let want = made(typed.host, &[35, 2], |i| {
                let at = if i[1] == 0 { i[0] % 7 } else { i[0] / 7 };
                (f64::from(at) + offset) * f64::from(stride)
            });
            let args = vec![Arg::In(0), Arg::Int(stride.into()), Arg::Double(offset)];
            let op = "et_vk.grid_priors.default";
            let call = Fed::new(op, &[(typed, &x)], args, typed, &[35, 2]);
            if call.check(&[&want], EXACT).is_none() {
                return;
            }
        }
    }
}
