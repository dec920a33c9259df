//! What an operator is to the rest of the library.

use super::args::Args;
use super::builder::ProgramBuilder;
use super::pieces::{InPieces, Pieces};
use crate::base::error::Result;

/// Which steps on its result an operator's kernels do (see [`crate::core::graph::Fused`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// None: passes leave what follows alone.
    None,
    /// Activations without operands of their own.
    Activation,
    /// An activation (also with slopes), an addition, an activation.
    Full,
}

/// One operator: its names, and how a call of it becomes dispatches.
pub trait Op: Sized {
    /// Names under which exported graphs call it.
    const NAMES: &'static [&'static str];
    /// Which steps on the result its kernels do.
    const EPILOGUE: Epilogue = Epilogue::None;
    /// Reads the arguments. Positions are named here and nowhere else.
    fn parse(args: &Args<'_>) -> Result<Self>;
    /// Emits dispatches and binds the outputs.
    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()>;
    /// How a call is cut where its tensors are larger than what a kernel may bind; `None` where it
    /// can't be, or where it only makes windows and copies.
    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let _ = program;
        Ok(None)
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
