//! What an operator is to the rest of the library: how a call becomes dispatches, and everything
//! that passes, bounds and mutable buffers need to know of it.

use super::args::Args;
use super::builder::ProgramBuilder;
use super::known::Known;
use super::pieces::{InPieces, Pieces};
use crate::base::error::Result;
use crate::core::graph::{Graph, Step, ValueId};

/// One operator. Names and positions of its arguments stand in its file and nowhere else: in what is
/// made from [`Args`].
pub trait Op: Sized {
    /// Names under which exported graphs call it.
    const NAMES: &'static [&'static str];
    /// Names that only passes give: no exported graph calls it by them.
    const INTERNAL: &'static [&'static str] = &[];

    /// Reads the arguments.
    fn parse(args: &Args<'_>) -> Result<Self>;

    /// Emits dispatches and binds the outputs.
    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()>;

    /// How a call is cut where its tensors are larger than what a kernel may bind; `None` where it
    /// can't be, or where it only makes windows and copies.
    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let _ = program;
        Ok(None)
    }

    /// This call as a step on `operand`, one of its operands; `None` where it is not a step on it.
    /// The operand has the result's dims and type.
    fn step(&self, operand: ValueId, graph: &Graph) -> Option<Step> {
        let _ = (operand, graph);
        None
    }

    /// Whether its kernels do `step` on the result, after the steps that the call has already.
    fn accepts(&self, step: Step) -> bool {
        let _ = step;
        false
    }

    /// The operand whose elements are the result's, in the same order, perhaps as another type.
    fn passes_on(&self) -> Option<ValueId> {
        None
    }

    /// The operand that, where it is a constant of the program, the call only makes readable.
    fn unpacks(&self) -> Option<ValueId> {
        None
    }

    /// Operands that the call writes, besides its outputs. What each becomes is
    /// [`Args::written`], in this order.
    fn writes(args: &Args<'_>) -> Result<Vec<ValueId>> {
        let _ = args;
        Ok(Vec::new())
    }

    /// Adds to `known` what follows for symbolic integers from the call's other arguments. `None`
    /// where nothing does.
    fn bounds(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let _ = (args, known);
        None
    }

    /// Makes up symbolic integers that give the result which is known, where nothing tells them
    /// apart. `None` where it did not.
    fn make_up(args: &Args<'_>, known: &mut Known<'_>) -> Option<()> {
        let _ = (args, known);
        None
    }

    /// The call of `args`, where it is one of this operator with arguments that do not depend on
    /// input sizes.
    fn of(args: &Args<'_>) -> Option<Self> {
        let named = |names: &[&str]| names.contains(&args.op());
        if !named(Self::NAMES) && !named(Self::INTERNAL) {
            return None;
        }
        Self::parse(args).ok()
    }
}

impl<T: Op> InPieces for T {
    fn lower_whole(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        self.lower(program)
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        Op::pieces(self, program)
    }
}
