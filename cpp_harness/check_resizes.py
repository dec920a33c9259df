#!/usr/bin/env python3
"""Counts, with the layer of alloc_layer.cpp, what resizes ask the driver for.

    check_resizes.py --stress build/resize_stress --layers build/layers FIXTURE...

A delegate that was resized thousands of times must have made exactly the device allocations of one
that never was, must hold no more recordings than it keeps shapes, and must leave nothing behind.
The bits of every size are compared with those of a fresh delegate, in a run of their own.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# src/shell/delegate.rs keeps 16 shapes, and the next one is recorded before the oldest goes.
MAX_RECORDINGS = 17
# The instance outlives the last delegate (src/shell/vk/instance.rs says why); it holds no device memory.
STAYS = ("Instance", "DebugUtilsMessengerEXT")


class Failure(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failure(message)


def run(arguments, environment=None):
    process = subprocess.run(list(map(str, arguments)), env=dict(os.environ, **(environment or {})),
                             capture_output=True, text=True, check=False)
    require(process.returncode == 0,
            f"{arguments}: status {process.returncode}\n{process.stderr[-3000:]}")
    return process.stdout.strip()


def counted(arguments, layers, folder):
    """What the program says, and what the layer saw."""
    report = pathlib.Path(folder) / "layer.json"
    report.unlink(missing_ok=True)
    said = run(arguments, {"VK_ADD_LAYER_PATH": str(pathlib.Path(layers).resolve()),
                           "VK_INSTANCE_LAYERS": "VK_LAYER_ETVK_allocations",
                           "ETVK_LAYER_REPORT": str(report)})
    require(report.is_file(), "the layer was not loaded")
    return said, json.loads(report.read_text())


def sizes(seen):
    return [(memory["name"], memory["size_bytes"]) for memory in seen["memory"]]


def check(fixture, options, folder):
    stress = [options.stress, fixture]
    _, once = counted([*stress, 1, options.limit], options.layers, folder)
    said, seen = counted([*stress, options.count, options.limit], options.layers, folder)
    require(sizes(seen) == sizes(once), f"{fixture}: allocations changed with resizes:\n"
            f"{sizes(once)}\n{sizes(seen)}")
    require(seen["live_bytes"] == 0, f"{fixture}: {seen['live_bytes']} bytes live at the end")
    for kind, count in seen["objects"].items():
        require(kind in STAYS or count["created"] == count["destroyed"],
                f"{fixture}: {kind}: {count}")
    for kind in ("DescriptorPool", "CommandPool"):
        count = seen["objects"][kind]
        require(count["peak"] <= MAX_RECORDINGS < count["created"], f"{fixture}: {kind}: {count}")
    print(f"{fixture}: {said}; {len(sizes(seen))} device allocations, "
          f"{seen['peak_bytes'] / (1 << 20):.2f} MiB, as without", flush=True)
    said = run([*stress, options.fresh_count, options.limit, "fresh"])
    print(f"{fixture}: {said}, bits as from fresh delegates", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", nargs="+")
    parser.add_argument("--stress", default="build/resize_stress")
    parser.add_argument("--layers", default="build/layers")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--fresh-count", type=int, default=150)
    parser.add_argument("--limit", type=int, default=32, help="largest height and width")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for fixture in options.fixtures:
                check(fixture, options, folder)
        except Failure as failure:
            print(f"FAILED {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
