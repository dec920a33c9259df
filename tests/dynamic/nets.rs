//! Random networks whose every size follows the input's height and width.

use super::blob::{Conv, GraphBuilder};
use super::random::Random;
use super::reference::Array;
use etvk::core::graph::{Value, ValueId};
use etvk::core::tensor::DType::F32;

/// A network under construction.
struct Net<'a> {
    graph: GraphBuilder,
    random: &'a mut Random,
    /// Values with a number; equal numbers have equal heights and widths at every input size.
    values: Vec<(ValueId, usize)>,
    sizes: usize,
}

/// A network of `count` random operators over one input of at most `dims`.
pub(crate) fn random_net(random: &mut Random, dims: [u32; 4], count: usize) -> GraphBuilder {
    let mut graph = GraphBuilder::new();
    let input = graph.input(F32, &dims);
    let mut net = Net {
        graph,
        random,
        values: vec![(input, 0)],
        sizes: 1,
    };
    for _ in 0..count {
        net.grow();
    }
    let mut graph = net.graph;
    let last = net.values[net.values.len() - 1].0;
    graph.output(last);
    if last.0 % 3 == 0 {
        graph.output(net.values[net.values.len() / 2].0);
    }
    graph
}

/// `graph` exported for inputs of these dims alone. What operators compute stays below the dims
/// that their results were serialized with.
pub(crate) fn made_static(graph: &GraphBuilder, dims: &[u32]) -> GraphBuilder {
    let mut fixed = graph.clone();
    let input = fixed.graph.inputs[0].0 as usize;
    let Value::Tensor(spec) = &mut fixed.graph.values[input] else {
        panic!("the input is a tensor");
    };
    spec.dims = dims.to_vec();
    fixed
}

/// A convolution of 3 x 3 with random weights.
pub(crate) fn convolution(c_in: u32, c_out: u32, side: u32) -> GraphBuilder {
    let random = &mut Random::new(7);
    let mut graph = GraphBuilder::new();
    let x = graph.input(F32, &[1, c_in, side, side]);
    let w = weight(&mut graph, random, [c_out, c_in, 3, 3]);
    let conv = Conv {
        padding: [1, 1],
        ..Conv::default()
    };
    let y = graph.conv2d(x, w, None, &conv);
    graph.output(y);
    graph
}

fn weight(graph: &mut GraphBuilder, random: &mut Random, dims: [u32; 4]) -> ValueId {
    let array = Array::random(F32, &dims, random);
    graph.constant(F32, &dims, &array.bytes())
}

impl Net<'_> {
    fn pick(&mut self) -> (ValueId, usize, Vec<u32>) {
        // The latest ones more often, so that networks are deep.
        let from = self.values.len().saturating_sub(4);
        let from = if self.random.int(0, 3) == 0 { 0 } else { from };
        let at = self.random.int(from as i64, self.values.len() as i64 - 1);
        let (id, size) = self.values[at as usize];
        let dims = self.graph.graph.tensor(id).expect("a tensor").dims.clone();
        (id, size, dims)
    }

    /// Adds the call; the result has the heights and widths numbered `size`.
    fn call(&mut self, op: &str, args: &[ValueId], dims: &[u32], size: usize) {
        let y = self.graph.tensor(F32, dims);
        self.graph.node(op, &[args, &[y]].concat());
        self.values.push((y, size));
    }

    fn new_size(&mut self) -> usize {
        self.sizes += 1;
        self.sizes - 1
    }

    fn grow(&mut self) {
        let (x, size, dims) = self.pick();
        let [n, c, h, w] = dims[..] else {
            panic!("{dims:?}");
        };
        match self.random.int(0, 10) {
            0..=3 => self.convolve(x, size, c),
            4 => self.call("aten.relu.default", &[x], &dims, size),
            5 => {
                let alike =
                    |net: &Self, id| net.graph.graph.tensor(id).expect("there").dims[1] == c;
                let other = self
                    .values
                    .iter()
                    .find(|&&(v, s)| s == size && alike(self, v));
                let other = other.map_or(x, |&(v, _)| v);
                let one = self.graph.int(1);
                self.call("aten.add.Tensor", &[x, other, one], &dims, size);
            }
            6 => {
                let (other, _) = *self.values.iter().find(|v| v.1 == size).expect("itself");
                let more = self.graph.graph.tensor(other).expect("there").dims[1];
                let (list, dim) = (self.graph.list(&[x, other]), self.graph.int(1));
                self.call("aten.cat.default", &[list, dim], &[n, c + more, h, w], size);
            }
            7 if h * w < 2000 => {
                let (none, scale) = (self.graph.none(), self.graph.doubles(&[2.0, 2.0]));
                let size = self.new_size();
                let op = "aten.upsample_nearest2d.vec";
                self.call(op, &[x, none, scale], &[n, c, h * 2, w * 2], size);
            }
            8 => {
                let [two, three, one] = [2, 3, 1].map(|k| self.graph.ints(&[k, k]));
                let ceil = self.graph.bool(false);
                let size = self.new_size();
                let dims = [n, c, (h - 1) / 2 + 1, (w - 1) / 2 + 1];
                self.call(
                    "aten.max_pool2d.default",
                    &[x, three, two, one, one, ceil],
                    &dims,
                    size,
                );
            }
            9 if c > 1 => {
                let first = self.random.int(0, i64::from(c) - 1);
                let [dim, start, end, step] = [1, first, i64::MAX, 1].map(|k| self.graph.int(k));
                let dims = [n, c - first as u32, h, w];
                self.call(
                    "aten.slice_copy.Tensor",
                    &[x, dim, start, end, step],
                    &dims,
                    size,
                );
            }
            _ => {
                // All of it at the bound; a part of it, or all, elsewhere.
                let cut = self.random.int(1, 2 * i64::from(w));
                let [dim, start, end, step] = [3, 0, cut, 1].map(|k| self.graph.int(k));
                let (size, w) = (self.new_size(), w.min(cut as u32));
                let dims = [n, c, h, w];
                self.call(
                    "aten.slice_copy.Tensor",
                    &[x, dim, start, end, step],
                    &dims,
                    size,
                );
            }
        }
    }

    fn convolve(&mut self, x: ValueId, size: usize, c: u32) {
        let depthwise = self.random.int(0, 3) == 0;
        let kernel = [1, 3][self.random.int(0, 1) as usize];
        let stride = 1 + u32::from(self.random.int(0, 3) == 0);
        let c_out = if depthwise {
            c
        } else {
            self.random.int(1, 12) as u32
        };
        let inputs = if depthwise { 1 } else { c };
        let w = weight(
            &mut self.graph,
            self.random,
            [c_out, inputs, kernel, kernel],
        );
        let conv = Conv {
            stride: [stride; 2],
            padding: [kernel / 2; 2],
            groups: if depthwise { c } else { 1 },
            ..Conv::default()
        };
        let y = self.graph.conv2d(x, w, None, &conv);
        let size = if stride == 1 { size } else { self.new_size() };
        self.values.push((y, size));
    }
}
