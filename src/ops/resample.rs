//! Resampling of planes to another size: nearest and bilinear.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::core::shader::Shader;
use crate::core::tensor::Element;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::planes::{channels_last, push, signed, with_batch};
use crate::ops::support::{Args, Op};

/// A call of `aten.upsample_nearest2d` or `aten.upsample_bilinear2d`.
pub struct Resample {
    input: ValueId,
    size: Option<Vec<i64>>,
    scale: Option<Vec<f64>>,
    kind: Kind,
    output: ValueId,
}

/// Numbered as in `shaders/resample.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Nearest = 0,
    Bilinear = 1,
    /// The corners of source and target coincide.
    BilinearCorners = 2,
}

impl Op for Resample {
    const NAMES: &'static [&'static str] = &[
        "aten.upsample_bilinear2d.vec",
        "aten.upsample_nearest2d.vec",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let (kind, scale) = if args.op() == "aten.upsample_nearest2d.vec" {
            args.expect_len(4)?;
            (Kind::Nearest, 2)
        } else {
            args.expect_len(5)?;
            match args.bool(2)? {
                true => (Kind::BilinearCorners, 3),
                false => (Kind::Bilinear, 3),
            }
        };
        Ok(Self {
            input: args.tensor(0)?,
            size: args.optional_ints(1)?,
            scale: args.optional_doubles(scale)?,
            kind,
            output: args.output()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        let &[n, c, h_in, w_in] = source.dims.as_slice() else {
            return Err(Error::blob(format!("resampling of dims {:?}", source.dims)));
        };
        if source.element == Element::I32 || h_in == 0 || w_in == 0 {
            return Err(Error::unsupported(format!(
                "resampling of {:?} {:?}",
                source.dtype, source.dims
            )));
        }
        let [h_out, w_out] = self.output_size([h_in, w_in])?;
        let dims = [n, c, h_out, w_out];
        let target = program.output_any(self.output, &dims, dense_layout(&source))?;
        let (source, target) = (with_batch(&source)?, with_batch(&target)?);
        let mut words = push(&source, &target)?;
        words.extend([signed(h_in.into())?, signed(w_in.into())?]);
        for (i, (size, size_out)) in [(h_in, h_out), (w_in, w_out)].into_iter().enumerate() {
            words.push(self.step(i, size, size_out).to_bits());
        }
        let half = source.element == Element::F16 || target.element == Element::F16;
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::ResampleHalf
            } else {
                Shader::ResamplePlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                channels_last(&target),
                source.element as u32,
                target.element as u32,
                self.kind as u32,
            ],
            push: words,
            bindings: vec![Bind::read(&source), Bind::write(&target)],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
    }
}

impl Resample {
    fn output_size(&self, input: [u32; 2]) -> Result<[u32; 2]> {
        let wrong = || {
            Error::blob(format!(
                "resampling of {input:?} to size {:?}, scale {:?}",
                self.size, self.scale
            ))
        };
        let sizes = match (&self.size, &self.scale) {
            (Some(size), _) => size.clone(),
            // PyTorch multiplies in double and truncates.
            (None, Some(scale)) => input
                .iter()
                .zip(scale)
                .map(|(&n, s)| (f64::from(n) * s) as i64)
                .collect(),
            (None, None) => return Err(wrong()),
        };
        let [h, w] = sizes.as_slice() else {
            return Err(wrong());
        };
        let size = |n: i64| u32::try_from(n).ok().filter(|&n| n > 0).ok_or_else(wrong);
        Ok([size(*h)?, size(*w)?])
    }

    /// Distance of neighbours in the source, in single precision as PyTorch computes it: a scale
    /// that was given counts, even where sizes were rounded.
    fn step(&self, i: usize, size: u32, size_out: u32) -> f32 {
        if self.kind == Kind::BilinearCorners {
            return match size_out {
                1 => 0.0,
                _ => (size - 1) as f32 / (size_out - 1) as f32,
            };
        }
        match self.scale.as_ref().and_then(|s| s.get(i)) {
            Some(&scale) if scale > 0.0 => (1.0 / scale) as f32,
            _ => size as f32 / size_out as f32,
        }
    }
}
