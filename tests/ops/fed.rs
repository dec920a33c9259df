//! Calls whose tensors come from kernels and go to kernels, in every layout that occurs.

use super::blob::GraphBuilder;
use super::random::Random;
use super::reference::{assert_close, rounded, Array, Tolerance};
use super::run::{plain, run, Failure, Typed, FORCED_HALF};
use etvk::core::graph::ValueId;
use etvk::core::tensor::DType;

/// Float types of a graph.
pub(crate) const FLOATS: [Typed; 3] = [plain(DType::F32), plain(DType::F16), FORCED_HALF];

/// How inputs reach the call, and how its results leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// From the host's staging, into the host's staging.
    Host,
    /// From a kernel that writes row-major, to a kernel.
    Contiguous,
    /// From a kernel that writes channels innermost, to a kernel; pad lanes hold rubbish.
    Packed,
    /// As a window with gaps and reversed dims, to a kernel.
    Window,
}

pub(crate) const FEEDS: [Feed; 4] = [Feed::Host, Feed::Contiguous, Feed::Packed, Feed::Window];

/// An argument of a call.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    /// The input of this number.
    In(usize),
    /// A list of inputs, some absent.
    Ins(Vec<Option<usize>>),
    /// A constant of the graph.
    Constant(Array),
    None,
    Bool(bool),
    Int(i64),
    Double(f64),
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
    Text(&'static str),
}

/// A call of one operator.
#[derive(Clone, Debug)]
pub(crate) struct Fed {
    pub(crate) op: &'static str,
    pub(crate) inputs: Vec<(Typed, Array)>,
    pub(crate) args: Vec<Arg>,
    /// Types and dims of the results.
    pub(crate) outputs: Vec<(Typed, Vec<u32>)>,
    /// Whether the results are a list.
    pub(crate) list: bool,
}

impl Fed {
    /// A call with one result.
    pub(crate) fn new(
        op: &'static str,
        inputs: &[(Typed, &Array)],
        args: Vec<Arg>,
        typed: Typed,
        dims: &[u32],
    ) -> Self {
        Self {
            op,
            inputs: inputs.iter().map(|&(t, a)| (t, a.clone())).collect(),
            args,
            outputs: vec![(typed, dims.to_vec())],
            list: false,
        }
    }

    fn build(&self, feed: Feed) -> (GraphBuilder, Vec<Array>) {
        let mut graph = GraphBuilder::new();
        let mut hosts = Vec::new();
        let ids: Vec<ValueId> = self
            .inputs
            .iter()
            .map(|(typed, array)| input(&mut graph, &mut hosts, *typed, array, feed))
            .collect();
        let mut args = Vec::new();
        for arg in &self.args {
            args.push(match arg {
                Arg::In(i) => ids[*i],
                Arg::Ins(list) => {
                    let members: Vec<ValueId> = list
                        .iter()
                        .map(|i| i.map_or_else(|| graph.none(), |i| ids[i]))
                        .collect();
                    graph.list(&members)
                }
                Arg::Constant(a) => graph.constant(a.dtype, &a.dims, &a.bytes()),
                Arg::None => graph.none(),
                Arg::Bool(b) => graph.bool(*b),
                Arg::Int(n) => graph.int(*n),
                Arg::Double(x) => graph.double(*x),
                Arg::Ints(list) => graph.ints(list),
                Arg::Doubles(list) => graph.doubles(list),
                Arg::Text(text) => graph.string(text),
            });
        }
        let results: Vec<ValueId> = self
            .outputs
            .iter()
            .map(|(typed, dims)| graph.staged(typed.graph, typed.host, dims))
            .collect();
        args.push(if self.list {
            graph.list(&results)
        } else {
            results[0]
        });
        graph.node(self.op, &args);
        for (&id, (typed, dims)) in results.iter().zip(&self.outputs) {
            let last = if feed == Feed::Host {
                id
            } else {
                unchanged(&mut graph, *typed, id, dims)
            };
            graph.output(last);
        }
        (graph, hosts)
    }

    /// The results; `None` without a device.
    pub(crate) fn run(&self, feed: Feed) -> Option<Vec<Array>> {
        let (graph, hosts) = self.build(feed);
        match run(&graph, &hosts)? {
            Ok(outputs) => Some(outputs),
            Err(e) => panic!("{} {feed:?} {:?}: {}", self.op, self.args, e.message),
        }
    }

    /// The error that the call gives; `None` without a device.
    pub(crate) fn refused(&self) -> Option<Failure> {
        let (graph, hosts) = self.build(Feed::Host);
        match run(&graph, &hosts)? {
            Ok(outputs) => panic!("{} {:?} gave {outputs:?}", self.op, self.args),
            Err(e) => Some(e),
        }
    }

    /// Runs with every feed and compares the results; `None` without a device.
    pub(crate) fn check(&self, want: &[&Array], tolerance: Tolerance) -> Option<()> {
        for feed in FEEDS {
            let got = self.run(feed)?;
            assert_eq!(got.len(), want.len());
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let dims: Vec<_> = self
                    .inputs
                    .iter()
                    .map(|(t, a)| (t.graph, &a.dims))
                    .collect();
                let what = format!("{} {dims:?} {:?} {feed:?} result {i}", self.op, self.args);
                assert_close(&what, got, want, tolerance);
            }
        }
        Some(())
    }
}

/// An input in the order that `feed` says, and what the host passes for it.
fn input(
    graph: &mut GraphBuilder,
    hosts: &mut Vec<Array>,
    typed: Typed,
    array: &Array,
    feed: Feed,
) -> ValueId {
    let values: Vec<f64> = array
        .values
        .iter()
        .map(|&x| rounded(typed.graph, x))
        .collect();
    let array = Array::new(typed.host, &array.dims, &values);
    let dims = array.dims.clone();
    let mut host = |graph: &mut GraphBuilder, array: Array| {
        let id = graph.staged(typed.graph, typed.host, &array.dims);
        graph.graph.inputs.push(id);
        hosts.push(array);
        id
    };
    match feed {
        Feed::Packed if dims.len() == 4 && array.values.iter().len() > 0 => {
            let [n, c, h, w] = [dims[0], dims[1], dims[2], dims[3]];
            let lanes = c.next_multiple_of(4);
            let wide = placed(&array, &[n, h, w, lanes], |at| {
                (at[3] < c).then(|| vec![at[0], at[3], at[1], at[2]])
            });
            let id = host(graph, wide);
            let turned = node(
                graph,
                typed,
                "aten.permute_copy.default",
                id,
                &[n, lanes, h, w],
                |g| vec![g.ints(&[0, 3, 1, 2])],
            );
            let cut = slice(graph, typed, turned, &dims, 1, [0, c.into()]);
            unchanged(graph, typed, cut, &dims)
        }
        Feed::Window if !dims.is_empty() => {
            // [d0, ..] flipped along the last dim, inside a tensor one larger all round.
            let outer: Vec<u32> = dims.iter().map(|d| d + 2).collect();
            let last = dims.len() - 1;
            let wide = placed(&array, &outer, |at| {
                let mut inner = Vec::new();
                for (d, &i) in at.iter().enumerate() {
                    let i = i.checked_sub(1).filter(|&i| i < dims[d])?;
                    inner.push(if d == last { dims[d] - 1 - i } else { i });
                }
                Some(inner)
            });
            let id = host(graph, wide);
            let mut id = unchanged(graph, typed, id, &outer);
            let mut now = outer;
            for d in 0..dims.len() {
                now[d] = dims[d];
                id = slice(graph, typed, id, &now, d, [1, i64::from(dims[d]) + 1]);
            }
            node(graph, typed, "aten.flip.default", id, &dims, |g| {
                vec![g.ints(&[-1])]
            })
        }
        Feed::Host => host(graph, array),
        _ => {
            let id = host(graph, array);
            unchanged(graph, typed, id, &dims)
        }
    }
}

/// A larger tensor that holds `array`'s elements where `at` says, and rubbish elsewhere.
fn placed(array: &Array, dims: &[u32], at: impl Fn(&[u32]) -> Option<Vec<u32>>) -> Array {
    let rubbish = if array.dtype.is_float() {
        f64::NAN
    } else {
        99.0
    };
    let values: Vec<f64> = super::reference::indices(dims)
        .iter()
        .map(|index| at(index).map_or(rubbish, |index| element(array, &index)))
        .collect();
    Array::new(array.dtype, dims, &values)
}

fn node(
    graph: &mut GraphBuilder,
    typed: Typed,
    op: &str,
    id: ValueId,
    dims: &[u32],
    rest: impl Fn(&mut GraphBuilder) -> Vec<ValueId>,
) -> ValueId {
    let mut args = vec![id];
    args.extend(rest(graph));
    let out = graph.staged(typed.graph, typed.host, dims);
    args.push(out);
    graph.node(op, &args);
    out
}

/// A kernel that changes nothing, not even denormals.
fn unchanged(graph: &mut GraphBuilder, typed: Typed, id: ValueId, dims: &[u32]) -> ValueId {
    node(graph, typed, "aten.maximum.default", id, dims, |_| vec![id])
}

fn slice(
    graph: &mut GraphBuilder,
    typed: Typed,
    id: ValueId,
    dims: &[u32],
    dim: usize,
    range: [i64; 2],
) -> ValueId {
    let dim = i64::try_from(dim).expect("small");
    node(graph, typed, "aten.slice_copy.Tensor", id, dims, |g| {
        let [d, start, end, step] = [dim, range[0], range[1], 1].map(|n| g.int(n));
        vec![d, start, end, step]
    })
}

/// Element `index` of `array`.
pub(crate) fn element(array: &Array, index: &[u32]) -> f64 {
    let flat = index
        .iter()
        .zip(&array.dims)
        .fold(0usize, |flat, (&i, &d)| {
            assert!(i < d, "{index:?} of {:?}", array.dims);
            flat * d as usize + i as usize
        });
    array.values[flat]
}

/// The array of `dims` with `function` of each index.
pub(crate) fn made(dtype: DType, dims: &[u32], function: impl FnMut(&Vec<u32>) -> f64) -> Array {
    let values: Vec<f64> = super::reference::indices(dims)
        .iter()
        .map(function)
        .collect();
    Array::new(dtype, dims, &values)
}

/// Random numbers as the graph's type holds them, in the host's type.
pub(crate) fn random(typed: Typed, dims: &[u32], seed: u64) -> Array {
    let array = Array::random(typed.graph, dims, &mut Random::new(seed));
    Array::new(typed.host, dims, &array.values)
}

/// `tolerance`, and the rounding of a result to fp16 where only the graph has that type.
pub(crate) fn allow(typed: Typed, tolerance: Tolerance) -> Tolerance {
    if typed != FORCED_HALF {
        return tolerance;
    }
    // One unit in the last place: the device may round its stores either way.
    Tolerance {
        relative: tolerance.relative + 1.0 / 1024.0,
        absolute: tolerance.absolute + 6e-8,
    }
}
