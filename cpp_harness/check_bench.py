#!/usr/bin/env python3
"""Checks the benchmark as a program: one file alone in an empty folder, its JSON lines, the ratios to
made-up peers, the geometric means, a wrong expectation, and the plot. Times are not judged."""
import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import xml.dom.minidom

from checking import require, run_checks

LAYERS = ("op_small_conv3x3_64__fp32", "op_small_conv1x1_c130__fp32")


def run(folder, *arguments):
    """Status, JSON lines, and what was printed."""
    path = folder / "lines.jsonl"
    path.unlink(missing_ok=True)
    process = subprocess.run([folder / "etvk_bench", *map(str, arguments), "--json",
                              path, "--repeat", "3", "--warm", "0"], text=True,
                             capture_output=True, check=False)
    text = process.stdout + process.stderr[-2000:]
    lines = path.read_text().splitlines() if path.is_file() else []
    lines = [json.loads(line) for line in lines]
    return process.returncode, lines, text


def check_rows(folder, cases):
    peers = {name: {"best_ms": 0.5 * (i + 1), "etvk_e2e_ms": 2.0, "ncnn_workspace_mib": 3.5}
             for i, name in enumerate(LAYERS)}
    (folder / "peers.json").write_text(json.dumps(peers))
    budgets = (65536, 1 << 20)
    status, lines, text = run(folder, *cases, "--peers", folder / "peers.json", "--budget",
                              budgets[0], "--budget", budgets[1])
    require(status == 0, f"status {status}\n{text}")
    require(len(lines) == 6 and "summary" in lines[2] and "summary" in lines[5], f"{lines}")
    for budget, start in zip(budgets, (0, 3)):
        ratios = []
        for row in lines[start:start + 2]:
            require(row["within"] and row["workspace_bytes"] <= budget, f"{row}")
            require(row["largest_error"] < 1e-3 * row["error_scale"], f"{row}")
            edges = [d["gpu_us"] for d in row["dispatches"] if d["edge"]]
            inner = [d["gpu_us"] for d in row["dispatches"] if not d["edge"]]
            # A copy from the host's layout, the convolution, a copy back.
            require(len(edges) == 2 and inner, f"{row['dispatches']}")
            require(0 < row["gpu_inner_ms"] < row["gpu_ms"], f"{row}")
            best = peers[row["case"]]["best_ms"]
            ratios.append(row["gpu_inner_ms"] / best)
            require(math.isclose(row["peer"]["gpu_ratio"], ratios[-1], rel_tol=1e-6), f"{row}")
            require(row["peer"]["workspace_bytes"] == 3.5 * (1 << 20), f"{row}")
        mean = lines[start + 2]["summary"]["fp32"]["layers_over_best_peer"]
        require(mean["count"] == 2, f"{mean}")
        require(math.isclose(mean["mean"], math.sqrt(ratios[0] * ratios[1]), rel_tol=1e-6), f"{mean}")
    print(f"{len(lines)} JSON lines, ratios and means as they should be")


def check_wrong(folder, case):
    wrong = folder / "wrong__fp32"
    shutil.copytree(case, wrong)
    name = json.loads((wrong / "manifest.json").read_text())["runs"][0]["outputs"][0]["file"]
    (wrong / name).write_bytes(bytes(len((wrong / name).read_bytes())))
    status, lines, text = run(folder, wrong, folder / "etvk_bench_missing", "--only", "wrong")
    require(status == 1 and not lines, f"a missing folder: status {status}\n{text}")
    status, lines, text = run(folder, wrong)
    require(status == 1 and not lines[0]["within"] and lines[1]["summary"]["failed"] == 1,
            f"a wrong output: status {status}\n{text}")
    (wrong / "model.pte").write_bytes(b"no program")
    status, lines, text = run(folder, wrong)
    require(status == 1 and lines[0]["error"] and lines[1]["summary"]["failed"] == 1,
            f"a broken program: status {status}\n{text}")
    print("wrong outputs, broken programs and missing folders fail")


def check_plot(folder, case, plot):
    run(folder, case)
    out = folder / "plot.svg"
    subprocess.run([sys.executable, plot, out, folder / "lines.jsonl", "--layer", "64x32x3"],
                   check=True)
    texts = [node.firstChild.data for node in
             xml.dom.minidom.parse(str(out)).getElementsByTagName("text")]
    require("etvk budget 16 MiB" in texts and "workspace, MiB" in texts, f"{texts}")
    print(f"a plot of {len(texts)} words")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--plot", required=True)
    parser.add_argument("models", help="the folder that has the cases")
    arguments = parser.parse_args()
    cases = [pathlib.Path(arguments.models).resolve() / name for name in LAYERS]

    def checks(folder):
        shutil.copy(arguments.bench, folder / "etvk_bench")
        os.chmod(folder / "etvk_bench", 0o755)
        check_rows(folder, cases)
        check_wrong(folder, cases[0])
        check_plot(folder, cases[0], arguments.plot)
    run_checks(checks)


if __name__ == "__main__":
    main()
