"""Networks that no package carries in small: recurrent, generators, super-resolution, audio."""

import torch
from torch import nn
from torch.nn import functional as F

from zoo import add, image, tokens


def own(name, family, inputs):
    def register(kind):
        add(name, family, "own", lambda: (kind(), inputs()))
        return kind

    return register


@own("lstm tagger", "recurrent", lambda: (tokens(9),))
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(97, 24)
        self.lstm = nn.LSTM(24, 20, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(40, 11)

    def forward(self, x):
        return torch.log_softmax(self.out(self.lstm(self.embed(x))[0]), -1)


@own("gru keyword spotter", "recurrent", lambda: (torch.randn(1, 1, 40, 24),))
class Spotter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, (20, 5), (8, 2))
        self.gru = nn.GRU(12 * 10, 24, batch_first=True)
        self.out = nn.Linear(24, 12)

    def forward(self, x):
        y = torch.relu(self.conv(x))
        y = self.gru(y.permute(0, 2, 1, 3).flatten(2))[0]
        return self.out(y[:, -1])


@own("crnn", "recurrent", lambda: (image(32, 64, 1),))
class Crnn(nn.Module):
    """Reads a line of text."""

    def __init__(self):
        super().__init__()
        layers, cin = [], 1
        for cout, pool in ((16, (2, 2)), (24, (2, 2)), (32, (2, 1)), (32, (4, 1))):
            layers += [
                nn.Conv2d(cin, cout, 3, 1, 1),
                nn.BatchNorm2d(cout),
                nn.ReLU(),
                nn.MaxPool2d(pool),
            ]
            cin = cout
        self.convs = nn.Sequential(*layers)
        self.lstm = nn.LSTM(32, 24, bidirectional=True)
        self.out = nn.Linear(48, 37)

    def forward(self, x):
        y = self.convs(x).squeeze(2).permute(2, 0, 1)
        return torch.log_softmax(self.out(self.lstm(y)[0]), -1)


@own("deep speech", "speech", lambda: (torch.randn(1, 1, 32, 40),))
class DeepSpeech(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(1, 8, (11, 5), (2, 2), (5, 2)),
            nn.BatchNorm2d(8),
            nn.Hardtanh(0, 20),
            nn.Conv2d(8, 8, (11, 5), (2, 1), (5, 2)),
            nn.BatchNorm2d(8),
            nn.Hardtanh(0, 20),
        )
        self.rnn = nn.RNN(64, 24, 2, batch_first=True)
        self.out = nn.Linear(24, 29)

    def forward(self, x):
        y = self.convs(x).flatten(1, 2).transpose(1, 2)
        return self.out(self.rnn(y)[0])


@own("conv-tasnet", "speech", lambda: (torch.randn(1, 1, 400),))
class TasNet(nn.Module):
    """Splits two voices."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Conv1d(1, 24, 16, 8)
        self.norm = nn.GroupNorm(1, 24)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(24, 32, 1),
                nn.PReLU(),
                nn.GroupNorm(1, 32),
                nn.Conv1d(32, 32, 3, padding=d, dilation=d, groups=32),
                nn.PReLU(),
                nn.GroupNorm(1, 32),
                nn.Conv1d(32, 24, 1),
            )
            for d in (1, 2, 4)
        )
        self.mask = nn.Conv1d(24, 48, 1)
        self.decode = nn.ConvTranspose1d(24, 1, 16, 8)

    def forward(self, x):
        wave = torch.relu(self.encode(x))
        y = self.norm(wave)
        for block in self.blocks:
            y = y + block(y)
        masks = torch.sigmoid(self.mask(y)).view(1, 2, 24, -1)
        return self.decode((wave.unsqueeze(1) * masks).squeeze(0))


@own("wavenet", "speech", lambda: (torch.randn(1, 8, 120),))
class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.gates = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=2**i) for i in range(5))
        self.skips = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(5))

    def forward(self, x):
        total = 0
        for i, (gate, skip) in enumerate(zip(self.gates, self.skips)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            y = torch.tanh(a) * torch.sigmoid(b)
            total = total + skip(y)
            x = x + y
        return total


@own("dcgan generator", "generators", lambda: (torch.randn(2, 24, 1, 1),))
class Dcgan(nn.Module):
    def __init__(self):
        super().__init__()
        widths, layers = (24, 48, 32, 16), []
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            layers += [
                nn.ConvTranspose2d(a, b, 4, 1 if i == 0 else 2, 0 if i == 0 else 1, bias=False)
            ]
            layers += [nn.BatchNorm2d(b), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.body(z)


@own("style generator", "generators", lambda: (torch.randn(1, 24),))
class StyleGan(nn.Module):
    """Weights modulated by the style and normalized per sample, as StyleGAN2 does."""

    def __init__(self):
        super().__init__()
        self.map = nn.Sequential(nn.Linear(24, 24), nn.LeakyReLU(0.2), nn.Linear(24, 24))
        self.start = nn.Parameter(torch.randn(1, 16, 4, 4))
        self.styles = nn.ModuleList(nn.Linear(24, 16) for _ in range(3))
        self.weights = nn.ParameterList(torch.randn(16, 16, 3, 3) * 0.1 for _ in range(3))
        self.colours = nn.Conv2d(16, 3, 1)

    def forward(self, z):
        z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        w, x = self.map(z), self.start
        for style, weight in zip(self.styles, self.weights):
            s = style(w).view(1, 16, 1, 1) + 1
            norm = torch.rsqrt(((weight * s) ** 2).sum((1, 2, 3)) + 1e-8)
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = F.leaky_relu(F.conv2d(x * s, weight, padding=1) * norm.view(1, -1, 1, 1), 0.2)
        return self.colours(x)


@own("cyclegan generator", "generators", lambda: (image(32),))
class CycleGan(nn.Module):
    def __init__(self):
        super().__init__()

        def unit(a, b, k, s):
            return nn.Sequential(
                nn.ReflectionPad2d(k // 2), nn.Conv2d(a, b, k, s), nn.InstanceNorm2d(b), nn.ReLU()
            )

        self.down = nn.Sequential(unit(3, 8, 7, 1), unit(8, 16, 3, 2), unit(16, 32, 3, 2))
        self.middle = nn.ModuleList(
            nn.Sequential(unit(32, 32, 3, 1), unit(32, 32, 3, 1)) for _ in range(2)
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 3, 2, 1, 1),
            nn.InstanceNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 3, 2, 1, 1),
            nn.InstanceNorm2d(8),
            nn.ReLU(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(8, 3, 7),
            nn.Tanh(),
        )

    def forward(self, x):
        x = self.down(x)
        for block in self.middle:
            x = x + block(x)
        return self.up(x)


@own("diffusion u-net", "generators", lambda: (image(16, channels=4), torch.tensor([37.0])))
class Diffusion(nn.Module):
    """Sinusoids of the time step, group norms, attention in the middle."""

    def __init__(self, width=16):
        super().__init__()
        self.register_buffer("rates", torch.exp(-torch.arange(8) * 1.2))
        self.time = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, width))
        self.enter = nn.Conv2d(4, width, 3, 1, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(3))
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.leave = nn.Conv2d(2 * width, 4, 3, 1, 1)

    def forward(self, x, t):
        angles = t[:, None] * self.rates
        t = self.time(torch.cat((angles.sin(), angles.cos()), -1))[:, :, None, None]
        before = x = self.enter(x)
        for i in range(2):
            x = x + self.convs[i](F.silu(self.norms[i](x + t)))
        x = F.avg_pool2d(x, 2)
        q, k, v = self.qkv(self.norms[2](x)).flatten(2).transpose(1, 2).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = F.interpolate(x + y, scale_factor=2)
        x = self.convs[2](F.silu(self.norms[3](x)))
        return self.leave(torch.cat((x, before), 1))


@own("edsr", "super-resolution", lambda: (image(24),))
class Edsr(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(3, 16, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1))
            for _ in range(3)
        )
        self.leave = nn.Sequential(nn.Conv2d(16, 27, 3, 1, 1), nn.PixelShuffle(3))

    def forward(self, x):
        x = y = self.enter(x)
        for block in self.blocks:
            y = y + 0.1 * block(y)
        return self.leave(x + y)


@own("rrdb (esrgan)", "super-resolution", lambda: (image(20),))
class Rrdb(nn.Module):
    def __init__(self, width=12, growth=8):
        super().__init__()
        self.enter = nn.Conv2d(3, width, 3, 1, 1)
        self.dense = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, 1, 1) for i in range(5)
        )
        self.ups = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        self.leave = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, x):
        x = self.enter(x)
        parts = [x]
        for i, conv in enumerate(self.dense):
            y = conv(torch.cat(parts, 1))
            parts.append(F.leaky_relu(y, 0.2) if i < 4 else y)
        x = x + 0.2 * parts[-1]
        for up in self.ups:
            x = F.leaky_relu(up(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.leave(x)


@own("carn with gates", "super-resolution", lambda: (image(24, 31),))
class Gated(nn.Module):
    """Channel attention between residual blocks, resized to no multiple of the input."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(3, 16, 3, 1, 1)
        self.body = nn.Conv2d(16, 16, 3, 1, 1, groups=4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1)
        )
        self.leave = nn.Conv2d(16, 3, 3, 1, 1)

    def forward(self, x):
        y = self.enter(x)
        z = torch.relu(self.body(y))
        y = y + z * torch.sigmoid(self.gate(z))
        y = F.interpolate(y, size=(61, 77), mode="bilinear", align_corners=False)
        return self.leave(y) + F.interpolate(x, size=(61, 77), mode="bilinear", align_corners=True)


@own("u-net", "segmentation", lambda: (image(48),))
class Unet(nn.Module):
    def __init__(self):
        super().__init__()

        def two(a, b):
            return nn.Sequential(
                nn.Conv2d(a, b, 3, 1, 1),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.Conv2d(b, b, 3, 1, 1),
                nn.ReLU(),
            )

        self.downs = nn.ModuleList((two(3, 8), two(8, 16), two(16, 32)))
        self.ups = nn.ModuleList(
            (nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2))
        )
        self.joins = nn.ModuleList((two(32, 16), two(16, 8)))
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        kept = []
        for i, down in enumerate(self.downs):
            x = down(F.max_pool2d(x, 2) if i else x)
            kept.append(x)
        for up, join, before in zip(self.ups, self.joins, kept[-2::-1]):
            x = join(torch.cat((up(x), before), 1))
        return self.out(x)


@own("yolo head", "detection with its anchors", lambda: (image(64),))
class Yolo(nn.Module):
    """Splits, joins, pools at three scales, decodes boxes with a distribution over distances."""

    def __init__(self):
        super().__init__()

        def unit(a, b, k=3, s=1):
            return nn.Sequential(
                nn.Conv2d(a, b, k, s, k // 2, bias=False), nn.BatchNorm2d(b), nn.SiLU()
            )

        self.stem = nn.Sequential(unit(3, 8, 3, 2), unit(8, 16, 3, 2), unit(16, 24, 3, 2))
        self.split = unit(24, 24, 1)
        self.inner = unit(12, 12)
        self.merge = unit(36, 24, 1)
        self.pooled = unit(96, 24, 1)
        self.boxes, self.classes = nn.Conv2d(24, 4 * 8, 1), nn.Conv2d(24, 5, 1)
        self.register_buffer("bins", torch.arange(8.0).view(1, 8, 1, 1))

    def forward(self, x):
        x = self.stem(x)
        a, b = self.split(x).chunk(2, 1)
        x = self.merge(torch.cat((a, b, self.inner(b)), 1))
        pools = [x]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        x = self.pooled(torch.cat(pools, 1))
        n, _, h, w = x.shape
        distances = self.boxes(x).view(n, 4, 8, h * w).transpose(1, 2).softmax(1)
        near, far = (distances * self.bins).sum(1).chunk(2, 1)
        rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
        centres = torch.stack((columns.repeat(h), rows.repeat_interleave(w)))
        corners = torch.cat((centres - near, centres + far), 1) * 8
        return torch.cat((corners, self.classes(x).flatten(2).sigmoid()), 1)


@own("temporal convolutions", "recurrent", lambda: (torch.randn(2, 6, 50),))
class Tcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(6, 6, 3, dilation=2**i) for i in range(4))

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = torch.relu(x + conv(F.pad(x, (2 * 2**i, 0))))
        return x[..., -1]


@own("point net", "points", lambda: (torch.randn(1, 3, 100),))
class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.turn = nn.Sequential(nn.Conv1d(3, 16, 1), nn.ReLU(), nn.Conv1d(16, 32, 1), nn.ReLU())
        self.matrix = nn.Linear(32, 9)
        self.body = nn.Sequential(
            nn.Conv1d(3, 24, 1), nn.BatchNorm1d(24), nn.ReLU(), nn.Conv1d(24, 48, 1)
        )
        self.out = nn.Linear(48, 10)

    def forward(self, x):
        turn = self.matrix(self.turn(x).amax(2)).view(-1, 3, 3) + torch.eye(3)
        return self.out(self.body(turn @ x).amax(2))
