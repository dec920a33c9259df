"""The kinds of programs that went wrong somewhere: arguments, state, ranges, integers, sizes."""

import torch
from torch import nn
from torch.nn import functional as F

from draw import SIZES
from kinds import kind
from stock import Program
from steps import Reject

# Left to the CPU by the partitioner: they cut a graph into several delegates.
CUTS = (
    ("cumsum", lambda v: torch.cumsum(v, -1) * 0.1),
    ("erf", torch.erf),
    ("sign", torch.sign),
)


class InPlace(nn.Module):
    """Writes into parts of values of one shape, so that types never tell arguments apart."""

    def __init__(self, draw, shape):
        super().__init__()
        self.recipe = [self.one(draw, shape) for _ in range(draw.randint(2, 6))]
        self.cut_at = draw.randrange(len(self.recipe)) if draw.chance(0.5) else None
        self.cut_name, self.cut = draw.choice(CUTS)
        self.ending = draw.choice(("last", "all", "twice", "input", "swapped"))
        self.register_buffer("held", draw.normal(shape, 0.5))

    @staticmethod
    def one(draw, shape):
        dim = draw.randrange(len(shape))
        start = draw.randrange(shape[dim])
        step = draw.choice((1, 1, 2, 3))
        end = draw.randint(start + 1, shape[dim])
        index = (slice(None),) * dim + (slice(start, end, step),)
        what = draw.choice(("scale", "add", "copy", "assign", "clamp", "fill", "whole", "swap"))
        return what, index, f"{what} dim {dim} {start}:{end}:{step}"

    def text(self):
        cut = f", {self.cut_name} before step {self.cut_at}" if self.cut_at is not None else ""
        return "; ".join(text for _, _, text in self.recipe) + cut + f"; returns {self.ending}"

    def forward(self, a, b, unread):
        y, z = a.clone(), b * 0.5
        for at, (what, index, _) in enumerate(self.recipe):
            if at == self.cut_at:
                z = self.cut(z)
            if what == "scale":
                y[index] *= 1.5
            elif what == "add":
                y[index] += z[index]
            elif what == "copy":
                y[index] = z[index]
            elif what == "assign":
                z[index] = torch.tanh(y[index])
            elif what == "clamp":
                y[index].clamp_(-0.5, 0.5)
            elif what == "fill":
                z[index] = 0.25
            elif what == "whole":
                y.add_(self.held)
            else:
                y, z = z, y.clone()
        endings = {"last": y, "all": (y, z), "twice": (y, z, y), "input": (y, a), "swapped": (z, y)}
        return endings[self.ending]


@kind
def inplace(draw):
    shape = draw.shape(draw.choice((2, 3, 4)), most=17, most_elements=4096)
    module = InPlace(draw, shape)
    inputs = tuple(draw.normal(shape) for _ in range(3))
    return Program("", module, inputs, note=module.text())


class Arguments(nn.Module):
    """Several inputs and outputs of one type: unread, returned, repeated, exchanged."""

    def __init__(self, draw, inputs, shape):
        super().__init__()
        self.uses = [draw.randrange(inputs) for _ in range(draw.randint(1, 3))]
        self.cut_name, self.cut = draw.choice(CUTS)
        self.cuts = draw.chance(0.5)
        self.register_buffer("held", draw.normal(shape))
        count = len(self.uses) + 1
        # The first is computed: a graph of inputs alone is not delegated.
        self.returned = [draw.randrange(count)]
        self.returned += [draw.randrange(count + inputs) for _ in range(draw.randint(0, 4))]
        draw.shuffle(self.returned)

    def text(self):
        cut = self.cut_name if self.cuts else "none"
        return f"reads {self.uses}, cut {cut}, returns {self.returned}"

    def forward(self, *inputs):
        values = [inputs[0] * 0.5 + self.held]
        for use in self.uses:
            values.append(torch.relu(values[-1]) - inputs[use])
            if self.cuts and len(values) == 2:
                values[-1] = self.cut(values[-1])
        values += inputs
        return tuple(values[k] for k in self.returned)


@kind
def arguments(draw):
    shape = draw.shape(draw.choice((1, 2, 3, 4)), most=13, most_elements=2048)
    count = draw.randint(1, 5)
    module = Arguments(draw, count, shape)
    inputs = tuple(draw.normal(shape) for _ in range(count))
    fp16 = {"force_fp16": True} if draw.chance(0.2) else {}
    return Program("", module, inputs, note=module.text(), options=fp16)


class State(nn.Module):
    """Buffers that every run changes: sums, rings, caches, what was seen last."""

    FORMS = ("sum", "last", "ring", "decay", "written")

    def __init__(self, draw, shape, forms):
        super().__init__()
        self.forms = draw.sample(self.FORMS, forms)
        self.register_buffer("total", torch.zeros(shape))
        self.register_buffer("seen", draw.normal(shape))
        self.register_buffer("line", torch.zeros(3, *shape))
        self.register_buffer("slow", torch.ones(shape))
        self.register_buffer("table", torch.zeros(4, *shape))

    def forward(self, x, at):
        out = x * 1.0
        if "sum" in self.forms:
            self.total.add_(x)
            out = out + self.total
        if "last" in self.forms:
            out = out - self.seen
            self.seen.copy_(x * 1.0)
        if "ring" in self.forms:
            self.line.copy_(torch.cat((self.line[1:], x.unsqueeze(0))))
            out = out + self.line[0]
        if "decay" in self.forms:
            self.slow.mul_(0.5).add_(x * 0.5)
            out = out * self.slow
        if "written" in self.forms:
            self.table.index_copy_(0, at, x.unsqueeze(0))
            out = out + self.table[1] - self.table[3]
        return out


@kind
def state(draw):
    shape = draw.shape(draw.choice((1, 2, 3)), most=17, most_elements=2048)
    # Without the option, which constant a buffer starts from can be told of one of a type only.
    aliased = draw.chance(0.5)
    module = State(draw, shape, draw.randint(1, 3) if aliased else 1)
    options = {"alias_buffer_mutations": True} if aliased else {}
    runs = [(draw.normal(shape), torch.tensor([draw.randrange(4)])) for _ in range(4)]
    note = " ".join(module.forms)
    return Program("", module, runs[0], note=note, options=options, later_inputs=runs[1:])


def rms(v, dim=-1, eps=1e-6):
    return v * torch.rsqrt(v.pow(2).mean(dim, keepdim=True) + eps)


# Insides beyond 65504 or below 6e-8 with harmless results, which PyTorch's half gets right.
RANGES = (
    ("rms norm", rms),
    ("rms norm of squares", lambda v: v / torch.sqrt((v * v).mean(-1, keepdim=True) + 1e-5)),
    ("rms norm of two dims", lambda v: rms(v, (-2, -1))),
    ("rms_norm", lambda v: F.rms_norm(v, v.shape[-1:], eps=1e-6)),
    ("normalize", lambda v: F.normalize(v, dim=-1)),
    ("normalize dim 1", lambda v: F.normalize(v, dim=1)),
    ("norm quotient", lambda v: v / v.norm(dim=-1, keepdim=True)),
    ("vector_norm quotient", lambda v: v / torch.linalg.vector_norm(v, dim=-1, keepdim=True)),
    ("layer norm", lambda v: F.layer_norm(v, v.shape[-1:])),
    ("group norm", lambda v: F.group_norm(v, 1)),
    ("group norm of channels", lambda v: F.group_norm(v, v.shape[1])),
    ("cosine similarity", lambda v: F.cosine_similarity(v, v.flip(-1), dim=-1)),
    ("standardize", lambda v: (v - v.mean(-1, True)) / (v.std(-1, keepdim=True) + 1e-3)),
    (
        "variance quotient",
        lambda v: (v - v.mean(-1, True)) * torch.rsqrt(v.var(-1, keepdim=True) + 1e-3),
    ),
    ("mean of squares root", lambda v: v.square().mean(-1).sqrt()),
    ("sum over count", lambda v: v.sum(-1) / v.shape[-1]),
    ("mean", lambda v: v.mean((-2, -1))),
    ("l1 normalize", lambda v: v / v.abs().sum(-1, keepdim=True)),
    ("max quotient", lambda v: v / v.abs().amax(-1, keepdim=True)),
    ("softmax", lambda v: torch.softmax(v, -1)),
    ("log_softmax", lambda v: torch.log_softmax(v, -1)),
    ("logsumexp", lambda v: torch.logsumexp(v, -1)),
    ("sigmoid", lambda v: torch.sigmoid(v)),
    ("tanh", lambda v: torch.tanh(v)),
    ("silu", lambda v: F.silu(v)),
    ("gelu", lambda v: F.gelu(v)),
    ("gelu tanh", lambda v: F.gelu(v, approximate="tanh")),
    ("softplus", lambda v: F.softplus(v)),
    ("mish", lambda v: F.mish(v)),
    ("elu", lambda v: F.elu(v)),
    ("attention", lambda v: F.scaled_dot_product_attention(v, v.flip(-1), v)),
    ("scores", lambda v: torch.softmax(v @ v.transpose(-1, -2) * (v.shape[-1] ** -0.5), -1)),
    ("avg_pool2d", lambda v: F.avg_pool2d(v.reshape(1, -1, *v.shape[-2:]), 2, ceil_mode=True)),
    ("instance norm", lambda v: F.instance_norm(v)),
    ("geometric mean", lambda v: v.abs().add(1).log().mean(-1).exp()),
    ("weighted mean", lambda v: (v * v.abs()).sum(-1) / v.abs().sum(-1)),
    ("distance", lambda v: torch.sqrt(((v - v.flip(-1)) ** 2).sum(-1) + 1e-6)),
)


class Ranged(nn.Module):
    def __init__(self, call, affine, width):
        super().__init__()
        self.call = call
        self.weight = nn.Parameter(torch.rand(width) + 0.5) if affine else None

    def forward(self, x):
        y = self.call(x)
        if self.weight is not None and y.shape[-1:] == self.weight.shape:
            y = y * self.weight
        return y


@kind
def range16(draw):
    """fp16 programs whose inside leaves the range of 16 bits."""
    name, call = draw.choice(RANGES)
    shape = draw.shape(draw.choice((3, 4)), most=65, most_elements=1 << 15)
    if min(shape[-2:]) < 2:
        raise Reject("statistics of one")
    scale = draw.choice((300.0, 1000.0, 5000.0, 20000.0, 3e-3, 1e-4))
    x = draw.normal(shape, scale).clamp(-60000, 60000).half().float()
    if draw.chance(0.3):
        x = x + scale * 2 if scale < 20000 else x
        x = x.half().float()
    module = Ranged(call, draw.chance(0.5), shape[-1])
    note = f"{name} of values about {scale:g}, {list(shape)}"
    return Program("", module, (x,), note=note, options={"force_fp16": True})


class Moves(nn.Module):
    """Moves integers and changes none."""

    def __init__(self, draw, rank):
        super().__init__()
        self.forms = draw.sample(("view", "permute", "slice", "cat", "flip", "add", "clone"), 3)
        self.dims = tuple(draw.sample(range(rank), rank))
        self.held = nn.Buffer(torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        for form in self.forms:
            if form == "view":
                x = x.unsqueeze(0).squeeze(0).clone()
            elif form == "permute":
                x = x.permute(self.dims).contiguous()
            elif form == "slice":
                x = x[..., : x.shape[-1]].clone()
            elif form == "cat":
                x = torch.cat((x, x), 0)
            elif form == "flip":
                x = x.flip(0)
            elif form == "add":
                x = x + self.held
            else:
                x = x.clone()
        return x


@kind
def integers(draw):
    """int64 at the edge of the 32 bits that the graph holds: right within, an error beyond."""
    shape = draw.shape(draw.choice((1, 2, 3)), most=9, most_elements=512)
    beyond = draw.chance(0.5)
    x = draw.integers(shape, -(2**31), 2**31 - 1)
    x.view(-1)[0], x.view(-1)[-1] = 2**31 - 1, -(2**31)
    if beyond:
        at = draw.randrange(x.numel())
        x.view(-1)[at] = draw.choice((2**31, -(2**31) - 1, 2**32, 2**40 + 1, 2**63 - 1, -(2**63)))
    module = Moves(draw, len(shape))
    if "permute" not in module.forms and draw.chance(0.3) and not beyond:
        module.forms.append("add")
    note = f"{'beyond' if beyond else 'within'} 32 bits: {' '.join(module.forms)}"
    return Program("", module, (x,), note=note, must_fail=beyond)


class Big(nn.Module):
    """Widens a plane until one tensor passes 128 MiB, works on it, and narrows it again."""

    def __init__(self, draw, form, channels):
        super().__init__()
        self.form = form
        self.widen = nn.Conv2d(3, channels, 1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.narrow = nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        y = self.widen(x)
        if self.form == "output":
            return y
        if self.form == "conv":
            y = torch.relu(self.conv(y))
        elif self.form == "pool":
            y = F.max_pool2d(y, 2)
        elif self.form == "elementwise":
            y = torch.sigmoid(y) * y + 1
        elif self.form == "pad":
            y = F.pad(y, (1, 2, 3, 4))
        elif self.form == "view":
            return y.reshape(y.shape[1], -1).mean(1)
        elif self.form == "permute":
            return y.permute(0, 2, 3, 1).mean((1, 2))
        elif self.form == "cat":
            y = torch.cat((y[:, ::2], y[:, 1::2]), 1)
        elif self.form == "upsample":
            y = F.interpolate(F.avg_pool2d(y, 4), scale_factor=4)
        elif self.form == "reduce":
            return y.amax(1)
        return self.narrow(y)


BIG_FORMS = (
    "output",
    "conv",
    "pool",
    "elementwise",
    "pad",
    "view",
    "permute",
    "cat",
    "upsample",
    "reduce",
)


@kind
def big(draw):
    """One tensor of 130 to 170 MB, above the storage range of many drivers."""
    channels = draw.choice((32, 48, 64))
    height = draw.choice([s for s in SIZES if s > 30]) * 8
    width = draw.randint(130_000_000, 170_000_000) // (4 * channels * height)
    form = draw.choice(BIG_FORMS)
    module = Big(draw, form, channels).eval()
    inputs = (draw.normal((1, 3, height, width)),)
    return Program("", module, inputs, note=f"{form}, {channels}x{height}x{width}")
