#!/usr/bin/env python3
"""Runs programs of dynamic shape under memory_limit_bytes: exactly what a refusal says is needed lets
every size run, one byte less lets nothing load.

    check_limit.py --runner RUNNER CASE...
"""
import argparse
import os
import re
import subprocess
import sys


def run(runner, case, limit_bytes):
    """Exit status and output of all runs of a case."""
    environment = dict(os.environ, ETVK_MEMORY_LIMIT_BYTES=str(limit_bytes))
    done = subprocess.run([runner, "--case", case], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runner", required=True)
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    for case in args.cases:
        _, refusal = run(args.runner, case, 1)
        found = re.search(r"(\d+) bytes of device memory are needed", refusal)
        if not found:
            sys.exit(f"{case}: a limit of 1 byte is not refused with the need:\n{refusal}")
        need = int(found.group(1))
        status, output = run(args.runner, case, need)
        if status != 0:
            sys.exit(f"{case}: {need} bytes do not suffice:\n{output}")
        status, output = run(args.runner, case, need - 1)
        if status == 0 or f"{need} bytes of device memory are needed" not in output:
            sys.exit(f"{case}: {need - 1} bytes should not suffice:\n{output}")
        print(f"{case}: {need} bytes suffice for every size, a byte less does not load")


if __name__ == "__main__":
    main()
