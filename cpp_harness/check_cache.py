#!/usr/bin/env python3
"""The option pipeline_cache, a process per load: what is written and when, that caches which are cut
off, damaged or foreign are told in the log, never obeyed, and replaced, and that nothing else is ever
touched. Results are compared with what is expected in every run. The allocation layer sees that
nothing leaks."""
import argparse
import os
import pathlib
import resource
import stat
import subprocess

from check_memory import Bench
from checking import require, require_balanced, run_checks


class Cached:
    def __init__(self, runner, layers, case, folder, path):
        self.bench = Bench(runner, layers, case, folder)
        self.path = path

    def load(self, path=None, environment=None, file_limit_bytes=None):
        """What the library logged."""
        path = path or self.path
        arguments = ["--option", f"pipeline_cache={path}", "--expect", str(self.bench.expected)]
        environment = dict(environment or {}, ETVK_LOG="warn")
        if file_limit_bytes is None:
            process, seen = self.bench.run(arguments, environment)
            require_balanced(seen, f"{path}")
        else:
            # Without the layer, whose report is a file.
            process = subprocess.run(
                [*self.bench.command, *arguments], env=dict(os.environ, **environment), check=False,
                capture_output=True, text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_bytes,) * 2))
        require(process.returncode == 0,
                f"{path}: {process.returncode} {process.stdout[-500:]}{process.stderr[-2000:]}")
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
    yield "cut to its half", good[:len(good) // 2]
    yield "one byte short", good[:-1]
    yield "one byte long", good + b"\0"
    yield "a bit of the header", good[:20] + bytes([good[20] ^ 1]) + good[21:]
    yield "a bit of the data", good[:-3] + bytes([good[-3] ^ 16]) + good[-2:]
    yield "another version", good[:6] + b"9" + good[7:]


def check_damage(small, path):
    good = path.read_bytes()
    path.chmod(0o640)
    for count, (what, content) in enumerate(damaged(good), 2):
        path.write_bytes(content)
        require("ignored" in small.load(), f"{what}: nothing was logged")
        require(small.load() == "", f"{what}: the file was not replaced")
    with open(path, "r+b") as file:
        file.truncate((64 << 20) + 1)
    require("too large" in small.load() and small.load() == "", "a file that is too large")
    require(path.stat().st_mode & 0o7777 == 0o640, f"the mode became {path.stat().st_mode:o}")
    print(f"{count} caches that are of no use: ignored, told, replaced, their mode kept")


def foreign(folder, good):
    """Makes what is no cache of ours; a name, what says that it is still the same, and the reason."""
    for name, content in (("empty", b""), ("zeros", bytes(len(good))), ("text", b"my notes\n" * 100),
                          ("driver", good[64:])):
        path = folder / name
        path.write_bytes(content)
        yield path, path.read_bytes, "no pipeline cache"
    path = folder / "pipe"
    os.mkfifo(path)
    yield path, path.is_fifo, "no regular file"
    path = folder / "link"
    path.symlink_to(folder / "cache")
    yield path, lambda: os.readlink(path), "symbolic link"
    path = folder / "dangling"
    path.symlink_to(folder / "none")
    yield path, lambda: os.readlink(path), "symbolic link"
    for name in ("/dev/null", "/proc/version"):
        path = pathlib.Path(name)
        yield path, lambda path=path: (stat.S_IFMT(path.stat().st_mode), path.stat().st_rdev), ""


def check_foreign(small, folder):
    good = (folder / "cache").read_bytes()
    for count, (path, state, why) in enumerate(foreign(folder, good), 1):
        before = state()
        said = small.load(path)
        require("not written" in said and why in said, f"{path}: {said!r}")
        require(state() == before, f"{path} was changed")
        if path.parent == folder:
            path.unlink()
    require((folder / "cache").read_bytes() == good, "the cache behind a link was changed")
    print(f"{count} things that are no caches: told and left alone")


def check_places(small, folder):
    for place, what in ((folder / "none" / "cache", "a folder that is not there"),
                        (folder, "a folder")):
        require("not written" in small.load(place), f"{what}: nothing was logged")
    require(not (folder / "none").exists() and folder.is_dir(), "a folder was made or lost")
    path = folder / "limited"
    said = small.load(path, file_limit_bytes=64)
    require("limit of a file's size" in said and not path.exists(), f"a limit of files: {said!r}")
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
        check_foreign(small, folder)
        check_places(small, folder)
        check_driver(small)
        left = [entry.name for entry in folder.iterdir()]
        require(left == ["cache"], f"files are left: {left}")
    run_checks(checks)


if __name__ == "__main__":
    main()
