#!/usr/bin/env python3
"""Loads the backend into Python beside the stock runtime.

Always: libexecutorch.so of the wheel and the backend through ctypes; the backend is registered,
and registering it again does no harm. Where torch and executorch are installed, also takes the
wheel of etvk_executorch: one import registers the backend, and a case gives what its manifest says
through both of the stock Python bindings.
"""
import argparse
import ctypes
import importlib.util
import json
import pathlib
import shutil
import sys
import zipfile

# executorch::runtime::get_backend_class(char const*)
GET_BACKEND_CLASS = "_ZN10executorch7runtime17get_backend_classEPKc"


def check_registration(executorch, backend_path):
    runtime = ctypes.CDLL(str(executorch / "lib" / "libexecutorch.so"), mode=ctypes.RTLD_GLOBAL)
    get_backend_class = getattr(runtime, GET_BACKEND_CLASS)
    get_backend_class.restype = ctypes.c_void_p
    get_backend_class.argtypes = [ctypes.c_char_p]
    assert get_backend_class(b"VulkanBackend") is None, "registered before it was loaded"
    backend = ctypes.CDLL(str(backend_path))
    instance = get_backend_class(b"VulkanBackend")
    assert instance is not None, "the library did not register VulkanBackend"
    backend.etvk_register_backend.restype = ctypes.c_uint32
    assert backend.etvk_register_backend() == 0
    assert get_backend_class(b"VulkanBackend") == instance
    assert backend.etvk_backend_delegate_count() == 0
    backend.etvk_version.restype = ctypes.c_char_p
    print(f"etvk {backend.etvk_version().decode()} is registered as VulkanBackend")


def check_case(wheel, case, folder):
    import torch
    from executorch.extension.pybindings.portable_lib import _load_for_executorch
    from executorch.runtime import Runtime

    # A wheel is installed by unpacking it; --target of pip would do no more.
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    sys.path.insert(0, str(folder))
    assert "VulkanBackend" not in Runtime.get().backend_registry.registered_backend_names
    import etvk_executorch
    assert "VulkanBackend" in Runtime.get().backend_registry.registered_backend_names
    assert etvk_executorch.LIBRARY.startswith(str(folder))
    print(f"etvk_executorch {etvk_executorch.__version__} of {wheel.name} is registered")

    manifest = json.loads((case / "manifest.json").read_text())
    path = str(case / manifest["pte"])
    module = _load_for_executorch(path)
    method = Runtime.get().load_program(path).load_method("forward")

    def read(entry):
        data = bytearray((case / entry["file"]).read_bytes())
        return torch.frombuffer(data, dtype=getattr(torch, entry["dtype"])).reshape(entry["shape"])
    for run in manifest["runs"]:
        inputs = tuple(read(entry) for entry in run["inputs"])
        for outputs in (module.run_method("forward", inputs), method.execute(inputs)):
            for got, entry in zip(outputs, run["outputs"]):
                want = read(entry)
                off = (got - want).abs()
                assert (off <= entry["atol"] + entry["rtol"] * want.abs()).all(), float(off.max())
                print(f"{case.name} from Python: largest difference {float(off.max()):.3g}")
    reports = etvk_executorch.reports()
    assert len(reports) == 2 and all(report["device"]["name"] for report in reports)
    assert etvk_executorch.last_error() == ""


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=pathlib.Path)
    parser.add_argument("--executorch", type=pathlib.Path, required=True)
    parser.add_argument("--backend", type=pathlib.Path, required=True)
    parser.add_argument("--wheel", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    backend = arguments.backend.resolve()
    missing = [name for name in ("torch", "executorch") if importlib.util.find_spec(name) is None]
    if missing:
        check_registration(arguments.executorch, backend)
        print(f"skipped the wheel and the stock bindings: {' and '.join(missing)} not installed")
    else:
        check_case(arguments.wheel.resolve(), arguments.case, arguments.work.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
