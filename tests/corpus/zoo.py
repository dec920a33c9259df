"""The networks: their names, families, and how each is made with random weights."""

import dataclasses

import torch
from torch import nn


@dataclasses.dataclass
class Net:
    name: str
    family: str
    source: str
    make: object  # returns (module, inputs)


NETS = {}


def add(name, family, source, make):
    assert name not in NETS, name
    NETS[name] = Net(name, family, source, make)


def image(height, width=None, channels=3, batch=1):
    return torch.randn(batch, channels, height, width or height)


def tokens(count, vocabulary=97, batch=1):
    return torch.randint(3, vocabulary, (batch, count))


class Call(nn.Module):
    """Calls `function(model, *inputs)`: heads without what no exporter takes."""

    def __init__(self, model, function):
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, *inputs):
        return self.function(self.model, *inputs)


def awaken(module, inputs):
    """Random values for what starts constant, and statistics that keep each layer of order one.

    Zeroed last layers, layer scales of 1e-6 and unit norms would hide most of a network.
    """
    with torch.no_grad():
        for tensor in module.parameters():
            if not tensor.is_floating_point() or tensor.numel() < 2 or tensor.std() > 0:
                continue
            value = float(tensor.flatten()[0])
            if tensor.ndim > 1:
                tensor.normal_(0, 0.02)
            elif value == 0:
                tensor.normal_(0, 0.05)
            elif abs(value) < 0.1:
                tensor.uniform_(0.1, 0.3)
            else:
                tensor.mul_(torch.empty_like(tensor).uniform_(0.7, 1.3))
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        module.eval()
        for norm in norms:
            if norm.track_running_stats:
                norm.train()
                norm.momentum = 1.0
        if norms:
            try:
                module(*inputs)
            except ValueError:  # one value per channel: no statistics of it
                for norm in norms:
                    norm.running_mean.normal_(0, 0.1)
                    norm.running_var.uniform_(0.5, 1.5)
        for norm in norms:
            if norm.track_running_stats:
                norm.running_var.clamp_(min=1e-2)
    return module.eval()
