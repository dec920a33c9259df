#!/usr/bin/env python3
"""Looks for stock programs that etvk gets wrong.

Random programs are exported with ExecuTorch's own Vulkan partitioner, run with etvk_run and
compared with eager PyTorch. Every program has a seed of its own, SEED/NUMBER, which makes it again:

    find.py --runner build/etvk_run --seconds 3600 --keep found
    find.py --kind sequence --only 20261128/17 --keep found

What was kept is a case folder that `etvk_run --case` takes. The exit status is 1 when one is
refused, wrong, crashed or hung.
"""

import argparse
import collections
import contextlib
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

import stock
from verdict import EXPORTER, RIGHT, RUNTIME, WRONG, Verdict, run_case


class TookTooLong(Exception):
    pass


@contextlib.contextmanager
def at_most(seconds):
    def ring(_signal, _frame):
        raise TookTooLong(f"no end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(program, folder, arguments):
    """Exports and runs one program."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with at_most(arguments.export_timeout):
            manifest = stock.write_case(folder, program)
    except stock.NothingDelegated as error:
        return Verdict(EXPORTER, f"nothing delegated: {error}")
    except Exception as error:  # whatever torch raises
        text = " ".join(str(error).split())
        return Verdict(EXPORTER, f"{type(error).__name__}: {text[:300]}")
    if program.must_fail and manifest["cpu_ops"]:
        return Verdict(EXPORTER, "left to the CPU, which holds 64 bits")
    return run_case(folder, arguments.runner, arguments.timeout)


def smaller(program, verdict, folder, arguments):
    """The same fault with fewer steps, where there is one: (program, verdict)."""
    if program.pool is None:
        return program, verdict

    def still(pool):
        module, inputs = pool.network()
        if not inputs:
            return None
        smaller = stock.Program(
            program.name, module, inputs, program.kind, pool.text(), program.options, pool=pool
        )
        found = attempt(smaller, folder, arguments)
        return (smaller, found) if found.word == verdict.word else None

    for pool in program.pool.smaller():
        found = still(pool)
        if found:
            program, verdict = found
            break
    for at in range(len(program.pool.steps) - 2, -1, -1):
        pool = program.pool
        if pool.steps[at].role != "operator" or at in pool.outputs:
            continue
        found = still(pool.cut(at))
        if found:
            program, verdict = found
    return program, verdict


def keep(program, verdict, folder, arguments):
    kept = pathlib.Path(arguments.keep) / verdict.word / program.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    attempt(program, folder, arguments)
    shutil.copytree(folder, kept)
    (kept / "verdict.txt").write_text(f"{verdict.word}: {verdict.why}\n\n{program.note}\n")
    return kept


def what(program):
    """The last operator, or the note without its numbers."""
    lines = program.note.splitlines()
    text = lines[-2].partition(" = ")[2] if program.pool else lines[0].partition(":")[0]
    return re.sub(r"[-+\d.,\[\]()e]{2,}|\d", "", text)[:60].strip()


class Search:
    def __init__(self, arguments):
        self.arguments = arguments
        self.counts = collections.Counter()
        self.causes = collections.OrderedDict()

    def one(self, name, seed_text, work):
        import kinds

        program = kinds.make(name, seed_text)
        folder = work / program.name
        start = time.monotonic()
        verdict = attempt(program, folder, self.arguments)
        seconds = time.monotonic() - start
        self.counts[verdict.word] += 1
        if verdict.word != RIGHT or self.arguments.verbose:
            print(
                f"{name} {seed_text}: {verdict.word} ({seconds:.1f} s) {verdict.why[:300]}",
                flush=True,
            )
        if verdict.word in (EXPORTER, RUNTIME):
            self.causes.setdefault(verdict.cause(), []).append(f"{name} {seed_text}")
        elif verdict.is_fault():
            self.fault(program, verdict, folder, f"{name} {seed_text}")
        shutil.rmtree(folder, ignore_errors=True)

    def fault(self, program, verdict, folder, label):
        cause = verdict.cause()
        if verdict.word == WRONG and program.pool is None:
            cause = f"{WRONG}: {program.kind}, {what(program)}"
        known = cause in self.causes
        if self.arguments.keep and len(self.causes.get(cause, [])) < self.arguments.keep_most:
            if not self.arguments.no_shrink:
                program, verdict = smaller(program, verdict, folder, self.arguments)
            kept = keep(program, verdict, folder, self.arguments)
            print(f"  kept as {kept}\n  " + program.note.replace("\n", "\n  "), flush=True)
        elif not known:
            print("  " + program.note.replace("\n", "\n  "), flush=True)
        if verdict.word == WRONG:  # numbers tell nothing: what it was that went wrong does
            cause = f"{WRONG}: {program.kind}, {what(program)}"
        self.causes.setdefault(cause, []).append(label)

    def summary(self):
        print("\ncauses, the most frequent first:")
        for cause, labels in sorted(self.causes.items(), key=lambda item: -len(item[1])):
            print(f"  {len(labels):4}  {cause}\n        {', '.join(labels[:4])}")
        print(", ".join(f"{count} {word}" for word, count in sorted(self.counts.items())))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runner", default="build/etvk_run")
    parser.add_argument("--seed", default=str(int(time.time())), help="printed; default: the time")
    parser.add_argument("--only", metavar="SEED/NUMBER", help="one program, of the one --kind")
    parser.add_argument("--kind", action="append", help="of these kinds only; may be repeated")
    parser.add_argument("--count", type=int, default=10**9, help="how many programs")
    parser.add_argument("--seconds", type=float, default=600, help="for how long")
    parser.add_argument("--keep", metavar="FOLDER", help="keep programs with faults, as cases")
    parser.add_argument("--keep-most", type=int, default=3, help="of one cause (3)")
    parser.add_argument("--no-shrink", action="store_true", help="keep them as they were drawn")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of one run")
    parser.add_argument("--export-timeout", type=float, default=180, help="seconds of one export")
    parser.add_argument("--verbose", action="store_true", help="also name what is right")
    return parser.parse_args()


def main():
    arguments = parse()
    if not pathlib.Path(arguments.runner).is_file():
        sys.exit(f"{arguments.runner}: no such runner; make build makes it")
    stock.require()
    import kinds
    import kinds_special  # noqa: F401  registers its kinds
    from draw import Draw

    unknown = set(arguments.kind or ()) - set(kinds.KINDS)
    if unknown:
        sys.exit(f"no kind {', '.join(unknown)}; there are {', '.join(kinds.KINDS)}")
    names = arguments.kind or list(kinds.KINDS)
    search = Search(arguments)
    with tempfile.TemporaryDirectory(prefix="etvk_corpus_") as work:
        work = pathlib.Path(work)
        if arguments.only:
            search.one(names[0], arguments.only, work)
        else:
            print(f"seed {arguments.seed}, kinds {' '.join(names)}", flush=True)
            chooser = Draw(arguments.seed)
            weights = [kinds.WEIGHTS.get(name, 3) for name in names]
            end = time.monotonic() + arguments.seconds
            for number in range(arguments.count):
                if time.monotonic() > end:
                    break
                name = chooser.choices(names, weights)[0]
                search.one(name, f"{arguments.seed}/{number}", work)
    search.summary()
    return (
        1 if any(cause.split(":")[0] not in (EXPORTER, RUNTIME) for cause in search.causes) else 0
    )


if __name__ == "__main__":
    sys.exit(main())
