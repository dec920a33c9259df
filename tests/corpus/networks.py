#!/usr/bin/env python3
"""Runs whole networks of torchvision, timm and transformers, random weights, fp32 and fp16.

    networks.py --runner build/etvk_run                 all of them, results into networks.jsonl
    networks.py --runner build/etvk_run --only swin     those whose names contain this
    networks.py --table                                 the table in README.md from networks.jsonl

Each network has a process of its own with a limit of time and of memory. A result replaces the
older one of the same network and type, so that a run of a few renews a few. --keep FOLDER keeps
the programs that are not right as case folders.
"""

import argparse
import collections
import datetime
import json
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import sys
import tempfile
import time

import stock
from verdict import EXPORTER, FAULTS, RIGHT, Verdict, run_case

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "networks.jsonl"
TYPES = ("fp32", "fp16")
PACKAGES = ("torch", "executorch", "torchao", "torchvision", "timm", "transformers")


def zoo():
    import zoo_own  # noqa: F401  each registers its networks
    import zoo_sequence  # noqa: F401
    import zoo_vision  # noqa: F401
    from zoo import NETS

    return NETS


def versions():
    from importlib import metadata

    return {name: metadata.version(name).partition("+")[0] for name in PACKAGES}


def folder_name(name, dtype):
    return "net_" + re.sub(r"[^a-z0-9]+", "_", name.lower()) + "__" + dtype


def make_and_run(name, dtype, folder, arguments):
    """In the process of one network: the result as a dictionary."""
    import torch

    net = zoo()[name]
    torch.manual_seed(sum(map(ord, name)))
    torch.set_num_threads(1)
    result = {"name": name, "family": net.family, "source": net.source, "dtype": dtype}
    try:
        from zoo import awaken

        module, inputs = net.make()
        module = awaken(module, inputs)
        if dtype == "fp16":
            inputs = tuple(x.half().float() if x.is_floating_point() else x for x in inputs)
        options = {"force_fp16": True} if dtype == "fp16" else {}
        program = stock.Program(folder_name(name, dtype), module, inputs, "network", name, options)
        result["parameters"] = sum(p.numel() for p in module.parameters())
        result["inputs"] = [list(x.shape) for x in inputs]
        start = time.monotonic()
        manifest = stock.write_case(folder, program)
        result["export_s"] = round(time.monotonic() - start, 1)
        result["delegates"] = manifest["delegates"]
        result["cpu_ops"] = manifest["cpu_ops"]
        result["constants_folded"] = manifest.get("constants_folded", False)
        verdict = run_case(folder, arguments.runner, arguments.run_timeout)
    except stock.NothingDelegated as error:
        verdict = Verdict(EXPORTER, f"nothing delegated: {error}")
    except Exception as error:  # whatever torch and the partitioner raise
        verdict = Verdict(EXPORTER, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    result |= {
        "verdict": verdict.word,
        "why": verdict.why[:500],
        "run_s": round(verdict.seconds, 2),
    }
    return result


def child(name, dtypes, work, arguments):
    """What the process of one network does: a line into `results` for each type."""
    size = arguments.memory_gib << 30
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(work / "messages", "w") as messages:
        os.dup2(messages.fileno(), 1)
        os.dup2(messages.fileno(), 2)
    for dtype in dtypes:
        result = make_and_run(name, dtype, work / folder_name(name, dtype), arguments)
        with open(work / "results", "a") as results:
            results.write(json.dumps(result) + "\n")


def in_a_process(name, dtypes, work, arguments):
    """The results of one network, also where its process dies.

    A fork, since importing torch and all that takes longer than most networks.
    """
    process = multiprocessing.get_context("fork").Process(
        target=child, args=(name, dtypes, work, arguments)
    )
    process.start()
    process.join(arguments.timeout)
    why = f"the export ended with status {process.exitcode}"
    if process.exitcode is None:
        why = f"no end within {arguments.timeout:g} s"
        process.kill()
        process.join()
    lines = work / "results"
    found = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else []
    for dtype in dtypes[len(found) :]:
        net = zoo()[name]
        found.append({"name": name, "family": net.family, "source": net.source, "dtype": dtype})
        found[-1] |= {"verdict": EXPORTER, "why": why}
    return found


def read_results():
    results = collections.OrderedDict()
    if RESULTS.is_file():
        for line in RESULTS.read_text().splitlines():
            result = json.loads(line)
            results[result["name"], result["dtype"]] = result
    return results


def write_results(results):
    order = {name: at for at, name in enumerate(zoo())}
    lines = [r for r in results.values() if r["name"] in order]
    lines.sort(key=lambda r: (order[r["name"]], TYPES.index(r["dtype"])))
    RESULTS.write_text("".join(json.dumps(r) + "\n" for r in lines))


def wanted(results, arguments):
    """The networks to run and their types; families in turn, for runs that are cut short."""
    seen = collections.Counter()
    places = {}
    for name, net in zoo().items():
        places[name] = (seen[net.family], len(places))
        seen[net.family] += 1
    for name in sorted(places, key=places.get):
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        dtypes = []
        for dtype in arguments.type or TYPES:
            known = results.get((name, dtype))
            if not (arguments.missing and known and known["verdict"] not in arguments.again):
                dtypes.append(dtype)
        if dtypes:
            yield name, dtypes


def run_all(arguments):
    stock.prepare()
    results = read_results()
    stamp = {"date": datetime.date.today().isoformat(), "versions": versions()}
    stamp["device"] = arguments.device
    faults = 0
    for name, dtypes in wanted(results, arguments):
        with tempfile.TemporaryDirectory(prefix="etvk_networks_") as work:
            work = pathlib.Path(work)
            for result in in_a_process(name, dtypes, work, arguments):
                results[name, result["dtype"]] = result | stamp
                faults += keep_fault(result, work, arguments)
                text = f"{result['dtype']}: {result['verdict']} {result['why'][:200]}"
                print(f"{name} {text}", flush=True)
        write_results(results)
    return 1 if faults else 0


def keep_fault(result, work, arguments):
    """Whether it is a fault; its program is kept where that was asked."""
    if result["verdict"] not in FAULTS:
        return False
    folder = work / folder_name(result["name"], result["dtype"])
    if arguments.keep and folder.is_dir():
        kept = pathlib.Path(arguments.keep) / result["verdict"] / folder.name
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept)
        (kept / "verdict.txt").write_text(f"{result['verdict']}: {result['why']}\n")
    return True


def cell(result):
    if result is None:
        return ""
    word = result["verdict"]
    if word == RIGHT:
        return RIGHT
    why = re.sub(r"^\w+: |Error::\w+: |ETVK_STATUS_", "", result["why"])
    why = why.replace("|", "/")
    return f"{word}: {why[:110]}{'...' if len(why) > 110 else ''}"


def table(results):
    """One row a network, then the sums."""
    nets = collections.OrderedDict()
    counts = {dtype: collections.Counter() for dtype in TYPES}
    for (name, dtype), result in results.items():
        nets.setdefault(name, {})[dtype] = result
        counts[dtype][result["verdict"]] += 1
    lines = ["| network | family | of | input | delegates | left to the CPU | fp32 | fp16 |"]
    lines += ["|--|--|--|--|--|--|--|--|"]
    for name, row in sorted(nets.items(), key=lambda item: next(iter(item[1].values()))["family"]):
        one = next(iter(row.values()))
        shapes = ", ".join("x".join(map(str, shape)) for shape in one.get("inputs", []))
        left = sorted(one.get("cpu_ops", {}), key=lambda op: -one["cpu_ops"][op])
        left = [re.sub(r"^aten\.|\.default$", "", op) for op in left]
        text = ", ".join(left[:4]) + (f" and {len(left) - 4} more" if len(left) > 4 else "")
        cells = [name, one["family"], one["source"], shapes, str(one.get("delegates", "")), text]
        cells += [cell(row.get(dtype)) for dtype in TYPES]
        lines.append("| " + " | ".join(cells) + " |")
    sums = []
    for dtype in TYPES:
        sums.append(", ".join(f"{n} {word}" for word, n in counts[dtype].most_common()))
    families = len({r["family"] for r in results.values()})
    newest = max(results.values(), key=lambda r: r["date"])
    oldest = min(r["date"] for r in results.values())
    dates = newest["date"] if oldest == newest["date"] else f"{oldest} to {newest['date']}"
    packages = ", ".join(f"{name} {number}" for name, number in newest["versions"].items())
    head = (
        f"{len(nets)} networks of {families} families on {newest['device']}, {dates}; {packages}.\n"
        f"fp32: {sums[0]}. fp16: {sums[1]}.\n"
    )
    return head + "\n" + "\n".join(lines) + "\n"


def write_table():
    path, (start, end) = HERE / "README.md", ("<!-- networks -->\n", "<!-- /networks -->")
    text = path.read_text()
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(before + start + table(read_results()) + end + after)
    print(f"wrote the table into {path}")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runner", type=pathlib.Path, default="build/etvk_run")
    parser.add_argument("--only", action="append", help="names that contain this; may be repeated")
    parser.add_argument("--type", choices=TYPES, action="append", help="only of this type")
    parser.add_argument("--missing", action="store_true", help="only what has no result yet")
    parser.add_argument(
        "--again",
        action="append",
        default=[],
        metavar="VERDICT",
        help="with --missing: also what had this verdict",
    )
    parser.add_argument("--keep", metavar="FOLDER", help="keep what is not right, as cases")
    parser.add_argument("--timeout", type=float, default=900, help="seconds of one network")
    parser.add_argument("--run-timeout", type=float, default=240, help="seconds of its run")
    parser.add_argument("--memory-gib", type=int, default=12, help="of one process")
    parser.add_argument("--device", default="lavapipe", help="named in the table")
    parser.add_argument("--table", action="store_true", help="write the table into README.md")
    parser.add_argument("--list", action="store_true", help="name the networks")
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.table:
        write_table()
        return 0
    if not (arguments.list or arguments.runner.is_file()):
        sys.exit(f"{arguments.runner}: no such runner; make build makes it")
    stock.require(PACKAGES)
    if arguments.list:
        for net in zoo().values():
            print(f"{net.name}: {net.family}, {net.source}")
        return 0
    return run_all(arguments)


if __name__ == "__main__":
    sys.exit(main())
