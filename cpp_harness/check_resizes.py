#!/usr/bin/env python3
"""Counts, with the layer of alloc_layer.cpp, what resizes ask the driver for.

    check_resizes.py --stress build/resize_stress --layers build/layers FIXTURE...

A delegate that was resized thousands of times must have made exactly the device allocations of one
that never was, must hold no more recordings than it keeps shapes, and must leave nothing behind.
The bits of every size are compared with those of a fresh delegate, in a run of their own.
"""
import argparse
import subprocess

from checking import require, require_balanced, run_checks, run_layered

# src/shell/delegate/loaded.rs keeps 16 shapes, and the next one is recorded before the oldest goes.
MAX_RECORDINGS = 17

def said_by(process):
    require(process.returncode == 0,
            f"{process.args}: status {process.returncode}\n{process.stderr[-3000:]}")
    return process.stdout.strip()


def sizes(seen):
    return [(memory["name"], memory["size_bytes"]) for memory in seen["memory"]]


def check(fixture, options, folder):
    stress = [options.stress, fixture]
    process, once = run_layered([*stress, 1, options.limit], options.layers, folder)
    said_by(process)
    process, seen = run_layered([*stress, options.count, options.limit], options.layers, folder)
    said = said_by(process)
    require(sizes(seen) == sizes(once), f"{fixture}: allocations changed with resizes:\n"
            f"{sizes(once)}\n{sizes(seen)}")
    require_balanced(seen, fixture)
    for kind in ("DescriptorPool", "CommandPool"):
        count = seen["objects"][kind]
        require(count["peak"] <= MAX_RECORDINGS < count["created"], f"{fixture}: {kind}: {count}")
    print(f"{fixture}: {said}; {len(sizes(seen))} device allocations, "
          f"{seen['peak_bytes'] / (1 << 20):.2f} MiB, as without", flush=True)
    command = map(str, [*stress, options.fresh_count, options.limit, "fresh"])
    said = said_by(subprocess.run(command, capture_output=True, text=True, check=False))
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

    def checks(folder):
        for fixture in options.fixtures:
            check(fixture, options, folder)
    run_checks(checks)


if __name__ == "__main__":
    main()
