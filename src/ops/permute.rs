//! Dims in another order, or walked backwards. Emits nothing.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::ops::support::args::wrap_dim;
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::window::{permute, slice, wrap_dims};
use crate::ops::support::{Args, Op};

/// A call of `aten.permute_copy`, `aten.transpose_copy` or `aten.t_copy`.
pub struct Permute {
    input: ValueId,
    order: Order,
    output: ValueId,
}

enum Order {
    /// All dims.
    All(Vec<i64>),
    /// Two dims trade places.
    Swap(i64, i64),
    /// The transpose of a matrix; anything of lower rank stays.
    Matrix,
}

impl Op for Permute {
    const NAMES: &'static [&'static str] = &[
        "aten.permute_copy.default",
        "aten.permute.default",
        "aten.transpose_copy.int",
        "aten.t_copy.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let order = match args.op() {
            "aten.t_copy.default" => {
                args.expect_len(2)?;
                Order::Matrix
            }
            "aten.transpose_copy.int" => {
                args.expect_len(4)?;
                Order::Swap(args.int(1)?, args.int(2)?)
            }
            _ => {
                args.expect_len(3)?;
                Order::All(args.ints(1)?)
            }
        };
        Ok(Self {
            input: args.tensor(0)?,
            order,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.tensor(self.input)?;
        let rank = source.dims.len();
        let mut order: Vec<usize> = (0..rank).collect();
        match &self.order {
            Order::All(dims) => order = wrap_dims(dims, rank)?,
            Order::Swap(a, b) => {
                let (a, b) = (wrap_dim(*a, rank)?, wrap_dim(*b, rank)?);
                if rank > 0 {
                    order.swap(a, b);
                }
            }
            Order::Matrix if rank > 2 => {
                return Err(Error::blob(format!("transpose of dims {:?}", source.dims)))
            }
            Order::Matrix => order.reverse(),
        }
        program.bind(self.output, permute(&source, &order)?)
    }
}

/// A call of `aten.flip`.
pub struct Flip {
    input: ValueId,
    dims: Vec<i64>,
    output: ValueId,
}

impl Op for Flip {
    const NAMES: &'static [&'static str] = &["aten.flip.default"];

    fn parse(args: &Args<'_>) -> Result<Self> {
        args.expect_len(3)?;
        Ok(Self {
            input: args.tensor(0)?,
            dims: args.ints(1)?,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let mut window = program.tensor(self.input)?;
        for d in wrap_dims(&self.dims, window.dims.len())? {
            // A scalar has no dim 0 to walk.
            if let Some(&n) = window.dims.get(d).filter(|&&n| n > 1) {
                window = slice(&window, d, n - 1, n, -1)?;
            }
        }
        program.bind(self.output, window)
    }
}
