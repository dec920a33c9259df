//! Pooling of planes: the largest element of each window, or the mean.

use crate::base::error::{Error, Result};
use crate::core::graph::ValueId;
use crate::ops::support::builder::dense_layout;
use crate::ops::support::builder::LINE_LOCAL_SIZE;
use crate::ops::support::builder::{Bind, DispatchDesc, ProgramBuilder, Want};
use crate::ops::support::pieces::{cut_along, cuts, Axis, Moving, Piece, Pieces, Whole};
use crate::ops::support::planes::{channels_last, plane_of, push, signed, with_batch};
use crate::ops::support::{Args, Op};
use std::ops::Range;

use crate::core::shader::Shader;
use crate::core::tensor::{Element, Tensor};

/// A call of `aten.max_pool2d`, with or without indices, or of `aten.avg_pool2d`.
#[derive(Clone)]
pub struct Pool {
    input: ValueId,
    window: Window,
    /// Padding behind the plane, which a piece of a larger call may have less of before it.
    end_padding: [u32; 2],
    /// Rows and columns of the result where the call is a piece of a larger one.
    given: [Option<u32>; 2],
    kind: Kind,
    outputs: Vec<ValueId>,
}

/// How a window of the kernel's size moves over a plane. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    kernel: [u32; 2],
    stride: [u32; 2],
    padding: [u32; 2],
    dilation: [u32; 2],
    rounding: Rounding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    /// Only windows that fit.
    Floor,
    /// One more that starts inside.
    Ceil,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Max,
    MaxWithIndices,
    /// The sum over this divisor.
    MeanGiven(i32),
    /// Padding counts as elements.
    MeanPadded,
    /// Only elements of the plane count.
    MeanInside,
}

impl Kind {
    /// As `shaders/pool.comp` numbers them, and the divisor.
    fn words(self) -> [u32; 2] {
        match self {
            Self::Max => [0, 1],
            Self::MaxWithIndices => [1, 1],
            Self::MeanGiven(divisor) => [2, divisor as u32],
            Self::MeanPadded => [3, 1],
            Self::MeanInside => [4, 1],
        }
    }
}

impl Op for Pool {
    const NAMES: &'static [&'static str] = &[
        "aten.avg_pool2d.default",
        "aten.max_pool2d.default",
        "aten.max_pool2d_with_indices.default",
    ];

    fn parse(args: &Args<'_>) -> Result<Self> {
        let mean = args.op() == "aten.avg_pool2d.default";
        args.expect_len(if mean { 8 } else { 7 })?;
        let kernel = args.pair(1)?;
        let stride = if args.ints(2)?.is_empty() {
            kernel
        } else {
            args.pair(2)?
        };
        let (dilation, ceil) = if mean {
            ([1, 1], args.bool(4)?)
        } else {
            (args.pair(4)?, args.bool(5)?)
        };
        let kind = if !mean {
            match args.op() {
                "aten.max_pool2d.default" => Kind::Max,
                _ => Kind::MaxWithIndices,
            }
        } else if let Some(divisor) = args.optional_int(6)? {
            let divisor = i32::try_from(divisor).unwrap_or(0);
            if divisor == 0 {
                return Err(Error::blob("a divisor that is 0 or beyond 32 bits"));
            }
            Kind::MeanGiven(divisor)
        } else if args.bool(5)? {
            Kind::MeanPadded
        } else {
            Kind::MeanInside
        };
        let window = Window {
            kernel,
            stride,
            padding: args.pair(3)?,
            dilation,
            rounding: if ceil {
                Rounding::Ceil
            } else {
                Rounding::Floor
            },
        };
        window.validate()?;
        Ok(Self {
            input: args.tensor(0)?,
            window,
            end_padding: window.padding,
            given: [None; 2],
            kind,
            outputs: args.outputs()?,
        })
    }

    fn lower(&self, program: &mut ProgramBuilder<'_>) -> Result<()> {
        let source = program.operand(self.input, Want::Any)?;
        if source.element == Element::I32 {
            return Err(Error::unsupported(format!("pooling of {:?}", source.dtype)));
        }
        let dims = self.result_dims(&source.dims)?;
        let layout = dense_layout(&source);
        let output = *self
            .outputs
            .first()
            .ok_or_else(|| Error::blob("no outputs"))?;
        let target = program.output_any(output, &dims, layout)?;
        let indices = match (self.kind, self.outputs.get(1)) {
            (Kind::MaxWithIndices, Some(&id)) if program.is_used(id) => {
                Some(program.output_any(id, &dims, layout)?)
            }
            _ => None,
        };
        if indices.as_ref().is_some_and(|t| t.element != Element::I32) {
            return Err(Error::blob("indices that are no integers"));
        }
        self.emit(program, &source, &target, indices.as_ref())
    }

    fn pieces(&self, program: &mut ProgramBuilder<'_>) -> Result<Option<Pieces<'_, Self>>> {
        let source = program.dims(self.input)?;
        let dims = self.result_dims(&source)?;
        let rank = dims.len();
        let used: Vec<ValueId> = match self.kind {
            Kind::MaxWithIndices => self.outputs.iter().copied().take(2).collect(),
            _ => self.outputs.iter().copied().take(1).collect(),
        };
        let used = used.into_iter().enumerate();
        let used: Vec<ValueId> = used
            .filter(|&(i, id)| i == 0 || program.is_used(id))
            .map(|(_, id)| id)
            .collect();
        let mut results = Vec::new();
        for &id in &used {
            results.push(Whole::like(program, self.input, id, dims.clone())?);
        }
        let count = results.len();
        let whole_planes = (0..rank - 2).map(|d| Axis {
            result_dims: vec![d; count],
            ..cut_along(self, d, vec![(self.input, d)])
        });
        let mut axes: Vec<_> = whole_planes.collect();
        // Indices count the elements of a whole plane.
        for i in (0..2).take_while(|_| count == 1) {
            let (dim, size) = (rank - 2 + i, source[rank - 2 + i]);
            axes.push(Axis {
                result_dims: vec![dim],
                unit: 1,
                cut: vec![self.input],
                piece: Box::new(move |range| {
                    let (op, slice) = self.piece(i, size, &range);
                    let cuts = cuts(&[(self.input, dim)], &slice);
                    Ok(Piece { op, cuts })
                }),
            });
        }
        Ok(Some(Pieces {
            results,
            operands: vec![self.input],
            axes,
        }))
    }
}

impl Pool {
    fn result_dims(&self, source: &[u32]) -> Result<Vec<u32>> {
        let plane = plane_of(source)?;
        let mut dims = source.to_vec();
        let rank = dims.len();
        for (i, size) in plane.into_iter().enumerate() {
            dims[rank - 2 + i] = match self.given[i] {
                Some(given) => given,
                None => self.window.output(i, size)?,
            };
        }
        Ok(dims)
    }

    /// What makes rows (0) or columns (1) `range` of a result from a plane of `size` there, and the
    /// slice of the plane that it reads.
    fn piece(&self, i: usize, size: u32, range: &Range<u32>) -> (Self, Range<u32>) {
        let moving = Moving {
            size,
            stride: self.window.stride[i],
            padding: self.window.padding[i],
            reach: u64::from(self.window.kernel[i] - 1) * u64::from(self.window.dilation[i]),
        };
        let (slice, padding) = moving.slice(range);
        let mut op = self.clone();
        op.window.padding[i] = padding;
        op.given[i] = Some(range.end - range.start);
        (op, slice)
    }

    fn emit(
        &self,
        program: &mut ProgramBuilder<'_>,
        source: &Tensor,
        target: &Tensor,
        indices: Option<&Tensor>,
    ) -> Result<()> {
        let (source, target) = (with_batch(source)?, with_batch(target)?);
        let kind = match (self.kind, indices) {
            (Kind::MaxWithIndices, None) => Kind::Max,
            (kind, _) => kind,
        };
        let [number, divisor] = kind.words();
        let Window {
            kernel,
            stride,
            padding,
            dilation,
            ..
        } = self.window;
        let mut words = push(&source, &target)?;
        let plane = [source.dims[2], source.dims[3]];
        let pairs = [plane, stride, padding, self.end_padding, dilation];
        for n in pairs.into_iter().flatten() {
            words.push(signed(i64::from(n))?);
        }
        words.push(divisor);
        let placed = indices.map(with_batch).transpose()?;
        let (offset, strides) = placed
            .as_ref()
            .map_or((0, &[0; 4][..]), |t| (t.offset, &t.strides));
        words.push(signed(offset)?);
        for &stride in strides {
            words.push(signed(stride)?);
        }
        let half = source.element == Element::F16 || target.element == Element::F16;
        program.dispatch_words(DispatchDesc {
            shader: if half {
                Shader::PoolHalf
            } else {
                Shader::PoolPlain
            },
            local_size: [LINE_LOCAL_SIZE, 1, 1],
            spec: vec![
                channels_last(&target),
                source.element as u32,
                target.element as u32,
                kernel[0],
                kernel[1],
                number,
            ],
            push: words,
            bindings: vec![
                Bind::read(&source),
                Bind::write(&target),
                // Without indices the result stands in their place: a layer that goes by what the
                // kernel declares then sees no write to a buffer that others read.
                Bind::write(indices.unwrap_or(&target)),
            ],
            workgroups: program.line(target.numel(), LINE_LOCAL_SIZE)?,
        })
    }
}

impl Window {
    /// PyTorch's own conditions; they bound every product in the kernel.
    fn validate(&self) -> Result<()> {
        let positive = [self.kernel, self.stride, self.dilation];
        let small = |n: &u32| (1..=1 << 15).contains(n);
        let fits = |i: usize| {
            let reach =
                u64::from(self.kernel[i].saturating_sub(1)) * u64::from(self.dilation[i]) + 1;
            u64::from(self.padding[i]) * 2 <= reach
        };
        if positive.as_flattened().iter().all(small) && fits(0) && fits(1) {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "kernel {:?}, stride {:?}, padding {:?}, dilation {:?}",
            self.kernel, self.stride, self.padding, self.dilation
        )))
    }

    /// Number of windows along height (0) or width (1) of `size`.
    fn output(&self, i: usize, size: u32) -> Result<u32> {
        let [size, kernel, stride, padding, dilation] = [
            size,
            self.kernel[i],
            self.stride[i],
            self.padding[i],
            self.dilation[i],
        ]
        .map(i64::from);
        let room = size + 2 * padding - dilation * (kernel - 1) - 1;
        let count = match self.rounding {
            Rounding::Floor => room.div_euclid(stride) + 1,
            Rounding::Ceil => {
                let count = (room + stride - 1).div_euclid(stride) + 1;
                // The last window starts inside the plane or its leading padding.
                count - i64::from((count - 1) * stride >= size + padding)
            }
        };
        u32::try_from(count)
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| Error::blob(format!("{self:?} over a size of {size}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_are_those_of_pytorch() {
        let window = |kernel, stride, padding, dilation, rounding| Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            rounding,
        };
        use Rounding::{Ceil, Floor};
        for (size, w, want) in [
            (16, window(2, 2, 0, 1, Floor), 8),
            (15, window(2, 2, 0, 1, Floor), 7),
            (15, window(2, 2, 0, 1, Ceil), 8),
            (15, window(3, 2, 1, 1, Ceil), 8),
            (16, window(3, 2, 1, 1, Ceil), 9),
            // The ninth would start in the trailing padding.
            (8, window(1, 2, 0, 1, Ceil), 4),
            (5, window(2, 3, 1, 1, Ceil), 2),
            (6, window(3, 3, 1, 2, Ceil), 2),
            (7, window(3, 1, 0, 3, Floor), 1),
        ] {
            assert_eq!(w.output(0, size).expect("valid"), want, "{size} {w:?}");
        }
        assert!(window(3, 1, 0, 1, Floor).output(0, 2).is_err());
        assert!(window(3, 0, 0, 1, Floor).validate().is_err());
        assert!(window(3, 1, 2, 1, Floor).validate().is_err());
    }
}
