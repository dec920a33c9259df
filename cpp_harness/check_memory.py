#!/usr/bin/env python3
"""Counts from outside, with the layer of alloc_layer.cpp, what a program asks the driver for.

For workspace budgets from 1 MiB to 1 GiB: the workspace memory (named "etvk workspace...") stays
within the budget, the output is the same to the bit and right, the report tells the truth, and
nothing lives at the end. (fault_test.cpp lets every call of the driver fail.)
"""
import argparse
import json
import os
import pathlib
import subprocess

from checking import require, require_balanced, run_checks, run_layered

WORKSPACE = "etvk workspace"
MIB = 1 << 20


class Bench:
    def __init__(self, runner, layers, case, folder):
        self.runner = str(pathlib.Path(runner).resolve())
        self.layers = layers
        self.case = pathlib.Path(case)
        self.folder = folder
        manifest = json.loads((self.case / "manifest.json").read_text())
        run = manifest["runs"][0]
        self.model = self.case / manifest["pte"]
        source = self.case / run["inputs"][0]["file"]
        self.expected = self.case / run["outputs"][0]["file"]
        self.command = [self.runner, str(self.model), "--input", str(source), "--repeat", "0",
                        "--json"]

    def run(self, arguments=(), environment=None):
        """The finished process and what the layer saw."""
        process, seen = run_layered([*self.command, *arguments], self.layers, self.folder,
                                    environment)
        require(process.returncode in (0, 1),
                f"status {process.returncode} of {arguments} {environment}\n{process.stderr[-3000:]}")
        return process, seen


def workspace_peak_bytes(seen):
    """The most that lived at one time of the memory that holds workspace."""
    changes = []
    for memory in seen["memory"]:
        names = [memory["name"]] + [buffer["name"] for buffer in memory["buffers"]]
        if any(name.startswith(WORKSPACE) for name in names):
            changes.append((memory["allocated_at"], memory["size_bytes"]))
            if memory["freed_at"] is not None:
                changes.append((memory["freed_at"], -memory["size_bytes"]))
    live = peak = 0
    for _, change in sorted(changes):
        live += change
        peak = max(peak, live)
    return peak


def check_budgets(bench):
    outputs = {}
    for budget in (1 * MIB, 4 * MIB, 16 * MIB, 1024 * MIB):
        output = bench.folder / f"out_{budget}.bin"
        process, seen = bench.run(["--option", f"workspace_bytes={budget}", "--output", str(output),
                                   "--expect", str(bench.expected)])
        when = f"budget {budget}"
        require(process.returncode == 0, f"{when}: {process.stdout}{process.stderr[-3000:]}")
        report = json.loads(process.stdout)["memory"]
        peak = workspace_peak_bytes(seen)
        require(peak > 0, f"{when}: no memory is named {WORKSPACE!r}")
        require(peak <= budget, f"{when}: {peak} bytes of workspace")
        require(report["workspace_bytes"] == peak,
                f"{when}: {report['workspace_bytes']} bytes reported, {peak} counted")
        require(report["driver_bytes"] <= seen["peak_bytes"],
                f"{when}: {report['driver_bytes']} bytes reported, {seen['peak_bytes']} counted")
        require_balanced(seen, when)
        outputs[budget] = output.read_bytes()
        print(f"budget {budget // MIB:5} MiB: workspace {peak / MIB:.2f} MiB, all device memory "
              f"{seen['peak_bytes'] / MIB:.2f} MiB in {seen['peak_allocations']} allocations",
              flush=True)
    require(len(set(outputs.values())) == 1, "the output depends on the budget")
    process, seen = bench.run(environment={"ETVK_WORKSPACE_BYTES": str(2 * MIB)})
    require(process.returncode == 0 and workspace_peak_bytes(seen) <= 2 * MIB,
            "ETVK_WORKSPACE_BYTES is not honoured")


def check_storages(bench):
    """Columns in a buffer and in images: the same bits within the same budgets."""
    outputs = set()
    for storage in ("buffer", "texture2d", "texture3d"):
        peaks = []
        for budget in (MIB // 4, 1 * MIB, 4 * MIB, 16 * MIB):
            output = bench.folder / "storage.bin"
            process, seen = bench.run(["--option", f"scratch_storage={storage}",
                                       "--option", "conv_algorithm=im2col",
                                       "--option", f"workspace_bytes={budget}",
                                       "--output", str(output), "--expect", str(bench.expected)])
            when = f"{storage}, budget {budget}"
            require(process.returncode == 0, f"{when}: {process.stdout}{process.stderr[-3000:]}")
            peak = workspace_peak_bytes(seen)
            require(0 < peak <= budget, f"{when}: {peak} bytes of workspace")
            require(f"columns in {storage} as asked" in process.stdout,
                    f"{when}: no convolution took it: {process.stdout}")
            require_balanced(seen, when)
            outputs.add(output.read_bytes())
            peaks.append(f"{peak / MIB:.2f}")
        print(f"{storage}: workspaces of {', '.join(peaks)} MiB", flush=True)
    require(len(outputs) == 1, "the output depends on what holds the columns")


def check_sharing(bench):
    """A program of several delegates: with share_workspace they have one workspace between them."""
    outputs, peaks = [], []
    for share in "01":
        output = bench.folder / f"out_shared_{share}.bin"
        environment = {"ETVK_SHARE_WORKSPACE": share, "ETVK_CONV_ALGORITHM": "im2col"}
        process, seen = bench.run(["--output", str(output)], environment)
        when = f"share_workspace={share}"
        require(process.returncode == 0, f"{when}: {process.stderr[-3000:]}")
        report = json.loads(process.stdout)
        require(len(report["delegates"]) > 1, "the program has one delegate")
        peaks.append(workspace_peak_bytes(seen))
        require(report["memory"]["workspace_bytes"] == peaks[-1],
                f"{when}: {report['memory']} reported, {peaks[-1]} bytes counted")
        needs = [conv["workspace_bytes"] for conv in report["convolutions"]]
        require_balanced(seen, when)
        outputs.append(output.read_bytes())
    require(peaks[1] == max(needs) < peaks[0], f"{peaks} bytes of workspace for {needs}")
    require(outputs[0] == outputs[1], "the output depends on share_workspace")
    for ordinal in range(1, 40):
        process, seen = bench.run(environment=dict(
            environment, ETVK_LAYER_FAIL=f"vkAllocateMemory:{ordinal}"))
        require_balanced(seen, f"sharing, allocation {ordinal} failing")
        if process.returncode == 0:
            break
    print(f"{len(needs)} delegates: workspace {peaks[0]} bytes, shared {peaks[1]}")


def check_limit(bench):
    """memory_limit_bytes is what the driver gives at most, and a byte less allocates nothing."""
    process, _ = bench.run()
    need = json.loads(process.stdout)["memory"]["driver_bytes"]
    process, seen = bench.run(["--option", f"memory_limit_bytes={need}"])
    require(process.returncode == 0, f"limit {need}: {process.stderr[-3000:]}")
    require(seen["peak_bytes"] <= need, f"limit {need}: {seen['peak_bytes']} bytes allocated")
    process, seen = bench.run(["--option", f"memory_limit_bytes={need - 1}"])
    require("OUT_OF_MEMORY" in process.stderr and f"{need} bytes" in process.stderr,
            f"limit {need - 1}: {process.stderr[-3000:]}")
    require(seen["peak_bytes"] == 0, f"limit {need - 1}: {seen['peak_bytes']} bytes allocated")
    require_balanced(seen, "limit")
    print(f"memory limit: {need} bytes are enough, a byte less is refused before allocating")


def check_wrong_options(bench):
    for arguments, environment in ((["--option", "workspace_bytes=many"], None),
                                   (["--option", "no_such_option=1"], None),
                                   ([], {"ETVK_WORKSPACE_BYTES": "-1"})):
        process = subprocess.run([bench.runner, str(bench.model), *arguments], check=False,
                                 env=dict(os.environ, **(environment or {})), capture_output=True,
                                 text=True)
        require(process.returncode == 1 and "INVALID_ARGUMENT" in process.stderr,
                f"{arguments} {environment}: {process.returncode}, {process.stderr[-1000:]}")
    print("wrong options are errors")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", help="program for the budgets: one whose convolutions are tiled")
    parser.add_argument("split_case", help="program of several delegates with convolutions")
    parser.add_argument("--runner", default="build/etvk_run")
    parser.add_argument("--layers", default="build/layers")
    arguments = parser.parse_args()

    def checks(folder):
        bench = Bench(arguments.runner, arguments.layers, arguments.case, folder)
        check_budgets(bench)
        check_storages(bench)
        check_limit(bench)
        check_wrong_options(bench)
        check_sharing(Bench(arguments.runner, arguments.layers, arguments.split_case, folder))
    run_checks(checks)


if __name__ == "__main__":
    main()
