"""Random operators on shapes and images: copies, gathers, convolutions, pooling, resizing."""

import torch
from torch import nn
from torch.nn import functional as F

from operators_values import operator, spread
from steps import Reject, Step


def moved(pool, text, call, *args):
    pool.apply(Step(text, call, args, moves=True))


def anything(pool, least_rank=1):
    return pool.pick(lambda v: v.ndim >= least_rank)


@operator
def permute(draw, pool):
    x = anything(pool, 2)
    dims = draw.sample(range(pool.values[x].ndim), pool.values[x].ndim)
    moved(pool, f"permute {dims}", lambda v: v.permute(dims), x)


@operator
def transpose(draw, pool):
    x = anything(pool, 2)
    a, b = draw.sample(range(pool.values[x].ndim), 2)
    moved(pool, f"transpose {a} {b}", lambda v: v.transpose(a, b), x)


def regrouped(draw, count, rank):
    """A shape of `rank` dimensions with `count` elements."""
    dims = []
    for _ in range(rank - 1):
        dims.append(draw.divisor(count))
        count //= dims[-1]
    return (*dims, count)


@operator
def reshape(draw, pool):
    x = anything(pool)
    shape = regrouped(draw, pool.values[x].numel(), draw.randint(1, 4))
    moved(pool, f"reshape {shape}", lambda v: v.reshape(shape), x)


@operator
def flatten(draw, pool):
    x = anything(pool, 2)
    start = draw.randrange(pool.values[x].ndim - 1)
    moved(pool, f"flatten {start}", lambda v: v.flatten(start), x)


@operator
def unsqueeze(draw, pool):
    x = pool.pick(lambda v: v.ndim < 4)
    dim = draw.randint(-pool.values[x].ndim - 1, pool.values[x].ndim)
    moved(pool, f"unsqueeze {dim}", lambda v: v.unsqueeze(dim), x)


@operator
def squeeze(draw, pool):
    x = pool.pick(lambda v: 1 in v.shape and v.ndim > 1)
    dims = [d for d, size in enumerate(pool.values[x].shape) if size == 1]
    dims = draw.sample(dims, draw.randint(1, len(dims)))
    moved(pool, f"squeeze {dims}", lambda v: v.squeeze(dims), x)


@operator
def expand(draw, pool):
    x = pool.pick(lambda v: 1 in v.shape)
    shape = tuple(draw.size(16) if size == 1 else size for size in pool.values[x].shape)
    if len(shape) < 4 and draw.chance(0.3):
        shape = (draw.size(5), *shape)
    moved(pool, f"expand {shape}", lambda v: v.expand(shape), x)


@operator
def repeat(draw, pool):
    x = anything(pool)
    times = [draw.choice((1, 1, 2, 3)) for _ in range(pool.values[x].ndim)]
    if len(times) < 4 and draw.chance(0.3):
        times = [draw.randint(1, 3), *times]
    moved(pool, f"repeat {times}", lambda v: v.repeat(times), x)


@operator
def cut(draw, pool):
    x = anything(pool)
    dim = draw.randrange(pool.values[x].ndim)
    size = pool.values[x].shape[dim]
    start, end = (
        draw.randint(-size, size - 1),
        draw.choice((None, -1, size, size + 3, draw.randint(0, size))),
    )
    step = draw.choice((1, 1, 2, 3))
    index = [slice(None)] * dim + [slice(start, end, step)]
    moved(pool, f"slice dim {dim} {start}:{end}:{step}", lambda v: v[tuple(index)], x)


@operator
def select(draw, pool):
    x = anything(pool, 2)
    dim = draw.randrange(pool.values[x].ndim)
    at = draw.randint(-pool.values[x].shape[dim], pool.values[x].shape[dim] - 1)
    moved(pool, f"select {dim} {at}", lambda v: v.select(dim, at), x)


@operator
def concatenate(draw, pool):
    x = pool.floating(least_rank=1)
    shape = list(pool.values[x].shape)
    dim = draw.randrange(len(shape))
    parts = [x]
    for _ in range(draw.randint(1, 4)):
        if draw.chance(0.3):
            parts.append(draw.choice(parts))
        else:
            shape[dim] = draw.size(9)
            parts.append(pool.operand(draw.floats(shape)))
    draw.shuffle(parts)
    moved(pool, f"cat {dim}", lambda *v: torch.cat(v, dim), *parts)


@operator
def stack(draw, pool):
    x = pool.pick(lambda v: v.is_floating_point() and 1 <= v.ndim <= 3)
    dim = draw.randint(0, pool.values[x].ndim)
    y = pool.operand(draw.floats(pool.values[x].shape))
    moved(pool, f"stack {dim}", lambda a, b: torch.stack((a, b, a), dim), x, y)


@operator
def part(draw, pool):
    x = anything(pool)
    dim = draw.randrange(pool.values[x].ndim)
    size = pool.values[x].shape[dim]
    pieces = draw.randint(1, min(size, 4))
    at = draw.randrange(len(torch.empty(size).chunk(pieces)))
    moved(pool, f"chunk {pieces} dim {dim}, part {at}", lambda v: v.chunk(pieces, dim)[at], x)


@operator
def gated(draw, pool):
    x = pool.pick(lambda v: v.is_floating_point() and any(s % 2 == 0 for s in v.shape))
    dim = draw.choice([d for d, s in enumerate(pool.values[x].shape) if s % 2 == 0])
    pool.apply(Step(f"glu {dim}", lambda v: F.glu(v, dim), (x,)))


@operator
def reversed_dims(draw, pool):
    x = anything(pool)
    rank = pool.values[x].ndim
    dims = draw.sample(range(rank), draw.randint(1, rank))
    moved(pool, f"flip {dims}", lambda v: v.flip(dims), x)


@operator
def rolled(draw, pool):
    x = anything(pool)
    dim, by = draw.randrange(pool.values[x].ndim), draw.randint(-5, 5)
    moved(pool, f"roll {by} dim {dim}", lambda v: v.roll(by, dim), x)


@operator
def index_select(draw, pool):
    x = anything(pool)
    dim = draw.randrange(pool.values[x].ndim)
    dtype = draw.choice((torch.int64, torch.int32))
    at = draw.integers((draw.size(17),), 0, pool.values[x].shape[dim] - 1, dtype)
    moved(pool, f"index_select {dim}", lambda v, i: v.index_select(dim, i), x, pool.operand(at))


@operator
def indexed(draw, pool):
    x = anything(pool)
    shape = (draw.size(17),) if draw.chance(0.7) else (draw.size(5), draw.size(5))
    at = pool.operand(draw.integers(shape, 0, pool.values[x].shape[0] - 1))
    moved(pool, "x[index]", lambda v, i: v[i], x, at)


@operator
def gather(draw, pool):
    x = pool.floating(least_rank=1)
    shape = pool.values[x].shape
    dim = draw.randrange(len(shape))
    picked = [draw.randint(1, size) for size in shape]
    picked[dim] = draw.size(17)
    at = pool.operand(draw.integers(picked, 0, shape[dim] - 1))
    moved(pool, f"gather {dim}", lambda v, i: v.gather(dim, i), x, at)


@operator
def embedding(draw, pool):
    rows, width = draw.size(), draw.size()
    shape = (draw.size(9),) if draw.chance(0.5) else (draw.size(4), draw.size(9))
    at = pool.input(draw.integers(shape, 0, rows - 1, draw.choice((torch.int64, torch.int32))))
    module = nn.Embedding(rows, width)
    moved_module = Step(repr(module), None, (at,), module=module, moves=True)
    pool.apply(moved_module)


@operator
def pad(draw, pool):
    x = pool.floating(least_rank=1)
    rank = pool.values[x].ndim
    mode = draw.choice(("constant", "constant", "reflect", "replicate", "circular"))
    dims = draw.randint(1, rank) if mode == "constant" else draw.randint(1, max(1, rank - 2))
    low = -1 if mode == "constant" else 0
    by = [draw.randint(low, 4) for _ in range(2 * dims)]
    fill = draw.choice((0, 0, 1.5, -3)) if mode == "constant" else None
    moved(pool, f"pad {by} {mode} {fill}", lambda v: F.pad(v, by, mode, fill), x)


@operator
def unfold(draw, pool):
    x = anything(pool)
    dim = draw.randrange(pool.values[x].ndim)
    size = draw.randint(1, min(7, pool.values[x].shape[dim]))
    step = draw.randint(1, 4)
    moved(pool, f"unfold {dim} {size} {step}", lambda v: v.unfold(dim, size, step), x)


@operator
def made(draw, pool):
    x = pool.floating(least_rank=1)
    shape = pool.values[x].shape
    text, call = draw.choice(
        (
            ("x + arange", lambda v: v + torch.arange(shape[-1], dtype=v.dtype)),
            ("x * full", lambda v: v * torch.full(shape, 0.75)),
            ("ones_like - x", lambda v: torch.ones_like(v) - v),
            ("x + zeros", lambda v: v + torch.zeros(shape[-1])),
            ("x * linspace", lambda v: v * torch.linspace(-1, 1, shape[-1])),
            ("tril", lambda v: torch.tril(v) if v.ndim > 1 else v * 2),
        )
    )
    pool.apply(Step(text, call, (x,)))


@operator
def tiled(draw, pool):
    x = pool.floating(rank=4)
    shape = pool.values[x].shape
    r = draw.choice((2, 3, 4))
    if draw.chance(0.5):
        moved(pool, f"pixel_shuffle {r}", lambda v: F.pixel_shuffle(v, r), x)
    elif shape[2] % r == 0 and shape[3] % r == 0:
        moved(pool, f"pixel_unshuffle {r}", lambda v: F.pixel_unshuffle(v, r), x)
    else:
        groups = draw.divisor(shape[1])
        moved(pool, f"channel_shuffle {groups}", lambda v: F.channel_shuffle(v, groups), x)


@operator
def convolution(draw, pool):
    x = pool.floating(rank=4)
    cin = pool.values[x].shape[1]
    transposed = draw.chance(0.2)
    groups = draw.choice((1, 1, 1, cin, draw.divisor(cin)))
    cout = groups * draw.choice((1, 1, 2, 3)) if groups > 1 else draw.size()
    two = lambda values: (draw.choice(values), draw.choice(values))  # noqa: E731
    kernel = two((1, 2, 3, 3, 5, 7)) if draw.chance(0.4) else (draw.choice((1, 3, 3, 3, 5, 7)),) * 2
    keywords = {
        "stride": two((1, 1, 2, 3)) if draw.chance(0.4) else draw.choice((1, 1, 2)),
        "padding": two((0, 1, 2)) if draw.chance(0.4) else draw.choice((0, 1, kernel[0] // 2)),
        "dilation": two((1, 2, 3)) if draw.chance(0.2) else 1,
        "groups": groups,
        "bias": draw.chance(0.7),
    }
    if transposed:
        module = nn.ConvTranspose2d(cin, cout, kernel, **keywords)
    else:
        if draw.chance(0.1):
            keywords |= {"padding": draw.choice(("same", "valid")), "stride": 1}
        module = nn.Conv2d(cin, cout, kernel, **keywords)
    pool.apply(Step(repr(module), None, (x,), module=module))


@operator
def convolution_1d(draw, pool):
    x = pool.floating(rank=3)
    cin = pool.values[x].shape[1]
    groups = draw.choice((1, 1, cin))
    kind = nn.ConvTranspose1d if draw.chance(0.2) else nn.Conv1d
    module = kind(
        cin,
        groups * draw.choice((1, 2)) if groups > 1 else draw.size(),
        draw.choice((1, 2, 3, 5, 9)),
        stride=draw.choice((1, 1, 2, 3)),
        padding=draw.choice((0, 1, 2)),
        dilation=draw.choice((1, 1, 2)),
        groups=groups,
        bias=draw.chance(0.7),
    )
    pool.apply(Step(repr(module), None, (x,), module=module))


@operator
def pooling(draw, pool):
    x = pool.floating(rank=4)
    kernel = (draw.choice((1, 2, 3, 5)), draw.choice((2, 3, 4)))
    kernel = kernel if draw.chance(0.4) else (kernel[1],) * 2
    stride = draw.choice((None, 1, 2, (1, 2)))
    padding = tuple(draw.randint(0, k // 2) for k in kernel)
    ceil = draw.chance(0.3)
    out = (draw.randint(1, 9), draw.randint(1, 9))
    module = draw.choice(
        (
            nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil),
            nn.MaxPool2d(kernel, stride, padding, draw.choice((1, 2)), ceil_mode=ceil),
            nn.AvgPool2d(kernel, stride, padding, ceil, draw.chance(0.5)),
            nn.AdaptiveAvgPool2d(draw.choice((1, out))),
            nn.LPPool2d(2, kernel, stride),
        )
    )
    pool.apply(
        Step(repr(module), None, (x,), module=module, moves=isinstance(module, nn.MaxPool2d))
    )


@operator
def pool_indices(draw, pool):
    x = pool.floating(rank=4)
    k, s = draw.choice((2, 3)), draw.choice((1, 2))
    call = lambda v: F.max_pool2d(v, k, s, return_indices=True)[1]  # noqa: E731
    pool.apply(Step(f"max_pool2d indices {k} {s}", call, (x,), sharp=True))


@operator
def pooling_1d(draw, pool):
    x = pool.floating(rank=3)
    k = draw.choice((2, 3, 4))
    module = draw.choice(
        (nn.MaxPool1d(k), nn.AvgPool1d(k), nn.AdaptiveAvgPool1d(draw.randint(1, 7)))
    )
    pool.apply(Step(repr(module), None, (x,), module=module))


@operator
def resize(draw, pool):
    x = pool.pick(lambda v: v.is_floating_point() and v.ndim in (3, 4))
    rank = pool.values[x].ndim
    mode = draw.choice(("nearest", "nearest-exact", "linear" if rank == 3 else "bilinear"))
    keywords = {"mode": mode}
    if "linear" in mode:
        keywords["align_corners"] = draw.chance(0.5)
    if draw.chance(0.5):
        keywords["scale_factor"] = draw.choice((2, 3, 0.5, 1.5, 2.7))
    else:
        keywords["size"] = tuple(draw.size(48) for _ in range(rank - 2))
    if draw.chance(0.1) and "linear" in mode and rank == 4:
        keywords["antialias"] = True
    pool.apply(Step(f"interpolate {keywords}", lambda v: F.interpolate(v, **keywords), (x,)))


@operator
def grid_sample(draw, pool):
    x = pool.floating(rank=4)
    shape = (pool.values[x].shape[0], draw.size(24), draw.size(24), 2)
    grid = pool.operand(draw.between(shape, -1.2, 1.2))
    mode = draw.choice(("bilinear", "bilinear", "nearest"))
    padding = draw.choice(("zeros", "border", "reflection"))
    align = draw.chance(0.5)
    call = lambda v, g: F.grid_sample(v, g, mode, padding, align)  # noqa: E731
    text = f"grid_sample {mode} {padding} align={align}"
    pool.apply(Step(text, call, (x, grid), sharp=mode == "nearest" or pool.fp16))


@operator
def convolution_block(draw, pool):
    """What nets are made of: convolution, norm, activation, and the way around them."""
    x = pool.floating(rank=4)
    cin = pool.values[x].shape[1]
    k = draw.choice((1, 3, 3, 5))
    conv = nn.Conv2d(cin, cin, k, 1, k // 2, groups=draw.choice((1, 1, cin)), bias=draw.chance(0.5))
    acts = (nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.PReLU(cin), nn.Tanh())
    module = spread(draw, nn.Sequential(conv, nn.BatchNorm2d(cin), draw.choice(acts)))
    y = pool.apply(Step(" ".join(repr(module).split()), None, (x,), module=module))
    if draw.chance(0.5):
        pool.apply(Step("add", torch.add, (x, y)))


@operator
def recurrent(draw, pool):
    x = pool.floating(rank=3)
    if pool.values[x].shape[1] > 12 or pool.values[x].shape[0] > 9:
        raise Reject("too long to unroll")
    kind = draw.choice((nn.GRU, nn.LSTM, nn.RNN))
    module = kind(
        pool.values[x].shape[2], draw.size(24), batch_first=True, bidirectional=draw.chance(0.3)
    )
    pool.apply(Step(repr(module), None, (x,), module=FirstOf(module)))


class FirstOf(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)[0]
