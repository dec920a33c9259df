//! Convolutions whose tensors are larger than what a kernel may bind: images, rows, columns and blocks
//! of outputs on their own.

use super::Conv2d;
use crate::base::error::Result;
use crate::core::conv::ConvGeometry;
use crate::core::graph::Fused;
use crate::core::ids::ValueId;
use crate::core::tensor::{Layout, CHANNEL_PACK};
use crate::ops::support::builder::ProgramBuilder;
use crate::ops::support::pieces::{cut_along, cuts, Axis, Moving, Piece, Pieces, Whole};
use std::ops::Range;

impl Conv2d {
    /// How the convolution is cut.
    pub(super) fn in_pieces(
        &self,
        program: &mut ProgramBuilder<'_>,
    ) -> Result<Option<Pieces<'_, Self>>> {
        let geometry = self.geometry(program)?;
        let rank = program.dims(self.input)?.len();
        let mut dims = vec![
            geometry.n,
            geometry.c_out,
            geometry.h_out(),
            geometry.w_out(),
        ];
        if rank == 3 {
            dims.remove(2);
        }
        // What is added lies as the result does, or is broadcast to it.
        let mut added = None;
        if let Some(id) = self.steps.add {
            let shape = program.dims(id)?;
            let lead = rank.saturating_sub(shape.len());
            added = Some((id, shape, lead));
        }
        let beside = |dim: usize| {
            let (id, shape, lead) = added.as_ref()?;
            let at = dim.checked_sub(*lead)?;
            (shape[at] > 1).then_some((*id, at))
        };
        let with_added = |dim: usize, mut cut: Vec<(ValueId, usize)>| {
            cut.extend(beside(dim));
            cut
        };
        let mut axes = vec![cut_along(self, 0, with_added(0, vec![(self.input, 0)]))];
        // Axis 0 is the height and 1 the width of the geometry.
        for (axis, dim) in [(0, rank.wrapping_sub(2)), (1, rank - 1)] {
            if rank == 3 && axis == 0 {
                continue;
            }
            let beside = beside(dim);
            axes.push(Axis {
                result_dims: vec![dim],
                unit: 1,
                cut: [self.input]
                    .into_iter()
                    .chain(beside.map(|(id, _)| id))
                    .collect(),
                piece: Box::new(move |range| {
                    let (op, slice) = self.window(&geometry, axis, &range);
                    let mut list = cuts(beside.as_slice(), &range);
                    list.extend(cuts(&[(self.input, dim)], &slice));
                    Ok(Piece { op, cuts: list })
                }),
            });
        }
        axes.push(self.outputs(program, &geometry, beside(1))?);
        Ok(Some(Pieces {
            results: vec![Whole {
                id: self.output,
                dims,
                layout: Layout::ChannelsPacked,
            }],
            operands: vec![self.input, self.weight],
            axes,
        }))
    }

    /// What makes outputs `range` along `axis` of the geometry, and the slice of the input that it
    /// reads. Beyond the end of the slice inputs are 0, as beyond the input's.
    fn window(&self, g: &ConvGeometry, axis: usize, range: &Range<u32>) -> (Self, Range<u32>) {
        let reach = u64::from(g.dilation[axis]) * (u64::from(g.kernel[axis]) - 1);
        let size = [g.h_in, g.w_in][axis];
        let (stride, padding) = (g.stride[axis], g.padding[axis]);
        let moving = Moving {
            size,
            stride,
            padding,
            reach,
        };
        let (slice, padding) = match g.transposed {
            true => moving.scattered(range),
            false => moving.slice(range),
        };
        let mut op = self.clone();
        op.padding[axis] = padding;
        op.given[axis] = Some(range.end - range.start);
        (op, slice)
    }

    /// Blocks of output channels: of one group as many as there are, else whole groups.
    fn outputs<'a>(
        &'a self,
        program: &mut ProgramBuilder<'_>,
        g: &ConvGeometry,
        added: Option<(ValueId, usize)>,
    ) -> Result<Axis<'a, Self>> {
        let (groups, group_in, group_out) = (g.groups, g.group_in(), g.group_out());
        let mut per_output: Vec<(ValueId, usize)> = added.into_iter().collect();
        per_output.extend(self.bias.map(|id| (id, 0)));
        if let Some(Fused::Prelu { slope }) = self.steps.first {
            let dims = program.dims(slope)?;
            let channels = dims.iter().position(|&d| d == g.c_out && d > 1);
            per_output.extend(channels.map(|dim| (slope, dim)));
        }
        // A single group of a transposed weight has its outputs in dim 1.
        let alone = groups == 1;
        if alone || !g.transposed {
            per_output.push((self.weight, usize::from(g.transposed)));
        }
        let mut cut: Vec<ValueId> = per_output.iter().map(|&(id, _)| id).collect();
        cut.extend([self.input, self.weight].iter().filter(|_| !alone));
        Ok(Axis {
            result_dims: vec![1],
            unit: if alone { CHANNEL_PACK } else { group_out },
            cut,
            piece: Box::new(move |range| {
                let mut op = self.clone();
                let mut list = cuts(&per_output, &range);
                if !alone {
                    let first = range.start / group_out;
                    op.groups = (range.end - range.start) / group_out;
                    let inputs = first * group_in..(first + op.groups) * group_in;
                    list.extend(cuts(&[(self.input, 1)], &inputs));
                    if self.transposed {
                        list.extend(cuts(&[(self.weight, 0)], &inputs));
                    }
                }
                Ok(Piece { op, cuts: list })
            }),
        })
    }
}
