#!/usr/bin/env python3
"""The wheel of etvk_executorch: the package's Python and the installed backend library.

A PEP 517 backend, and a program: build_wheel.py LIBRARY OUT_DIR. `make wheel` runs it on the
installed library, whose run path finds the runtime beside it in site-packages.
"""
import base64
import hashlib
import os
import pathlib
import re
import sys
import sysconfig
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NAME = "etvk_executorch"
LIBRARY = "libexecutorch_backend_etvk.so"


def version():
    """That of Cargo.toml, two folders up."""
    text = (HERE.parent.parent / "Cargo.toml").read_text()
    return re.search(r'^version = "([^"]+)"', text, re.MULTILINE).group(1)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    del config_settings, metadata_directory
    library = pathlib.Path(os.environ.get("ETVK_BACKEND", ""))
    if not library.is_file():
        raise SystemExit(f"ETVK_BACKEND must name the installed {LIBRARY}; `make wheel` does it")
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    # Any Python: the library has nothing of its ABI.
    tag = f"py3-none-{platform}"
    info = f"{NAME}-{version()}.dist-info"
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in sorted((HERE / NAME).glob("*.py"))}
    files[f"{NAME}/{LIBRARY}"] = library.read_bytes()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version()}\n"
        "Summary: Registers etvk as VulkanBackend with the stock ExecuTorch runtime\n"
        "License: BSD-3-Clause\nRequires-Python: >=3.8\nRequires-Dist: executorch\n").encode()
    files[f"{info}/LICENSE"] = (HERE.parent.parent / "LICENSE").read_bytes()
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: {NAME}\n"
                              f"Root-Is-Purelib: false\nTag: {tag}\n").encode()

    def line(path, data):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(data)}\n"
    record = f"{info}/RECORD"
    files[record] = ("".join(line(*item) for item in files.items()) + f"{record},,\n").encode()
    name = f"{NAME}-{version()}-{tag}.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            # A fixed time: the same files make the same wheel.
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    return name


if __name__ == "__main__":
    os.environ["ETVK_BACKEND"] = sys.argv[1]
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    print(out / build_wheel(out))
