#!/usr/bin/env python3
"""Checks the files for profilers that etvk_run writes of a case.

    check_trace.py --runner build/etvk_run --work DIR CASE

The trace: what Perfetto asks of Chrome's format, every run, every dispatch with its operator. The
ETDump: there, and without events of the delegate when profiling is off. Where ExecuTorch's devtools
are installed, its Inspector reads it: every event bears the id of a node, as the exporter's debug
map wants it, or is a copy at the edges.
"""
import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys

RUNS = 3


def run(runner, model, *flags):
    subprocess.run([runner, model, "--repeat", str(RUNS - 1), *flags], check=True,
                   stdout=subprocess.DEVNULL)


def check_trace(path):
    """Returns the operators by node."""
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    slices = [event for event in events if event["ph"] == "X"]
    assert len(names) == 2 and len(names) + len(slices) == len(events)
    host, gpu = ([s for s in slices if names[s["tid"]].startswith(name)]
                 for name in ("host", "delegate 0, GPU "))
    assert len(host) == RUNS and [s["name"] for s in host] == ["execute"] * RUNS
    assert gpu and len(gpu) % RUNS == 0 and len(host) + len(gpu) == len(slices)
    for index, whole in enumerate(host):
        inside = gpu[index * len(gpu) // RUNS:(index + 1) * len(gpu) // RUNS]
        now = whole["ts"]
        for event in inside:
            assert event["dur"] >= 0 and abs(event["ts"] - now) < 0.01, event
            now = event["ts"] + event["dur"]
        assert now <= whole["ts"] + whole["dur"], "the GPU worked longer than the run took"
    nodes = {}
    for event in gpu:
        if event["args"]["node"] is None:
            assert event["name"] == event["args"]["kernel"]
        else:
            assert nodes.setdefault(event["args"]["node"], event["name"]) == event["name"]
    assert any("conv" in name for name in nodes.values()), nodes
    print(f"trace: {len(gpu) // RUNS} dispatches of {len(nodes)} nodes in {RUNS} runs")
    return nodes


def check_etdump(path, nodes):
    from executorch.devtools import Inspector
    inspector = Inspector(etdump_path=str(path), delegate_metadata_parser=lambda items: {
        "text": [bytes(item).decode() for item in items]})
    events = [event for block in inspector.event_blocks for event in block.events
              if event.is_delegated_op]
    found = {}
    for event in events:
        assert len(event.perf_data.raw) == RUNS and all(ms >= 0 for ms in event.perf_data.raw)
        if isinstance(event.delegate_debug_identifier, int):
            texts = event.delegate_debug_metadatas["text"]
            found[event.delegate_debug_identifier] = texts[0].split()[0]
    assert found == nodes, (found, nodes)
    print(f"ETDump: the Inspector reads {len(events)} events of {len(found)} nodes")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=pathlib.Path)
    parser.add_argument("--runner", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    runner = arguments.runner.resolve()
    model = arguments.case / json.loads((arguments.case / "manifest.json").read_text())["pte"]
    on, off, trace = work / "on.etdp", work / "off.etdp", work / "trace.json"
    run(runner, model, "--trace", trace, "--etdump", on)
    run(runner, model, "--etdump", off, "--option", "profile=0")
    nodes = check_trace(trace)
    for path in (on, off):
        assert path.read_bytes()[8:12] == b"ED00", f"{path} is no ETDump"
    assert on.stat().st_size > off.stat().st_size, "profiling off logs as much as on"
    missing = [name for name in ("torch", "executorch") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped the Inspector: {' and '.join(missing)} not installed")
    else:
        check_etdump(on, nodes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
