//! Programs of one call, lowered by a plan that the caller makes: pure, no GPU.
#![allow(dead_code, unreachable_pub, reason = "no test binary uses all of it")]

use etvk::base::error::Result;
use etvk::core::constraints::Constraints;
use etvk::core::conv::ConvPlan;
use etvk::core::device::ImageSizes;
use etvk::core::gemm::GemmKernel;
use etvk::core::graph::{Graph, InputShape, Value};
use etvk::core::program::Program;
use etvk::ops::conv2d::plan::Problem;
use etvk::ops::conv2d::Conv2d;
use etvk::ops::matmul::Matmul;
use etvk::ops::support::builder::ProgramBuilder;
use etvk::ops::support::gemm::GemmSizes;
use etvk::ops::support::{Args, Op};

/// The program of `graph`, whose only node is a convolution, by the plan that `plan` makes.
pub fn convolution(
    graph: &Graph,
    constraints: &Constraints,
    images: &dyn ImageSizes,
    plan: &mut dyn FnMut(&Problem<'_>) -> Result<ConvPlan>,
) -> Result<Program> {
    let mut program = begun(graph, constraints, images)?;
    let call = parsed::<Conv2d>(graph, &program)?;
    let geometry = call.geometry(&mut program)?;
    let plan = plan(&call.problem(&geometry, &program)?)?;
    call.lower_as(&plan, &mut program)?;
    program.finish()
}

/// The same for a product of matrices and its kernel.
pub fn product(
    graph: &Graph,
    constraints: &Constraints,
    images: &dyn ImageSizes,
    kernel: &mut dyn FnMut(&GemmSizes) -> GemmKernel,
) -> Result<Program> {
    let mut program = begun(graph, constraints, images)?;
    let call = parsed::<Matmul>(graph, &program)?;
    let kernel = kernel(&call.sizes(&mut program)?);
    call.lower_as(kernel, &mut program)?;
    program.finish()
}

fn begun<'a>(
    graph: &'a Graph,
    constraints: &'a Constraints,
    images: &'a dyn ImageSizes,
) -> Result<ProgramBuilder<'a>> {
    let dims = |id: &_| match graph.value(*id) {
        Ok(Value::Tensor(spec)) => InputShape::Dims(spec.dims.clone()),
        other => panic!("{other:?} is no tensor"),
    };
    let shapes: Vec<InputShape> = graph.inputs.iter().map(dims).collect();
    let mut program = ProgramBuilder::new(graph, &shapes, constraints, images)?;
    program.begin(0);
    Ok(program)
}

fn parsed<T: Op>(graph: &Graph, program: &ProgramBuilder<'_>) -> Result<T> {
    T::parse(&Args::new(graph, &graph.nodes[0], program.integers()))
}
