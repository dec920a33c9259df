"""Makes stock programs: a module and its inputs become a case folder as tests/models has them.

Nothing of etvk takes part: torch exports, ExecuTorch's own Vulkan partitioner lowers, and what
PyTorch computes eagerly is written beside the program as the expected outputs.
"""

import copy
import dataclasses
import importlib
import json
import pathlib
import sys
import warnings

NEEDED = ("torch", "executorch", "torchao", "numpy")
INSTALL = (
    "python3.11 -m venv VENV && VENV/bin/pip install executorch==1.5.1 torch==2.13.0 "
    "torchvision==0.28.0 torchao==0.18.0 timm transformers"
)


def require(packages=NEEDED):
    """Ends the program, with what to install, where a package cannot be imported."""
    missing = []
    for name in packages:
        try:
            importlib.import_module(name)
        except Exception as error:
            missing.append(f"  {name}: {type(error).__name__}: {error}")
    if missing:
        sys.exit(
            f"{sys.executable} cannot export programs; it lacks\n"
            + "\n".join(missing)
            + f"\nInstall, for example:\n  {INSTALL}\nand run this with VENV/bin/python "
            "(make corpus ETVK_PYTHON=VENV/bin/python)."
        )


@dataclasses.dataclass
class Program:
    """What is exported, and what has to come of it."""

    name: str
    module: object
    inputs: tuple
    kind: str = ""
    note: str = ""
    options: dict = dataclasses.field(default_factory=dict)  # compile options of the partitioner
    later_inputs: list = dataclasses.field(default_factory=list)  # of the runs after the first
    dynamic_shapes: object = None
    must_fail: bool = False  # right is an error of the run: values that the program cannot hold
    pool: object = None  # of random steps, for those that shrink it


class NothingDelegated(Exception):
    """The partitioner left every operator to the CPU: such a program says nothing of etvk."""


def prepare():
    """Silences what torch says and makes what all exports share; called before the first."""
    import logging

    import torch

    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    _remember_patterns()


def _remember_patterns():
    """The partitioner traces its patterns anew for every export, most of a small one's time."""
    from executorch.backends.vulkan.patterns import fusable_patterns

    for entry in fusable_patterns.values():
        make = entry.get_graphs_fn
        if make is None or hasattr(make, "remembered"):
            continue

        kept = make()
        entry.get_graphs_fn = lambda kept=kept: kept
        entry.get_graphs_fn.remembered = True


def leaves(value):
    """The tensors of a result, in the order in which a program returns them."""
    import torch
    from torch.utils import _pytree

    found = _pytree.tree_leaves(value)
    return [leaf for leaf in found if isinstance(leaf, torch.Tensor)]


def converted(inputs, dtype):
    return tuple(x.to(dtype) if x.is_floating_point() else x.clone() for x in inputs)


def eager(module, runs, dtype):
    """Outputs of all runs by one copy of the module, so that state goes on from run to run.

    None where PyTorch cannot compute it in this type.
    """
    import torch

    try:
        copied = copy.deepcopy(module).to(dtype)
        with torch.no_grad():
            return [
                [leaf.detach().clone() for leaf in leaves(copied(*converted(inputs, dtype)))]
                for inputs in runs
            ]
    except (RuntimeError, NotImplementedError, TypeError):
        return None


def rounded_eager(module, runs):
    """In fp32, but weights, inputs and what every module returns are rounded to fp16."""
    import torch

    def rounded(value):
        whole = isinstance(value, torch.Tensor) and value.dtype == torch.float32
        return value.half().float() if whole else value

    def hook(_module, _inputs, output):
        if isinstance(output, tuple):
            return tuple(rounded(part) for part in output)
        return rounded(output)

    copied = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in [*copied.parameters(), *copied.buffers()]:
            if tensor.dtype == torch.float32:
                tensor.copy_(tensor.half().float())
    for part in copied.modules():
        if not list(part.children()):
            part.register_forward_hook(hook)
    runs = [tuple(rounded(x) for x in inputs) for inputs in runs]
    return eager(copied, runs, torch.float32)


def _largest(tensor):
    finite = tensor.double()
    finite = finite[finite.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _distance(a, b):
    """The largest difference where both are finite."""
    if a.shape != b.shape:
        return 0.0
    return _largest(a.double() - b.double())


def tolerance(want, want64, want16, fp16):
    """What may be off: a multiple of what PyTorch itself is off in the same type."""
    if not want.is_floating_point():
        # Where half chooses another element or rounds another way, either may be right.
        atol = _distance(want, want16) if fp16 and want16 is not None else 0
        return {"atol": atol, "rtol": 0}
    largest = _largest(want)
    if fp16:
        half_error = _distance(want, want16) if want16 is not None else 0.0
        return {
            "atol": max(4 * half_error, 4e-3 * largest),
            "rtol": 1e-2,
            "max_abs": largest,
            "half_error": half_error,
            "half_finite": want16 is None or bool((want16.isfinite() | ~want.isfinite()).all()),
        }
    error64 = _distance(want, want64) if want64 is not None else 0.0
    return {
        "atol": max(1e-5 * largest, 50 * error64),
        "rtol": 1e-3,
        "max_abs": largest,
        "fp32_error": error64,
    }


def _dim_order(tensor):
    import torch

    channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    if channels_last and not tensor.is_contiguous():
        return [0, 2, 3, 1]
    return list(range(tensor.ndim))


def _write_tensor(folder, name, tensor):
    order = _dim_order(tensor)
    data = tensor.detach().permute(order).contiguous()
    (folder / name).write_bytes(data.numpy().tobytes())
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"file": name, "shape": list(tensor.shape), "dtype": dtype, "dim_order": order}


def _write_runs(folder, program):
    import torch

    fp16 = bool(program.options.get("force_fp16"))
    runs = [program.inputs, *program.later_inputs]
    want = eager(program.module, runs, torch.float32)
    if want is None:  # says why
        copy.deepcopy(program.module)(*program.inputs)
        raise RuntimeError("eager PyTorch does not run it")
    want64 = eager(program.module, runs, torch.float64)
    want16 = eager(program.module, runs, torch.float16) if fp16 else None
    if fp16 and want16 is None:
        want16 = rounded_eager(program.module, runs)
    written = []
    for r, (inputs, outputs) in enumerate(zip(runs, want)):
        run = {"inputs": [], "outputs": []}
        for k, tensor in enumerate(inputs):
            run["inputs"].append(_write_tensor(folder, f"run{r}_in{k}.bin", tensor))
        for k, tensor in enumerate(outputs):
            entry = _write_tensor(folder, f"run{r}_out{k}.bin", tensor)
            entry |= tolerance(
                tensor,
                want64[r][k] if want64 else None,
                want16[r][k] if want16 else None,
                fp16,
            )
            run["outputs"].append(entry)
        written.append(run)
    return written


def partitioned(program, fold):
    """The edge program; with `fold`, what depends on constants alone is computed before."""
    import torch
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    with torch.no_grad():
        exported = torch.export.export(
            program.module, program.inputs, dynamic_shapes=program.dynamic_shapes, strict=False
        )
        if fold:
            exported = constant_prop_pass(exported.run_decompositions({}))
        return to_edge_transform_and_lower(
            exported, partitioner=[VulkanPartitioner(dict(program.options))]
        )


def lower(program):
    """The lowered program: its bytes, its external data, and what is to be known of it."""
    known = {}
    try:
        edge = partitioned(program, fold=False)
    except Exception as error:
        # The partitioner fails on delegates that have no inputs, of position ids for example.
        if "FuseBatchNormPass" not in str(error):
            raise
        edge = partitioned(program, fold=True)
        known["constants_folded"] = True
    delegates, left = 0, {}
    for node in edge.exported_program().graph.nodes:
        target = str(node.target)
        if node.op != "call_function" or "getitem" in target:
            continue
        if "executorch_call_delegate" in target:
            delegates += 1
        else:
            target = getattr(node.target, "__name__", target)
            left[target] = left.get(target, 0) + 1
    if delegates == 0:
        raise NothingDelegated(", ".join(sorted(left)) or "an empty graph")
    stock = edge.to_executorch()
    data = getattr(stock, "_tensor_data", None) or {}
    known |= {"delegates": delegates, "cpu_ops": left}
    return stock.buffer, {name + ".ptd": bytes(part) for name, part in data.items()}, known


def write_case(folder, program):
    """Exports `program` into `folder` and returns the manifest."""
    prepare()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "name": folder.name,
        "kind": program.kind,
        "note": program.note,
        "compile_options": {k: getattr(v, "name", v) for k, v in program.options.items()},
        "dynamic": program.dynamic_shapes is not None,
        "must_fail": program.must_fail,
        "runs": _write_runs(folder, program),
    }
    buffer, data, known = lower(program)
    (folder / "model.pte").write_bytes(buffer)
    for name, part in data.items():
        (folder / name).write_bytes(part)
    if data:
        manifest["ptd_files"] = {name: len(part) for name, part in data.items()}
    manifest |= {"pte": "model.pte", "pte_bytes": len(buffer)}
    manifest |= known
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest
