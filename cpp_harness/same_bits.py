#!/usr/bin/env python3
"""Compares what two builds of etvk compute, byte for byte.

    same_bits.py --before OLD/etvk_run --after build/etvk_run FOLDER...

Every case of the folders runs through both backends, each time in a process of its own: all runs of
its manifest in their order, all outputs. Before and after are the backend libraries beside the two
runners. The runner of --after drives both, so that an old build need not know how to dump.
Prints a table of the programs that differ and a closing line; exits with 1 where one differs, or
where nothing was compared.
"""
import argparse
import json
import pathlib
import struct
import sys
import tempfile

from run_cases import Runner, find_cases

BACKEND = "libexecutorch_backend_etvk.so"
FORMATS = {"float16": "e", "float32": "f", "float64": "d", "int8": "b", "uint8": "B",
           "int16": "h", "int32": "i", "int64": "q", "bool": "B"}


class Side:
    """One of the two builds. Its outputs lie under `dumps`."""

    def __init__(self, driver, backend, dumps, arguments):
        flags = ["--backend", str(backend), "--dump", str(dumps)]
        for option in arguments.option:
            flags += ["--option", option]
        self.dumps = dumps
        self.runner = Runner(driver, arguments.timeout, flags=flags)

    def run(self, name, folder):
        """How the case ended, and the runner's last line where it did not run."""
        (_, verdict, lines), *more = list(self.runner.run({name: folder}))
        if more:
            verdict, lines = "FAIL", more[0][2]
        return verdict, lines

    def outputs(self, name):
        """The bytes of every output, by file name."""
        return {path.name: path.read_bytes() for path in sorted((self.dumps / name).glob("*.bin"))}


def output_types(folder):
    """Element types by the name under which the runner dumps an output."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {f"run{r}_out{o}.bin": output["dtype"]
            for r, run in enumerate(manifest["runs"]) for o, output in enumerate(run["outputs"])}


def elements(data, dtype):
    code = FORMATS[dtype]
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


def describe(before, after, dtype):
    """How two outputs that differ do so."""
    if len(before) != len(after):
        return f"{len(before)} bytes before, {len(after)} after"
    size = struct.calcsize(FORMATS[dtype])
    olds, news = elements(before, dtype), elements(after, dtype)
    # Bytes and not values: NaN equals no NaN, and 0 equals -0.
    off = [i for i in range(len(olds))
           if before[i * size:(i + 1) * size] != after[i * size:(i + 1) * size]]
    worst = max(off, key=lambda i: distance(olds[i], news[i]))
    return (f"{len(off)} of {len(olds)} elements; farthest [{worst}] {olds[worst]:.9g} -> "
            f"{news[worst]:.9g}")


def distance(old, new):
    """NaN is as far from a number as can be."""
    off = abs(old - new)
    return off if off == off else float("inf")


def compare(name, folder, before, after):
    """(number of outputs compared, lines of the table)."""
    (old_verdict, _), (new_verdict, new_lines) = before.run(name, folder), after.run(name, folder)
    rows = []
    if old_verdict != new_verdict:
        rows.append((name, "-", f"{old_verdict} before, {new_verdict} after: {new_lines[-1:]}"))
    old, new = before.outputs(name), after.outputs(name)
    types = output_types(folder)
    for output in sorted(old.keys() | new.keys()):
        if output not in old or output not in new:
            rows.append((name, output, f"only {'before' if output in old else 'after'}"))
        elif old[output] != new[output]:
            rows.append((name, output, describe(old[output], new[output], types[output])))
    if old_verdict == new_verdict == "PASS" and len(old) != len(types):
        rows.append((name, "-", f"{len(old)} outputs dumped, the manifest has {len(types)}"))
    return len(old.keys() & new.keys()), rows


def backend_beside(runner):
    path = pathlib.Path(runner).resolve().parent / BACKEND
    if not path.is_file():
        sys.exit(f"no {path}")
    return path


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, output, what in rows:
        print(f"{name:{widths[0]}}  {output:{widths[1]}}  {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=["tests/models"],
                        help="folders of cases, or cases (tests/models)")
    parser.add_argument("--before", required=True, help="etvk_run beside the old backend")
    parser.add_argument("--after", default="build/etvk_run", help="etvk_run beside the new one")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE",
                        help="option of the backend, for both")
    parser.add_argument("--only", default="", help="compare the cases whose names contain this")
    parser.add_argument("--timeout", type=float, default=600, help="seconds per case")
    arguments = parser.parse_args()

    cases = {n: f for n, f in find_cases(arguments.folders).items() if arguments.only in n}
    driver = pathlib.Path(arguments.after).resolve()
    compared, refused, rows = 0, 0, []
    with tempfile.TemporaryDirectory() as work:
        before, after = (Side(driver, backend_beside(runner), pathlib.Path(work) / side, arguments)
                         for runner, side in ((arguments.before, "before"),
                                              (arguments.after, "after")))
        for name, folder in cases.items():
            count, differing = compare(name, folder, before, after)
            compared += count
            refused += not count and not differing
            rows += differing
            print(f"{'DIFF' if differing else 'same' if count else 'not run'} {name}", flush=True)
    options = " ".join(arguments.option) or "no options"
    if rows:
        print("\nPrograms that differ:")
        print_table(rows)
    print(f"{len(cases)} programs, {compared} outputs compared ({options}): "
          f"{len({row[0] for row in rows})} programs differ, {refused} ran in neither")
    return 1 if rows or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
