#!/usr/bin/env python3
"""Loads the backend library into Python beside the stock runtime.

Always: libexecutorch.so of the wheel and the backend through ctypes; the backend is registered,
and registering it again does no harm. Where torch and executorch are installed, also runs a case
through the stock Python bindings and compares with the manifest.
"""
import argparse
import ctypes
import importlib.util
import json
import pathlib
import sys

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


def check_case(backend_path, case):
    import torch
    from executorch.extension.pybindings.portable_lib import _load_for_executorch

    ctypes.CDLL(str(backend_path), mode=ctypes.RTLD_GLOBAL)
    manifest = json.loads((case / "manifest.json").read_text())
    module = _load_for_executorch(str(case / manifest["pte"]))
    for run in manifest["runs"]:
        def read(entry):
            data = bytearray((case / entry["file"]).read_bytes())
            return torch.frombuffer(data, dtype=getattr(torch, entry["dtype"])).reshape(
                entry["shape"])
        outputs = module.run_method("forward", tuple(read(entry) for entry in run["inputs"]))
        for got, entry in zip(outputs, run["outputs"]):
            want = read(entry)
            off = (got - want).abs()
            assert (off <= entry["atol"] + entry["rtol"] * want.abs()).all(), float(off.max())
            print(f"{case.name} from Python: largest difference {float(off.max()):.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=pathlib.Path)
    parser.add_argument("--executorch", type=pathlib.Path, required=True)
    parser.add_argument("--backend", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    backend = arguments.backend.resolve()
    missing = [name for name in ("torch", "executorch") if importlib.util.find_spec(name) is None]
    if missing:
        check_registration(arguments.executorch, backend)
        print(f"skipped the run through the stock bindings: {' and '.join(missing)} not installed")
    else:
        check_case(backend, arguments.case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
