#!/usr/bin/env python3
"""Runs stock cases through etvk_run and compares them with their manifests.

Many cases share one process, and so its device and pipelines; when a process dies, the case that
it was at has failed and the rest go on in a new one. Cases that the refusals file lists have to be
refused: one that runs after all is an error, so the list cannot go stale. With --validation the
Khronos layer checks core and synchronization rules, and one message fails the case it came from.
The last line is "N passed, N failed, N skipped"; skipped are the refusals that were expected.
"""
import argparse
import collections
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading


def find_cases(folders):
    cases = collections.OrderedDict()
    for folder in map(pathlib.Path, folders):
        candidates = [folder] if (folder / "manifest.json").is_file() else sorted(folder.iterdir())
        for case in candidates:
            if (case / "manifest.json").is_file():
                cases[case.name] = case
    return cases


def read_refusals(path):
    """Case names, one a line; what follows a # is the reason."""
    names = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            names[name.strip()] = reason.strip()
    return names


class ValidationLog:
    """The Khronos layer's messages, read from outside of the process under test."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "messages.txt"
        self.settings = pathlib.Path(folder) / "vk_layer_settings.txt"
        # Both spellings of synchronization validation: releases differ.
        self.settings.write_text(
            "khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT\n"
            "khronos_validation.validate_sync = true\n"
            "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n"
            "khronos_validation.report_flags = error,warn\n"
            f"khronos_validation.log_filename = {self.path}\n")
        self.seen = 0

    def environment(self):
        # Above the caller's own layers: it checks what those report.
        layers = [layer for layer in os.environ.get("VK_INSTANCE_LAYERS", "").split(":") if layer]
        layers.insert(0, "VK_LAYER_KHRONOS_validation")
        return {"VK_INSTANCE_LAYERS": ":".join(layers), "ETVK_VALIDATION": "1",
                "VK_LAYER_SETTINGS_PATH": str(self.settings)}

    def new_messages(self):
        text = self.path.read_text(errors="replace") if self.path.is_file() else ""
        new, self.seen = text[self.seen:], len(text)
        return new.strip()


class Runner:
    """Runs cases; `flags` are further ones of etvk_run."""

    def __init__(self, executable, timeout_s, log=None, flags=()):
        self.executable = executable
        self.timeout_s = timeout_s
        self.log = log
        self.flags = list(flags)

    def run(self, cases):
        """Yields (name, verdict, lines) for every case."""
        waiting = collections.OrderedDict(cases)
        while waiting:
            yield from self.one_process(waiting)

    def one_process(self, waiting):
        command = [str(self.executable)] + self.flags
        for folder in waiting.values():
            command += ["--case", str(folder)]
        environment = dict(os.environ, **(self.log.environment() if self.log else {}))
        # Messages of the runtime and of the backend, for the case that fails.
        with tempfile.TemporaryFile(mode="w+") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                       env=environment)
            lines = queue.Queue()
            threading.Thread(target=pump, args=(process.stdout, lines), daemon=True).start()
            collected = []
            ended = None
            while True:
                try:
                    line = lines.get(timeout=self.timeout_s)
                except queue.Empty:
                    process.kill()
                    ended = f"no progress for {self.timeout_s} s"
                    break
                if line is None:
                    break
                if line.startswith("DONE "):
                    _, name, verdict = line.split()
                    del waiting[name]
                    messages = self.log.new_messages() if self.log else ""
                    if messages:
                        verdict = "FAIL"
                        collected.append(f"validation: {messages}")
                    yield name, verdict, collected
                    collected = []
                else:
                    collected.append(line)
            status = process.wait()
            messages = self.log.new_messages() if self.log else ""
            if waiting:
                name = next(iter(waiting))
                del waiting[name]
                errors.seek(0)
                tail = errors.read()[-2000:]
                collected.append(f"{ended or f'the process ended with status {status}'}\n{tail}")
                yield name, "FAIL", collected + ([messages] if messages else [])
            elif status not in (0, 1):
                yield "(end of process)", "FAIL", [f"the process ended with status {status}"]
            elif messages:
                yield "(end of process)", "FAIL", [f"validation: {messages}"]


def pump(stream, lines):
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="folders of cases, or cases")
    parser.add_argument("--runner", default="build/etvk_run")
    parser.add_argument("--refusals", help="file of the cases that have to be refused")
    parser.add_argument("--failures", help="file of the cases that are known to go wrong")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--only", default="", help="run the cases whose names contain this")
    parser.add_argument("--timeout", type=float, default=600, help="seconds per case")
    parser.add_argument("--list-refusals", action="store_true",
                        help="print every refused case as a line for the refusals file")
    arguments = parser.parse_args()

    cases = find_cases(arguments.folders)
    cases = collections.OrderedDict((n, f) for n, f in cases.items() if arguments.only in n)
    refusals = read_refusals(arguments.refusals) if arguments.refusals else {}
    failures = read_refusals(arguments.failures) if arguments.failures else {}
    if not cases:
        print("no cases found")
        return 1
    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory() as folder:
        log = ValidationLog(folder) if arguments.validation else None
        runner = Runner(pathlib.Path(arguments.runner).resolve(), arguments.timeout, log)
        for name, verdict, lines in runner.run(cases):
            listed = name in refusals
            if verdict == "REFUSED" and listed:
                skipped += 1
                print(f"skip {name}: refused as listed ({refusals[name]})")
            elif verdict != "PASS" and name in failures:
                skipped += 1
                print(f"skip {name}: goes wrong as listed ({failures[name]})")
            elif verdict == "PASS" and not listed and name not in failures:
                passed += 1
                print("\n".join(lines))
            else:
                failed += 1
                print("\n".join(lines))
                why = ("runs, but is in a list of those that do not" if verdict == "PASS"
                       else "refused, but not in the list" if verdict == "REFUSED" else "failed")
                print(f"FAILED {name}: {why}")
            if arguments.list_refusals and verdict == "REFUSED":
                reason = lines[-1].partition("ETVK_STATUS_")[2]
                print(f"LIST {name}  # {reason}")
            sys.stdout.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
