#!/usr/bin/env python3
"""Time and workspace of one layer against its resolution, as an SVG, from etvk_bench's JSON lines.

    plot.py OUT.svg LINES.jsonl... [--layer 64x64x3] [--type fp32] [--title TEXT]

A layer is inputs x outputs x kernel size, stride 1, undilated, ungrouped; every program of one such
convolution counts whose name ends in the type. Lines are sets of options (budget, algorithm); rows
with figures of peers add theirs. Needs Python's standard library alone.
"""
import argparse
import json
import math
import xml.sax.saxutils

COLOURS = ["#0b62a4", "#d9480f", "#2b8a3e", "#862e9c", "#b08900", "#0c8599"]
PEER_COLOUR = "#555555"
PANEL = (380, 300)  # plotting area of one panel
LEFT, TOP, GAP, BELOW = 62, 56, 92, 46


def read_rows(paths):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in filter(str.strip, lines):
                row = json.loads(line)
                if "case" in row and "error" not in row:
                    yield row


def resolution(row, layer, suffix):
    """Height of the output when the row is that layer, else None."""
    convolutions = row["convolutions"]
    if len(convolutions) != 1 or not row["case"].endswith(suffix):
        return None
    conv = convolutions[0]
    same = ([conv["c_in"], conv["c_out"], *conv["kernel"]] == [*layer[:2], layer[2], layer[2]]
            and conv["stride"] == [1, 1] and conv["dilation"] == [1, 1] and conv["groups"] == 1)
    return conv["h_out"] if same else None


def label_of(row):
    """What the caller chose, in words."""
    options = dict(row["options"])
    options.pop("workspace_bytes", None)
    budget = row["workspace_budget_bytes"] / (1 << 20)
    words = [options.pop("conv_algorithm", "")] + [f"{k}={v}" for k, v in sorted(options.items())]
    return " ".join(filter(None, ["etvk", *words, f"budget {budget:g} MiB"]))


def collect(rows, layer, suffix):
    """{label: {resolution: value}} of times in ms and of workspace in MiB."""
    times, workspaces = {}, {}
    for row in rows:
        at = resolution(row, layer, suffix)
        if at is None:
            continue
        label = label_of(row)
        if row["gpu_inner_ms"] is not None:
            times.setdefault(label, {})[at] = row["gpu_inner_ms"]
        workspaces.setdefault(label, {})[at] = row["workspace_bytes"] / (1 << 20)
        peer = row.get("peer") or {}
        if peer.get("best_ms") is not None:
            times.setdefault("best peer", {})[at] = peer["best_ms"]
        if peer.get("workspace_bytes") is not None:
            workspaces.setdefault("ncnn", {})[at] = peer["workspace_bytes"] / (1 << 20)
    return times, workspaces


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


class Axis:
    """A logarithmic axis from `low` to `high` over pixels; zero has a place of its own below."""

    def __init__(self, values, pixels, base, with_zero=False):
        positive = [v for v in values if v > 0] or [1]
        self.base = base
        self.first = math.floor(math.log(min(positive), base) + 1e-9)
        self.last = max(math.ceil(math.log(max(positive), base) - 1e-9), self.first + 1)
        self.with_zero = with_zero
        self.pixels = pixels
        self.steps = self.last - self.first + (1 if with_zero else 0)

    def at(self, value):
        low = self.first - (1 if self.with_zero else 0)
        exponent = math.log(value, self.base) if value > 0 else low
        return (exponent - low) / self.steps * self.pixels

    def ticks(self):
        ticks = [self.base ** e for e in range(self.first, self.last + 1)]
        return ([0] if self.with_zero else []) + ticks


class Svg:
    def __init__(self):
        self.parts = []

    def line(self, x1, y1, x2, y2, colour="#dddddd", width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{colour}" stroke-width="{width}"/>')

    def text(self, x, y, text, anchor="middle", size=12, colour="#222222", turn=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
                          f'font-size="{size}" fill="{colour}"{turn}>'
                          f'{xml.sax.saxutils.escape(text)}</text>')

    def curve(self, points, colour, dashed):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="2"{dash}/>')
        for x, y in points:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')

    def document(self, width, height):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
                f'<rect width="{width}" height="{height}" fill="white"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def panel(svg, left, title, series, resolutions, colours, with_zero):
    width, height = PANEL
    across = Axis(resolutions, width, 2)
    up = Axis([v for points in series.values() for v in points.values()], height, 10, with_zero)
    bottom = TOP + height
    svg.text(left + width / 2, TOP - 12, title, size=13)
    for tick in up.ticks():
        y = bottom - up.at(tick)
        svg.line(left, y, left + width, y)
        svg.text(left - 6, y + 4, number(tick), anchor="end", size=11)
    for tick in across.ticks():
        x = left + across.at(tick)
        svg.line(x, TOP, x, bottom)
        svg.text(x, bottom + 16, number(tick), size=11)
    svg.line(left, bottom, left + width, bottom, "#222222")
    svg.line(left, TOP, left, bottom, "#222222")
    svg.text(left + width / 2, bottom + 34, "height and width of the output", size=11)
    for label, points in series.items():
        curve = [(left + across.at(at), bottom - up.at(points[at])) for at in sorted(points)]
        svg.curve(curve, colours[label], label in ("best peer", "ncnn"))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("lines", nargs="+")
    parser.add_argument("--layer", default="64x64x3")
    parser.add_argument("--type", default="fp32")
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    layer = [int(part) for part in arguments.layer.split("x")]
    if len(layer) != 3:
        parser.error("--layer is INPUTSxOUTPUTSxKERNEL")
    rows = list(read_rows(arguments.lines))
    times, workspaces = collect(rows, layer, "__" + arguments.type)
    if not workspaces:
        parser.error(f"no program of one {arguments.layer} convolution in {arguments.type}")
    labels = list(dict.fromkeys([*times, *workspaces]))
    own = [label for label in labels if label.startswith("etvk")]
    colours = {label: PEER_COLOUR for label in labels}
    colours.update({label: COLOURS[i % len(COLOURS)] for i, label in enumerate(own)})
    resolutions = sorted({at for points in workspaces.values() for at in points})

    svg = Svg()
    device = next((row["device"] for row in rows), "")
    width = LEFT + 2 * PANEL[0] + GAP + 24
    title = arguments.title or (f"{layer[2]}x{layer[2]} convolution, {layer[0]} to {layer[1]} "
                                f"channels, {arguments.type}, {device}")
    svg.text(width / 2, 22, title, size=15)
    panel(svg, LEFT, "GPU time, ms", times, resolutions, colours, False)
    panel(svg, LEFT + PANEL[0] + GAP, "workspace, MiB", workspaces, resolutions, colours, True)
    y = TOP + PANEL[1] + BELOW + 12
    for i, label in enumerate(labels):
        x = LEFT + (i % 2) * (PANEL[0] + GAP)
        svg.curve([(x, y), (x + 26, y)], colours[label], label in ("best peer", "ncnn"))
        svg.text(x + 34, y + 4, label, anchor="start")
        y += 20 * (i % 2)
    with open(arguments.out, "w", encoding="utf-8") as out:
        out.write(svg.document(width, int(y) + 28))


if __name__ == "__main__":
    main()
