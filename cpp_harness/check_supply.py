#!/usr/bin/env python3
"""Checks what the library is made of, with nothing but cargo: every dependency's licence is one
that deny.toml allows, none wants a newer Rust than Cargo.toml states, and compiling the shaders a
second time, in another folder, gives the same SPIR-V."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True,
                          cwd=ROOT).stdout


def satisfied(expression, allowed):
    """Whether an SPDX expression can be met: identifiers become truth values."""
    words = re.findall(r"[()]|[A-Za-z0-9.+-]+", expression.replace("/", " OR "))
    text, skip = [], False
    for word in words:
        if skip:  # the name of an exception, which only permits more
            skip = False
        elif word == "WITH":
            skip = True
        else:
            text.append(word.lower() if word in ("AND", "OR") else
                        word if word in "()" else str(word in allowed))
    return eval(" ".join(text), {"__builtins__": {}})  # nothing but True, False, and, or, ( )


def check_packages():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
    exceptions = {entry["crate"]: entry["allow"] for entry in rules["exceptions"]}
    number = lambda text: tuple(int(part) for part in text.split(".")[:2])
    stated = next(p["rust_version"] for p in packages if p["name"] == "etvk")
    wrong = []
    for package in packages:
        allowed = rules["allow"] + exceptions.get(package["name"], [])
        if not package["license"] or not satisfied(package["license"], allowed):
            wrong.append(f"{package['name']}: licence {package['license']}")
        if package["rust_version"] and number(package["rust_version"]) > number(stated):
            wrong.append(f"{package['name']} wants Rust {package['rust_version']}")
    assert not wrong, "; ".join(wrong)
    print(f"{len(packages)} packages: licences allowed, all build with Rust {stated}")


def check_shaders(work):
    """The build script run by hand, beside what it made for cargo."""
    made = program = None
    for line in cargo("build", "--release", "--lib", "--message-format=json").splitlines():
        message = json.loads(line)
        if not re.search(r"[/#]etvk[#@]", message.get("package_id", "")):
            continue
        if message["reason"] == "build-script-executed":
            made = pathlib.Path(message["out_dir"])
        elif "custom-build" in message.get("target", {}).get("kind", ()):
            program = message["filenames"][0]
    assert made and program, "cargo does not tell of the build script"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([program], check=True, cwd=ROOT, env={"OUT_DIR": str(work)},
                   stdout=subprocess.DEVNULL)
    names = sorted(path.name for path in work.glob("*.spv"))
    assert len(names) > 20, "the shaders are not where they were"
    changed = [name for name in names + ["shaders.rs"]
               if (made / name).read_bytes() != (work / name).read_bytes()]
    assert not changed, f"compiled twice, different: {changed}"
    print(f"{len(names)} shaders compiled twice: identical SPIR-V")


if __name__ == "__main__":
    check_packages()
    check_shaders(pathlib.Path(sys.argv[1]))
