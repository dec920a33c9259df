"""Random sizes, shapes and tensors, all of one seed."""

import random

import torch

# Small, ragged, prime, and at both sides of what kernels cut by.
SIZES = (
    1,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
    13,
    15,
    16,
    17,
    19,
    23,
    24,
    29,
    31,
    32,
    33,
    37,
    48,
    63,
    64,
    65,
)
MOST_ELEMENTS = 1 << 17


class Draw(random.Random):
    def __init__(self, seed):
        super().__init__(seed)
        self.seed_text = str(seed)
        self.torch = torch.Generator().manual_seed(self.getrandbits(62))
        torch.manual_seed(self.getrandbits(62))  # of modules' own weights

    def chance(self, probability):
        return self.random() < probability

    def size(self, most=65):
        return self.choice([s for s in SIZES if s <= most])

    def shape(self, rank=None, most=65, most_elements=MOST_ELEMENTS):
        rank = self.choice((1, 2, 3, 3, 4, 4, 4, 4)) if rank is None else rank
        while True:
            dims = [self.size(most) for _ in range(rank)]
            if rank == 4 and self.chance(0.7):
                dims[0] = 1
            count = 1
            for dim in dims:
                count *= dim
            if count <= most_elements:
                return tuple(dims)

    def normal(self, shape, scale=1.0):
        return torch.randn(shape, generator=self.torch) * scale

    def between(self, shape, low, high):
        return torch.rand(shape, generator=self.torch) * (high - low) + low

    def integers(self, shape, low, high, dtype=torch.int64):
        """In [low, high]."""
        return torch.randint(low, high + 1, shape, generator=self.torch).to(dtype)

    def booleans(self, shape):
        return torch.rand(shape, generator=self.torch) < 0.5

    def floats(self, shape):
        """Of one of several distributions."""
        scale = self.choice((1.0, 1.0, 1.0, 0.1, 5.0))
        x = self.normal(shape, scale)
        if self.chance(0.15):
            x = x.abs() + 0.1
        if self.chance(0.1):
            x = (x * 4).round() / 4  # many equal values
        if self.chance(0.1):
            x = x * (self.between(shape, 0, 1) < 0.7)  # many zeros
        return x

    def broadcastable(self, shape):
        """A shape that broadcasts with `shape`, of the same rank or a smaller one."""
        dims = [1 if self.chance(0.35) else dim for dim in shape]
        if self.chance(0.3):
            dims = dims[self.randint(0, len(dims)) :]
        return tuple(dims)

    def divisor(self, n):
        return self.choice([d for d in range(1, n + 1) if n % d == 0])
