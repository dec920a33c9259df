#!/usr/bin/env python3
"""Tests what the corpus makes of a runner's output. Needs neither torch nor a GPU."""

import json
import pathlib
import sys
import tempfile

from verdict import CRASHED, HUNG, REFUSED, RIGHT, RUNTIME, UNDECIDED, WRONG, judge, run_case

OUTPUT = {"half_finite": True}
PLAIN = {"name": "a", "runs": [{"outputs": [OUTPUT]}]}
MUST_FAIL = PLAIN | {"must_fail": True}
OVERFLOWN = {"name": "a", "runs": [{"outputs": [OUTPUT, {"half_finite": False}]}]}
PASSED = "PASS a run 0: largest difference 0, 1.0 ms\nDONE a PASS\n"
OFF = "FAIL a run 0: largest difference 1, 1.0 ms; output 0 [0] got nan\nDONE a FAIL\n"
SHAPE = "FAIL a: shape [1, 2], expected [2, 1]\nDONE a FAIL\n"
LOAD = "FAIL a: load: Error::NotSupported: ETVK_STATUS_UNSUPPORTED: node 1\nDONE a FAIL\n"
REFUSAL = "REFUSED a: load: Error::OperatorMissing: ETVK_STATUS_UNKNOWN_OPERATOR\nDONE a REFUSED\n"
RUN = "FAIL a: execute: Error::InvalidArgument: 3 arguments\nDONE a FAIL\n"
KERNEL = "FAIL a: load: Error::OperatorMissing\nDONE a FAIL\n"
MISSING = "E 00:00 executorch:method.cpp:600] Missing operator: [3] aten::sort.values\n"

ROWS = (
    (PLAIN, 0, PASSED, "", RIGHT),
    (PLAIN, 1, OFF, "", WRONG),
    (PLAIN, 1, SHAPE, "", WRONG),
    (OVERFLOWN, 1, OFF, "", UNDECIDED),
    (OVERFLOWN, 0, PASSED, "", RIGHT),
    (PLAIN, 1, LOAD, "", REFUSED),
    (PLAIN, 1, REFUSAL, "", REFUSED),
    (PLAIN, 1, RUN, "", REFUSED),
    (PLAIN, 1, KERNEL, MISSING, RUNTIME),
    (PLAIN, 1, LOAD, MISSING, REFUSED),
    (PLAIN, -11, "", "", CRASHED),
    (PLAIN, -11, PASSED, "", CRASHED),  # at its end
    (PLAIN, 1, "", "cannot open", CRASHED),
    (PLAIN, 3, PASSED, "", CRASHED),
    (MUST_FAIL, 1, RUN, "", RIGHT),
    (MUST_FAIL, 1, REFUSAL, "", RIGHT),
    (MUST_FAIL, 0, PASSED, "", WRONG),
    (MUST_FAIL, 1, OFF, "", WRONG),
)


def run_of(script):
    """The verdict on a runner that is this shell script."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "manifest.json").write_text(json.dumps(PLAIN))
        runner = folder / "runner"
        runner.write_text("#!/bin/sh\n" + script)
        runner.chmod(0o755)
        return run_case(folder, runner, timeout_s=0.5).word


def main():
    failed = 0
    for at, (manifest, status, output, errors, want) in enumerate(ROWS):
        got = judge(manifest, status, output, errors).word
        if got != want:
            failed += 1
            print(f"row {at}: {got}, expected {want}: status {status}, {output!r}")
    for script, want in (("sleep 5", HUNG), ("kill -11 $$", CRASHED), ("echo DONE a PASS", RIGHT)):
        got = run_of(script)
        if got != want:
            failed += 1
            print(f"{script}: {got}, expected {want}")
    print(f"{len(ROWS) + 3 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
