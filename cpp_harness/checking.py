"""What the check_*.py share: failures, and runs of programs under the layer of alloc_layer.cpp."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# The instance outlives the last delegate (src/shell/vk/instance.rs says why); it holds no device memory.
STAYS = ("Instance", "DebugUtilsMessengerEXT")


class Failure(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failure(message)


def run_layered(command, layers, folder, environment=None):
    """The finished process, and what the layer saw."""
    report = pathlib.Path(folder) / "layer.json"
    report.unlink(missing_ok=True)
    # The layer folder is added to the system's, not put in its place.
    variables = dict(os.environ, VK_ADD_LAYER_PATH=str(pathlib.Path(layers).resolve()),
                     VK_INSTANCE_LAYERS="VK_LAYER_ETVK_allocations",
                     ETVK_LAYER_REPORT=str(report), **(environment or {}))
    process = subprocess.run(list(map(str, command)), env=variables, capture_output=True, text=True,
                             check=False)
    require(report.is_file(), f"the layer was not loaded\n{process.stderr[-3000:]}")
    return process, json.loads(report.read_text())


def require_balanced(seen, what):
    """Nothing of a device lives at the end."""
    require(seen["live_bytes"] == 0, f"{what}: {seen['live_bytes']} bytes live at the end")
    for kind, count in seen["objects"].items():
        require(kind in STAYS or count["created"] == count["destroyed"], f"{what}: {kind}: {count}")


def run_checks(checks):
    """Does the checks in a temporary folder; ends the process when one fails."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            checks(pathlib.Path(folder))
        except Failure as failure:
            print(f"FAILED {failure}")
            sys.exit(1)
