"""Random operators on values: element-wise, comparisons, reductions, norms, products."""

import torch
from torch import nn
from torch.nn import functional as F

from steps import Reject, Step

OPERATORS = {}


def operator(make):
    """Registers `make(draw, pool)`, which appends one operator to the pool or rejects."""
    OPERATORS[make.__name__] = make
    return make


UNARY = {
    "abs": torch.abs,
    "cos": torch.cos,
    "exp": torch.exp,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardshrink": F.hardshrink,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "relu6": F.relu6,
    "neg": torch.neg,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "tanh": torch.tanh,
    "log": torch.log,
    "log10": torch.log10,
    "log2": torch.log2,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "erf": torch.erf,
    "elu": F.elu,
    "selu": F.selu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "logsigmoid": F.logsigmoid,
    "square": torch.square,
    "atan": torch.atan,
    "tan": torch.tan,
}
SHARP_UNARY = {
    "round": torch.round,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "frac": torch.frac,
    "sign": torch.sign,
}


@operator
def unary(draw, pool):
    x = pool.floating()
    name = draw.choice(list(UNARY))
    # Near its pole a function magnifies what its argument was rounded by.
    least = float(pool.values[x].abs().min())
    if name in ("rsqrt", "reciprocal", "log", "log10", "log2", "tan") and least < 0.05:
        raise Reject("near a pole")
    if name in ("sqrt", "log1p") and float(pool.values[x].min()) < 0:
        raise Reject("not defined there")
    pool.apply(Step(name, UNARY[name], (x,)))


@operator
def sharp_unary(draw, pool):
    name = draw.choice(list(SHARP_UNARY))
    pool.apply(Step(name, SHARP_UNARY[name], (pool.floating(),), sharp=True))


@operator
def bounded(draw, pool):
    x = pool.floating()
    low, high = sorted((round(draw.uniform(-2, 2), 2), round(draw.uniform(-2, 2), 2)))
    low, high = draw.choice(((low, high), (low, None), (None, high)))
    slope = round(draw.uniform(-0.5, 1.5), 2)
    text, call = draw.choice(
        (
            (f"clamp {low} {high}", lambda v: torch.clamp(v, low, high)),
            (f"leaky_relu {slope}", lambda v: F.leaky_relu(v, slope)),
            (f"clamp_min {slope}", lambda v: v.clamp_min(slope)),
        )
    )
    pool.apply(Step(text, call, (x,)))


@operator
def prelu(draw, pool):
    x = pool.floating(least_rank=2)
    module = nn.PReLU(draw.choice((1, pool.values[x].shape[1])))
    with torch.no_grad():
        module.weight.copy_(draw.between(module.weight.shape, -0.5, 1.0))
    pool.apply(Step(repr(module), None, (x,), module=module))


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "add alpha": lambda a, b: torch.add(a, b, alpha=2.5),
    "sub alpha": lambda a, b: torch.sub(a, b, alpha=-0.5),
    "rsub": lambda a, b: torch.rsub(a, b, alpha=2),
    "squared difference": lambda a, b: (a - b) ** 2,
    "hypot": lambda a, b: torch.sqrt(a * a + b * b + 0.01),
    "pow": torch.pow,
}


def second(draw, pool, x):
    """Another value that broadcasts with `x`, or a new one."""
    value = pool.values[x]

    def fits(other):
        if not other.is_floating_point():
            return False
        try:
            return len(torch.broadcast_shapes(value.shape, other.shape)) <= 4
        except RuntimeError:
            return False

    if draw.chance(0.5):
        return pool.pick(fits)
    return pool.operand(draw.floats(draw.broadcastable(value.shape)))


@operator
def binary(draw, pool):
    x = pool.floating()
    y = second(draw, pool, x)
    name = draw.choice(list(BINARY))
    if name == "div" and float(pool.values[y].abs().min()) < 0.05:
        raise Reject("near a pole")
    if name == "pow" and float(pool.values[x].min()) <= 0.05:
        raise Reject("powers of negative numbers")
    pair = (x, y) if draw.chance(0.7) or name in ("div", "pow") else (y, x)
    pool.apply(Step(name, BINARY[name], pair))


@operator
def with_scalar(draw, pool):
    x = pool.floating()
    c = draw.choice((2, 0.5, -1.25, 3, 1e-3, 7))
    power = draw.choice((2, 3, 0.5, -1, -0.5, 1.5))
    least = float(pool.values[x].min())
    calls = [
        (f"{c} + x", lambda v: v + c),
        (f"{c} - x", lambda v: c - v),
        (f"{c} * x", lambda v: v * c),
        (f"x / {c}", lambda v: v / c),
    ]
    if least > 0.05 or power in (2, 3):
        calls += [(f"x ** {power}", lambda v: v**power)]
    if float(pool.values[x].abs().max()) < 6:
        calls += [("2 ** x", lambda v: 2**v)]
    text, call = draw.choice(calls)
    pool.apply(Step(text, call, (x,)))


@operator
def rounded_quotient(draw, pool):
    x = pool.floating()
    y = pool.operand(draw.floats(draw.broadcastable(pool.values[x].shape)).abs() + 0.25)
    mode = draw.choice(("floor", "trunc"))
    call = lambda a, b: torch.div(a, b, rounding_mode=mode)  # noqa: E731
    quotient = pool.values[x] / pool.values[y]
    if float((quotient - quotient.round()).abs().min()) < 1e-2:
        raise Reject("too near an integer")
    pool.apply(Step(f"div {mode}", call, (x, y), sharp=True))


COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


@operator
def comparison(draw, pool):
    x = pool.pick(lambda v: v.dtype != torch.bool)
    name = draw.choice(COMPARISONS)
    compare = getattr(torch, name)
    if draw.chance(0.5):
        c = (
            draw.choice((0, 1, -1, 0.5))
            if pool.values[x].is_floating_point()
            else draw.randint(-2, 3)
        )
        pool.apply(Step(f"{name} {c}", lambda v: compare(v, c), (x,), sharp=True))
        return
    shape, dtype = draw.broadcastable(pool.values[x].shape), pool.values[x].dtype
    other = draw.floats(shape) if dtype.is_floating_point else draw.integers(shape, -3, 3, dtype)
    if dtype == torch.uint8:
        other = draw.integers(shape, 0, 5, dtype)
    pool.apply(Step(name, compare, (x, pool.operand(other)), sharp=True))


@operator
def logical(draw, pool):
    x = pool.pick(lambda v: v.dtype == torch.bool)
    name = draw.choice(("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or"))
    if draw.chance(0.3):
        name = draw.choice(("logical_not", "bitwise_not"))
        pool.apply(Step(name, getattr(torch, name), (x,), sharp=True))
        return
    other = pool.operand(draw.booleans(draw.broadcastable(pool.values[x].shape)))
    pool.apply(Step(name, getattr(torch, name), (x, other), sharp=True))


@operator
def where(draw, pool):
    x = pool.floating()
    shape = pool.values[x].shape
    condition = pool.operand(draw.booleans(draw.broadcastable(shape)))
    if draw.chance(0.4):
        c = draw.choice((0.0, -1.0, float("-inf")))
        if c == float("-inf"):
            call = lambda m, v: torch.softmax(v.masked_fill(m, -1e4), -1)  # noqa: E731
            pool.apply(Step("masked softmax", call, (condition, x)))
        else:
            pool.apply(Step(f"masked_fill {c}", lambda m, v: v.masked_fill(m, c), (condition, x)))
        return
    pool.apply(Step("where", torch.where, (condition, x, second(draw, pool, x)), moves=True))


def some_dims(draw, rank):
    return sorted(draw.sample(range(rank), draw.randint(1, min(rank, 3))))


@operator
def reduction(draw, pool):
    x = pool.floating(least_rank=1)
    rank = pool.values[x].ndim
    dims, keep = some_dims(draw, rank), draw.chance(0.5)
    if draw.chance(0.3):
        dims = [d - rank for d in dims]
    name = draw.choice(("mean", "sum", "amax", "amin", "var", "std", "norm", "logsumexp"))
    count = 1
    for d in dims:
        count *= pool.values[x].shape[d]
    if name in ("var", "std") and count < 2:
        raise Reject("variance of one")
    function = torch.linalg.vector_norm if name == "norm" else getattr(torch, name)
    if name == "norm":
        call = lambda v: function(v, dim=dims, keepdim=keep)  # noqa: E731
    else:
        call = lambda v: function(v, dims, keepdim=keep)  # noqa: E731
    pool.apply(Step(f"{name} {dims} keep={keep}", call, (x,), moves=name in ("amax", "amin")))


@operator
def whole_reduction(draw, pool):
    name = draw.choice(("mean", "sum", "amax", "amin"))
    pool.apply(Step(name, getattr(torch, name), (pool.floating(least_rank=1),)))


@operator
def arg_reduction(draw, pool):
    x = pool.floating(least_rank=1)
    dim, keep = draw.randrange(pool.values[x].ndim), draw.chance(0.5)
    name = draw.choice(("argmax", "argmin"))
    call = lambda v: getattr(torch, name)(v, dim, keepdim=keep)  # noqa: E731
    pool.apply(Step(f"{name} {dim} keep={keep}", call, (x,), sharp=True))


@operator
def softmax(draw, pool):
    x = pool.floating(least_rank=1)
    rank = pool.values[x].ndim
    dim = draw.randrange(-rank, rank)
    name = draw.choice(("softmax", "log_softmax", "softmin"))
    pool.apply(Step(f"{name} {dim}", lambda v: getattr(F, name)(v, dim), (x,)))


@operator
def cumulative(draw, pool):
    x = pool.floating(least_rank=1)
    dim = draw.randrange(pool.values[x].ndim)
    pool.apply(Step(f"cumsum {dim}", lambda v: torch.cumsum(v, dim), (x,)))


def spread(draw, module):
    """Weights and statistics that no channel has in common."""
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.copy_(draw.between(tensor.shape, 0.5, 2.0))
            elif name.endswith("weight") and tensor.ndim == 1:
                tensor.copy_(draw.between(tensor.shape, 0.5, 1.5))
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(draw.normal(tensor.shape, 0.3))
    return module


@operator
def norm(draw, pool):
    x = pool.floating(least_rank=2)
    shape = pool.values[x].shape
    makes = [
        lambda: nn.LayerNorm(
            shape[-draw.randint(1, min(2, len(shape) - 1)) :], elementwise_affine=draw.chance(0.8)
        ),
        lambda: nn.RMSNorm(shape[-1], eps=draw.choice((None, 1e-5, 1e-6))),
        lambda: nn.GroupNorm(draw.divisor(shape[1]), shape[1], affine=draw.chance(0.8)),
    ]
    if len(shape) == 4:
        makes += [
            lambda: nn.BatchNorm2d(shape[1], affine=draw.chance(0.8)),
            lambda: nn.InstanceNorm2d(shape[1], affine=draw.chance(0.5)),
            lambda: nn.LocalResponseNorm(draw.choice((3, 5))),
        ]
    if len(shape) in (2, 3):
        makes += [lambda: nn.BatchNorm1d(shape[1])]
    module = spread(draw, draw.choice(makes)())
    pool.apply(Step(repr(module), None, (x,), module=module))


@operator
def normalize(draw, pool):
    x = pool.floating(least_rank=2)
    dim = draw.randrange(pool.values[x].ndim)
    if float(pool.values[x].norm(dim=dim).min()) < 0.1:
        raise Reject("divides by what is rounded")
    pool.apply(Step(f"normalize {dim}", lambda v: F.normalize(v, dim=dim), (x,)))


@operator
def product(draw, pool):
    x = pool.floating(least_rank=2)
    *batch, rows, k = pool.values[x].shape
    columns = draw.size()
    if draw.chance(0.3):
        batch = batch[:0] if draw.chance(0.5) else [1 if draw.chance(0.3) else b for b in batch]
    y = pool.operand(draw.normal((*batch, k, columns), k**-0.5))
    if draw.chance(0.3):
        y = pool.operand(draw.normal((*batch, columns, k), k**-0.5))
        pool.apply(Step("matmul transposed", lambda a, b: a @ b.transpose(-1, -2), (x, y)))
    else:
        pool.apply(Step("matmul", torch.matmul, (x, y)))


@operator
def addmm(draw, pool):
    x = pool.floating(rank=2)
    k, n = pool.values[x].shape[1], draw.size()
    y = pool.operand(draw.normal((k, n), k**-0.5))
    c = pool.operand(draw.normal(draw.broadcastable((pool.values[x].shape[0], n))))
    alpha, beta = draw.choice(((1, 1), (2, 0.5), (-1, 1)))
    call = lambda c, a, b: torch.addmm(c, a, b, alpha=alpha, beta=beta)  # noqa: E731
    pool.apply(Step(f"addmm alpha={alpha} beta={beta}", call, (c, x, y)))


@operator
def linear(draw, pool):
    x = pool.floating(least_rank=1)
    module = nn.Linear(pool.values[x].shape[-1], draw.size(), bias=draw.chance(0.7))
    pool.apply(Step(repr(module), None, (x,), module=module))


@operator
def attention(draw, pool):
    x = pool.floating(rank=4)
    shape = pool.values[x].shape
    keys = draw.size(48)
    k = pool.operand(draw.normal((*shape[:2], keys, shape[3])))
    v = pool.operand(draw.normal((*shape[:2], keys, draw.size(48))))
    causal = draw.chance(0.3) and keys == shape[2]
    call = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # noqa: E731
    pool.apply(Step(f"attention causal={causal}", call, (x, k, v)))


@operator
def integer_arithmetic(draw, pool):
    x = pool.pick(lambda v: v.dtype in (torch.int64, torch.int32))
    shape, dtype = pool.values[x].shape, pool.values[x].dtype
    other = pool.operand(draw.integers(draw.broadcastable(shape), 1, 9, dtype))
    name, call = draw.choice(
        (
            ("add", torch.add),
            ("sub", torch.sub),
            ("mul", torch.mul),
            ("minimum", torch.minimum),
            ("floor_divide", torch.floor_divide),
            ("remainder", torch.remainder),
        )
    )
    pool.apply(Step(name, call, (x, other), moves=True))


@operator
def cast(draw, pool):
    x = pool.pick(lambda v: True)
    dtype = draw.choice((torch.float32, torch.int32, torch.int64, torch.bool, torch.uint8))
    value = pool.values[x]
    if value.dtype == dtype or (dtype == torch.uint8 and float(value.min()) < 0):
        raise Reject("no cast")
    text = f"to {dtype}".replace("torch.", "")
    pool.apply(Step(text, lambda v: v.to(dtype), (x,), sharp=value.is_floating_point(), moves=True))
