//! `hardsigmoid` as the exporter decomposes it: add 3, clamp, clamp, divide by 6.

use super::seen::{Rewrite, Seen};
use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::core::kernels::{binary, unary};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// Clamps between the addition and the division at most.
const MAX_CLAMPS: usize = 2;

/// `clamp(clamp(x + 3, min 0), max 6) / 6`, or times 1/6, is `hardsigmoid(x)`.
pub(super) fn hardsigmoid(seen: &Seen<'_>, at: usize) -> Result<Option<Rewrite>> {
    let Some(quotient) = seen.call::<Binary>(at) else {
        return Ok(None);
    };
    let Some(mut value) = sixth_of(seen, &quotient)? else {
        return Ok(None);
    };
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let (mut dead, mut reader) = (Vec::new(), at);
    while let Some((writer, clamp)) = seen.call_for::<Unary>(value, reader) {
        let Some([min, max]) = clamp.clamp().filter(|_| dead.len() < MAX_CLAMPS) else {
            return Ok(None);
        };
        // Bounds nest: the outer one was seen first.
        (low, high) = (low.max(min), high.min(max));
        dead.push(writer);
        (value, reader) = (clamp.input, writer);
    }
    let Some((writer, sum)) = seen.call_for::<Binary>(value, reader) else {
        return Ok(None);
    };
    dead.push(writer);
    let Some(x) = sum.left.tensor() else {
        return Ok(None);
    };
    let fits = sum.function == binary::Function::Add
        && sum.alpha.double() == 1.0
        && (low, high) == (0.0, 6.0)
        && seen.number(sum.right)? == Some(3.0)
        && seen.alike(x, quotient.output)?;
    if !fits {
        return Ok(None);
    }
    let call = Unary::call(unary::Function::Hardsigmoid, x, quotient.output)?;
    Ok(Some(Rewrite { call, dead }))
}

/// What `call` gives a sixth of.
fn sixth_of(seen: &Seen<'_>, call: &Binary) -> Result<Option<ValueId>> {
    let Some(x) = call.left.tensor() else {
        return Ok(None);
    };
    let is_sixth = match call.function {
        binary::Function::Div => seen.number(call.right)? == Some(6.0),
        binary::Function::Mul => seen
            .number(call.right)?
            .is_some_and(|n| (n - 1.0 / 6.0).abs() < 1e-7),
        _ => false,
    };
    Ok(is_sixth.then_some(x))
}
