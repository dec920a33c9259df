#!/usr/bin/env python3
"""The option pipeline_cache, a process per load: what is written and when, and that files which are
cut off, damaged, foreign or no files are told in the log, never obeyed, and replaced. Results are
compared with what is expected in every run. The allocation layer sees that nothing leaks."""
import argparse
import os

from check_memory import Bench
from checking import require, require_balanced, run_checks


class Cached:
    def __init__(self, runner, layers, case, folder, path):
        self.bench = Bench(runner, layers, case, folder)
        self.path = path

    def load(self, path=None, environment=None):
        """What the library logged."""
        path = path or self.path
        process, seen = self.bench.run(
            ["--option", f"pipeline_cache={path}", "--expect", str(self.bench.expected)],
            dict(environment or {}, ETVK_LOG="warn"))
        require(process.returncode == 0, f"{path}: {process.stdout[-500:]}{process.stderr[-2000:]}")
        require_balanced(seen, f"{path}")
        return "\n".join(line for line in process.stderr.splitlines() if "pipeline cache" in line)


def stamp(path):
    """Another file after every replacement."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def check_writes(small, large, path):
    require(small.load() == "" and path.is_file(), "the first load writes no file")
    first = stamp(path)
    require(small.load() == "" and stamp(path) == first, "a load that makes nothing new writes")
    require(large.load() == "" and stamp(path) != first, "a load that makes more does not write")
    second = stamp(path)
    require(second[2] > first[2], f"{first} to {second}: what the file had is lost")
    for program in (small, large):
        require(program.load() == "" and stamp(path) == second, "a load that makes nothing new writes")
    print(f"written when there is something new: {first[2]}, then {second[2]} bytes")


def damaged(good):
    yield "empty", b""
    yield "cut to its half", good[:len(good) // 2]
    yield "one byte short", good[:-1]
    yield "one byte long", good + b"\0"
    yield "a bit of the header", good[:20] + bytes([good[20] ^ 1]) + good[21:]
    yield "a bit of the data", good[:-3] + bytes([good[-3] ^ 16]) + good[-2:]
    yield "zeros", bytes(len(good))
    yield "text", b"not a cache\n" * 100
    yield "the driver's own bytes alone", good[64:]


def check_damage(small, path):
    good = path.read_bytes()
    count = 0
    for what, content in damaged(good):
        path.write_bytes(content)
        require("ignored" in small.load(), f"{what}: nothing was logged")
        require(small.load() == "", f"{what}: the file was not replaced")
        count += 1
    with open(path, "wb") as file:
        file.truncate((64 << 20) + 1)
    require("too large" in small.load() and small.load() == "", "a file that is too large")
    path.unlink()
    os.mkfifo(path)
    require("no regular file" in small.load() and path.is_file(), "a pipe was not replaced")
    print(f"{count + 2} files that are of no use: ignored, told, replaced")


def check_places(small, folder):
    for place, what in ((folder / "none" / "cache", "a folder that is not there"),
                        (folder, "a folder")):
        require("not written" in small.load(place), f"{what}: nothing was logged")
    require(not (folder / "none").exists() and folder.is_dir(), "a folder was made or lost")
    print("where nothing can be written the log tells, and programs run")


def check_driver(small):
    """The device makes the first cache, the file's bytes the second."""
    message = small.load(environment={"ETVK_LAYER_FAIL": "vkCreatePipelineCache:2"})
    require("ignored" in message, f"a cache that the driver refuses: {message!r}")
    print("a cache that the driver refuses is ignored")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", help="a case")
    parser.add_argument("large", help="a case with pipelines that the other has not")
    parser.add_argument("--runner", default="build/etvk_run")
    parser.add_argument("--layers", default="build/layers")
    arguments = parser.parse_args()

    def checks(work):
        folder = work / "caches"
        folder.mkdir()
        path = folder / "cache"
        small, large = (Cached(arguments.runner, arguments.layers, case, work, path)
                        for case in (arguments.small, arguments.large))
        check_writes(small, large, path)
        check_damage(small, path)
        check_places(small, folder)
        check_driver(small)
        left = [entry.name for entry in folder.iterdir()]
        require(left == ["cache"], f"files are left: {left}")
    run_checks(checks)


if __name__ == "__main__":
    main()
