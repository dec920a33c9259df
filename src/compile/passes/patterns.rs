//! Two decompositions of the exporter, put together again.

use super::seen::{Rewrite, Seen};
use crate::base::error::Result;
use crate::core::graph::ValueId;
use crate::core::kernels::{binary, unary};
use crate::ops::binary::{Binary, Operand};
use crate::ops::select::Where;
use crate::ops::unary::Unary;

/// `where(x > 0, x, x * slope)` is `prelu(x, slope)`.
pub(super) fn prelu(seen: &Seen<'_>, at: usize) -> Result<Option<Rewrite>> {
    let Some(choice) = seen.call::<Where>(at) else {
        return Ok(None);
    };
    let condition = seen.call_for::<Binary>(choice.condition, at);
    let scaled = seen.call_for::<Binary>(choice.right, at);
    let (Some((compared_at, compared)), Some((scaled_at, scaled))) = (condition, scaled) else {
        return Ok(None);
    };
    let x = choice.left;
    let functions = [compared.function, scaled.function];
    if functions != [binary::Function::Gt, binary::Function::Mul]
        || compared.left != Operand::Tensor(x)
        || seen.number(compared.right)? != Some(0.0)
    {
        return Ok(None);
    }
    let Some(slope) = other_operand(&scaled, x) else {
        return Ok(None);
    };
    // The result must be as large as x: a slope that broadcasts x is something else.
    let same = seen.alike(x, choice.output)?
        && seen.graph.tensor(slope)?.dtype == seen.graph.tensor(x)?.dtype;
    Ok(same.then(|| Rewrite {
        call: Binary::prelu(x, slope, choice.output),
        dead: vec![compared_at, scaled_at],
    }))
}

/// `x * sigmoid(x)` is `silu(x)`.
pub(super) fn silu(seen: &Seen<'_>, at: usize) -> Result<Option<Rewrite>> {
    let product = seen.call::<Binary>(at);
    let Some(product) = product.filter(|call| call.function == binary::Function::Mul) else {
        return Ok(None);
    };
    let (Some(left), Some(right)) = (product.left.tensor(), product.right.tensor()) else {
        return Ok(None);
    };
    let gate = |gate: ValueId, x: ValueId| {
        let (writer, call) = seen.call_for::<Unary>(gate, at)?;
        let fits = call.function == unary::Function::Sigmoid && call.input == x;
        fits.then_some((x, writer))
    };
    let Some((x, sigmoid)) = gate(right, left).or_else(|| gate(left, right)) else {
        return Ok(None);
    };
    Ok(Some(Rewrite {
        call: Unary::call(unary::Function::Silu, x, product.output)?,
        dead: vec![sigmoid],
    }))
}

/// The tensor that `call` joins with `x`.
fn other_operand(call: &Binary, x: ValueId) -> Option<ValueId> {
    let (left, right) = (call.left.tensor()?, call.right.tensor()?);
    match (left == x, right == x) {
        (true, false) => Some(right),
        (false, true) => Some(left),
        _ => None,
    }
}
