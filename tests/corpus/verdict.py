"""Runs a case folder with etvk_run in a process of its own and says what came of it."""

import dataclasses
import json
import pathlib
import re
import resource
import signal
import subprocess
import time

RIGHT = "right"
REFUSED = "refused"  # by the delegate, at the load or at a run, with an error
WRONG = "wrong"
CRASHED = "crashed"
HUNG = "hung"
UNDECIDED = "undecided"  # PyTorch's own half is not finite there
RUNTIME = "runtime"  # the stock runtime itself cannot run it: a CPU operator is missing
EXPORTER = "exporter"  # there is no program: torch or the partitioner failed
FAULTS = (REFUSED, WRONG, CRASHED, HUNG)


@dataclasses.dataclass
class Verdict:
    word: str
    why: str = ""
    seconds: float = 0.0

    def is_fault(self):
        return self.word in FAULTS

    def cause(self):
        """The reason without what differs from program to program."""
        text = re.sub(r"0x[0-9a-f]+|[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", self.why)
        text = re.sub(r"\[[#, ]*\]", "[#]", text)
        return f"{self.word}: {text[:160]}"


def _limits(memory_bytes):
    def apply():
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return apply


def run_case(folder, runner, timeout_s=300, memory_bytes=12 << 30):
    """Never raises for what the program under test does."""
    folder = pathlib.Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    start = time.monotonic()
    try:
        done = subprocess.run(
            [str(runner), "--case", str(folder)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            preexec_fn=_limits(memory_bytes),
        )
        verdict = judge(manifest, done.returncode, done.stdout, done.stderr)
    except subprocess.TimeoutExpired:
        verdict = Verdict(HUNG, f"no end within {timeout_s:g} s")
    verdict.seconds = time.monotonic() - start
    return verdict


def judge(manifest, status, output, errors):
    """What the runner's output means for this manifest."""
    lines = output.splitlines()
    done = [line.split()[-1] for line in lines if line.startswith("DONE ")]
    reasons = [line for line in lines if line.startswith(("FAIL ", "REFUSED "))]
    reason = (
        reasons[-1].partition(" ")[2].removeprefix(manifest["name"]).lstrip(": ") if reasons else ""
    )
    if status < 0 or not done:
        ended = signal.Signals(-status).name if status < 0 else f"status {status}"
        tail = " | ".join(errors.strip().splitlines()[-3:])
        return Verdict(CRASHED, f"{ended}: {tail}")
    if status not in (0, 1):
        return Verdict(CRASHED, f"all ran, but the process ended with status {status}")
    if manifest.get("must_fail"):
        return _judge_error(done[0], reason)
    if done[0] == "PASS":
        return Verdict(RIGHT)
    if re.match(r"(load|method meta|set inputs|execute)\b", reason):
        if "ETVK_STATUS" not in reason and "Delegate" not in reason:
            missing = re.findall(r"Missing operator: \[\d+\] (\S+)", errors)
            kernel = re.findall(r"KernelCall failed.*|Check failed.*", errors)
            if missing or kernel:
                return Verdict(RUNTIME, ", ".join(sorted(set(missing))) or kernel[-1])
        return Verdict(REFUSED, reason)
    if any(not o.get("half_finite", True) for r in manifest["runs"] for o in r["outputs"]):
        return Verdict(UNDECIDED, reason)
    return Verdict(WRONG, reason or "no reason was printed")


def _judge_error(done, reason):
    if done == "FAIL" and reason.startswith(("execute", "set inputs")):
        return Verdict(RIGHT, reason)
    if done == "REFUSED":
        return Verdict(RIGHT, reason)
    return Verdict(WRONG, f"had to be an error of the call, but: {reason or 'it ran'}")
