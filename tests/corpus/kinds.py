"""The kinds of random programs. Each makes one `stock.Program` from a `draw.Draw`."""

import torch
from torch import nn
from torch.nn import functional as F

import operators_shapes  # noqa: F401  registers its operators
from draw import Draw
from operators_values import OPERATORS
from steps import Pool, Reject
from stock import Program

KINDS = {}
# How often each is drawn; the heavy ones rarely.
WEIGHTS = {"operator": 10, "sequence": 10, "big": 0.3}


def kind(make):
    KINDS[make.__name__] = make
    return make


def make(name, seed_text):
    """Draws until a program comes about; the same one for the same text, always."""
    for attempt in range(200):
        draw = Draw(f"{seed_text}/{attempt}")
        try:
            program = KINDS[name](draw)
        except Reject:
            continue
        program.kind = name
        program.name = f"corpus_{name}_{seed_text}".replace("/", "_")
        return program
    raise RuntimeError(f"{name}: nothing fits after 200 attempts")


def some_options(draw, fp16):
    options = {"force_fp16": True} if fp16 else {}
    if draw.chance(0.15):
        from executorch.backends.vulkan.serialization.vulkan_graph_schema import (
            VkMemoryLayout,
            VkStorageType,
        )

        storage = draw.choice((VkStorageType.BUFFER, VkStorageType.TEXTURE_3D, None))
        layout = draw.choice(
            (VkMemoryLayout.TENSOR_CHANNELS_PACKED, VkMemoryLayout.TENSOR_HEIGHT_PACKED, None)
        )
        more = {
            "storage_type_override": storage,
            "memory_layout_override": layout,
            "small_texture_limits": draw.choice((True, None)),
            "skip_memory_planning": draw.choice((True, None)),
        }
        options |= {key: value for key, value in more.items() if value is not None}
    return options


def first_values(draw, pool):
    """One to three inputs of the types that operators read."""
    shape = draw.shape()
    pool.input(draw.floats(shape))
    if draw.chance(0.3):
        pool.input(draw.floats(draw.broadcastable(shape)))
    if draw.chance(0.15):
        dtype = draw.choice((torch.int64, torch.int32))
        pool.input(draw.integers(draw.shape(most_elements=4096), -9, 9, dtype))
    if draw.chance(0.05):
        pool.input(draw.booleans(shape))


def grow(draw, pool, count):
    """Appends `count` random operators, the last of which is the first output."""
    grown = 0
    for _ in range(60 * count):
        try:
            OPERATORS[draw.choice(list(OPERATORS))](draw, pool)
        except Reject:
            continue
        grown += 1
        if grown == count:
            pool.outputs = [len(pool.steps) - 1]
            return
    raise Reject("too few operators fit")


def of_pool(pool, options):
    module, inputs = pool.network()
    if not inputs:
        raise Reject("no inputs")
    return Program("", module, inputs, note=pool.text(), options=options, pool=pool)


@kind
def operator(draw):
    fp16 = draw.chance(0.4)
    pool = Pool(draw, fp16)
    first_values(draw, pool)
    grow(draw, pool, 1)
    return of_pool(pool, some_options(draw, fp16))


@kind
def sequence(draw):
    fp16 = draw.chance(0.4)
    pool = Pool(draw, fp16)
    first_values(draw, pool)
    grow(draw, pool, draw.randint(2, 12))
    for _ in range(draw.choice((0, 0, 0, 1, 2))):  # further outputs, also one twice
        results = [k for k, step in enumerate(pool.steps) if step.role == "operator"]
        pool.outputs.append(draw.choice(results))
    return of_pool(pool, some_options(draw, fp16))


def conv_unit(draw, cin, cout, stride=1):
    k = draw.choice((1, 3, 3, 5))
    groups = cin if cin == cout and draw.chance(0.3) else 1
    parts = [nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=draw.chance(0.5))]
    if draw.chance(0.5):
        norm = nn.BatchNorm2d(cout)
        with torch.no_grad():
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 1.5)
        parts.append(norm)
    acts = (nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.LeakyReLU(0.1), nn.PReLU(cout))
    parts.append(draw.choice((*acts, nn.GELU(), nn.Sigmoid())))
    return nn.Sequential(*parts)


class HourGlass(nn.Module):
    """Down, through, up again and joined with what was before: most dense nets in small."""

    def __init__(self, draw, cin):
        super().__init__()
        width = draw.choice((4, 6, 8, 11, 16))
        self.enter = conv_unit(draw, cin, width)
        self.down = conv_unit(draw, width, 2 * width, 2)
        self.middle = nn.ModuleList(conv_unit(draw, 2 * width, 2 * width) for _ in range(2))
        self.gate = nn.Conv2d(2 * width, 2 * width, 1) if draw.chance(0.5) else None
        self.up = draw.choice(("nearest", "bilinear", "transposed"))
        self.unpool = nn.ConvTranspose2d(2 * width, 2 * width, 2, 2)
        self.join = draw.choice(("cat", "add"))
        self.narrow = nn.Conv2d(2 * width, width, 1)
        self.leave = nn.Conv2d(2 * width if self.join == "cat" else width, 3, 3, padding=1)

    def forward(self, x):
        before = self.enter(x)
        y = self.down(before)
        for unit in self.middle:
            y = y + unit(y)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        if self.up == "transposed":
            y = self.unpool(y)
        else:
            y = F.interpolate(y, scale_factor=2, mode=self.up)
        y = self.narrow(y)
        y = torch.cat((y, before), 1) if self.join == "cat" else y + before
        return self.leave(y)


@kind
def dynamic(draw):
    """A small dense net, exported once for all even sizes, run at several."""
    from torch.export import Dim

    cin = draw.choice((1, 3, 4))
    module = HourGlass(draw, cin).eval()
    fp16 = draw.chance(0.4)
    most = draw.choice((24, 32, 40))
    sizes = [(2 * draw.randint(2, most // 2), 2 * draw.randint(2, most // 2)) for _ in range(3)]
    images = [draw.normal((1, cin, *size)) for size in [(most, most), *sizes]]
    if fp16:
        images = [image.half().float() for image in images]
    rows = Dim("rows", min=2, max=most // 2)
    columns = Dim("columns", min=2, max=most // 2)
    options = {"force_fp16": True} if fp16 else {}
    if draw.chance(0.5):
        options["require_dynamic_shapes"] = True
    return Program(
        "",
        module,
        (images[0],),
        note=f"sizes {[list(i.shape[2:]) for i in images]}",
        options=options,
        later_inputs=[(image,) for image in images[1:]],
        dynamic_shapes=({2: 2 * rows, 3: 2 * columns},),
    )
