#!/usr/bin/env python3
"""Checks an installed tree as its users see it.

    check_install.py PREFIX --header etvk.h --symbols symbols.txt --executorch DIR --work DIR CASE

The tree is moved first, so that nothing can depend on where it was installed. Then: the exported
functions are exactly those of symbols.txt and of the header; the two example hosts build against
the tree and give what the case expects.
"""
import argparse
import array
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE / "examples"
LISTED = ["include/etvk.h", "include/etvk_executorch.h", "lib/libetvk.a",
          "lib/libexecutorch_backend_etvk.so", "lib/cmake/etvk/etvk-config.cmake",
          "lib/cmake/etvk/etvk-config-version.cmake", "lib/pkgconfig/etvk.pc",
          "share/licenses/etvk/LICENSE"]


def exported(*command):
    """Names of the global symbols that nm says are defined."""
    lines = subprocess.run(["nm", "--defined-only", "-g", *command], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    return sorted(line.split()[2] for line in lines if len(line.split()) == 3)


def check_symbols(prefix, header, symbols):
    text = header.read_text()
    declared = sorted(set(re.findall(r"^[a-z][\w *]*?\b(etvk_\w+)\(", text, re.MULTILINE)))
    abi = int(re.search(r"^#define ETVK_ABI_VERSION (\d+)", text, re.MULTILINE).group(1))
    library = prefix / "lib" / "libexecutorch_backend_etvk.so"
    # The linker names the version script's anonymous version nowhere: names are plain.
    shared = exported("-D", library)
    only_shared = sorted(set(shared) - set(declared))
    names = declared + only_shared
    lines = symbols.read_text().splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    want = [f"abi {abi}"] + names
    if os.environ.get("ETVK_BLESS") == "1":
        comments = [line for line in lines if line.startswith("#")]
        symbols.write_text("\n".join(comments + want) + "\n")
        listed = want
    hint = f"{symbols.name} is not what the header says (ETVK_BLESS=1 rewrites it): "
    assert listed == want, hint + ", ".join(sorted(set(listed) ^ set(want)))
    assert all(name.startswith("etvk_") for name in only_shared), only_shared
    missing = sorted(set(declared) - set(shared))
    assert not missing, f"the backend library does not export {missing}"
    static = exported(prefix / "lib" / "libetvk.a")
    assert static == declared, f"libetvk.a exports {sorted(set(static) ^ set(declared))} too or not"
    print(f"ABI {abi}: {len(declared)} functions, and {len(only_shared)} of the adapter; no others")


def differs(got, case, entry):
    """Why the bytes are not what the manifest's entry wants; None when they are."""
    want = array.array("f", (case / entry["file"]).read_bytes())
    have = array.array("f", got)
    if len(want) != len(have):
        return f"{len(have)} elements instead of {len(want)}"
    for index, (a, b) in enumerate(zip(have, want)):
        if not abs(a - b) <= entry["atol"] + entry["rtol"] * abs(b):
            return f"element {index} is {a}, expected {b}"
    return None


def run_host(command, case, run, out):
    out.unlink(missing_ok=True)
    done = subprocess.run([*command, case / run["inputs"][0]["file"], out], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    wrong = differs(out.read_bytes(), case, run["outputs"][0])
    assert wrong is None, f"{command[0]}: {wrong}"
    print(f"{command[0].parent.parent.name}: {done.stdout.strip()}, as expected")


def build(*command, **environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", type=pathlib.Path)
    parser.add_argument("case", type=pathlib.Path)
    parser.add_argument("--header", type=pathlib.Path, required=True)
    parser.add_argument("--symbols", type=pathlib.Path, required=True)
    parser.add_argument("--executorch", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # Moved, and under a name with a space.
    prefix = work / "moved tree"
    shutil.copytree(arguments.prefix, prefix)
    found = sorted(str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir())
    assert found == sorted(LISTED), f"installed: {found}"
    old = str(arguments.prefix.resolve()).encode()
    for path in LISTED:
        assert old not in (prefix / path).read_bytes(), f"{path} names where it was installed"
    check_symbols(prefix, arguments.header, arguments.symbols)

    manifest = json.loads((arguments.case / "manifest.json").read_text())
    run = manifest["runs"][0]
    folder = work / "cmake_executorch"
    packages = f"{prefix};{arguments.executorch.resolve() / 'share' / 'cmake'}"
    build("cmake", "-S", EXAMPLES / "cmake_executorch", "-B", folder / "build",
          f"-DCMAKE_PREFIX_PATH={packages}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
    build("cmake", "--build", folder / "build")
    run_host([folder / "build" / "host", arguments.case / manifest["pte"]], arguments.case, run,
             work / "cmake.out")

    folder = work / "c_pkg_config"
    shutil.copytree(EXAMPLES / "c_pkg_config", folder / "build")
    build("make", "-C", folder / "build", PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig"),
          CFLAGS="-O1 -Wall -Wextra -Werror -Wpedantic")
    build(sys.executable, HERE / "extract_blob.py", arguments.case, work / "parts")
    run_host([folder / "build" / "host", work / "parts"], arguments.case, run, work / "c.out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
