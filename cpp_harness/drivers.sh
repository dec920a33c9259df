#!/usr/bin/env bash
# Other Vulkan drivers that execute on the CPU, from Debian's packages, beside what is installed:
# x86-64, Debian 12 or 13 or what has their archive key. tests/drivers.md says what they showed.
#   drivers.sh fetch FOLDER                           unpacks them under FOLDER, once
#   drivers.sh run FOLDER DRIVER PROGRAM [ARGUMENT]... runs PROGRAM on one of them
#   drivers.sh check-code CODE                        looks for LLVM's fault in what they compiled
# DRIVER is lavapipe-25 (Mesa of trixie), lavapipe-26 (of its backports), swiftshader or installed.
# With ETVK_DRIVER_CODE=CODE, `run` leaves the machine code of every kernel in that folder.
set -euo pipefail
harness=$(cd "$(dirname "$0")" && pwd)

# What both Mesa packages link to, besides themselves.
libraries=(libc6 libgcc-s1 libstdc++6 libvulkan1 libdrm2 libdrm-amdgpu1 libelf1t64 libexpat1 libffi8
  libwayland-client0 libx11-6 libx11-xcb1 libxau6 libxcb-dri3-0 libxcb-present0 libxcb-randr0
  libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxcb1 libxdmcp6 libxshmfence1 libzstd1 zlib1g
  libdisplay-info2 libpng16-16t64 libbsd0 libmd0 libllvm19 libedit2 liblzma5 libtinfo6 libxml2
  libz3-4 libudev1 libcap2)

# fetch_packages NAME SUITES PACKAGE...: downloads and unpacks into $root/NAME, with lists of its own.
fetch_packages() {
  local name=$1 suites=$2 lists=$root/apt-$1 suite mirror
  shift 2
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -1)
  mkdir -p "$lists"/{state/lists/partial,cache/archives/partial} "$root/$name"
  : > "$lists/status"
  for suite in $suites; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
  done > "$lists/sources.list"
  local apt=(apt-get -q -o Dir::State="$lists/state" -o Dir::State::status="$lists/status"
    -o Dir::Cache="$lists/cache" -o Dir::Etc::SourceList="$lists/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Acquire::Languages=none)
  "${apt[@]}" update >/dev/null
  (cd "$root/$name" && "${apt[@]}" download "$@" >/dev/null 2>&1
    for package in *.deb; do dpkg -x "$package" .; done
    printf '%s\n' *.deb | grep -E '^(mesa|libllvm|chromium)' || true
    rm ./*.deb)
  rm -rf "$lists"
}

fetch() {
  if [ -e "$root/fetched" ]; then
    return
  fi
  mkdir -p "$root"
  fetch_packages lavapipe-25 trixie mesa-vulkan-drivers "${libraries[@]}"
  fetch_packages lavapipe-26 "trixie trixie-backports" mesa-vulkan-drivers/trixie-backports \
    "${libraries[@]}"
  # The oldest suite: it runs on the host's C library.
  fetch_packages swiftshader bookworm chromium-common
  cc -shared -fPIC -O1 -o "$root/keep_code.so" "$harness/keep_code.c" -ldl
  touch "$root/fetched"
}

run() {
  local driver=$1 folder=$root/$1 preload='' icd
  shift
  if [ -n "${ETVK_DRIVER_CODE:-}" ]; then
    mkdir -p "$ETVK_DRIVER_CODE"
    preload=$root/keep_code.so
  fi
  case $driver in
    installed) ;;
    swiftshader) icd=$folder/usr/lib/chromium/vk_swiftshader_icd.json ;;
    lavapipe-*)
      icd=$folder/driver.json
      folder=$folder/usr/lib/x86_64-linux-gnu
      printf '{"file_format_version": "1.0.0", "ICD": {"api_version": "1.3.0", "library_path": "%s"}}\n' \
        "$folder/libvulkan_lvp.so" > "$icd.$$" && mv "$icd.$$" "$icd"
      ;;
    *)
      echo "no driver $driver" >&2
      exit 2
      ;;
  esac
  export MESA_SHADER_CACHE_DISABLE=true NODEVICE_SELECT=1
  if [ "$driver" != installed ]; then
    export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
  fi
  # A newer Mesa needs the libraries that it was built with, the C library and its loader included.
  if [ -e "$folder/ld-linux-x86-64.so.2" ]; then
    exec "$folder/ld-linux-x86-64.so.2" --library-path "$folder" \
      ${preload:+--preload "$preload"} "$@"
  fi
  exec env ${preload:+LD_PRELOAD="$preload"} "$@"
}

# A logic operation of three operands (vpternlog), under a mask, one operand in memory: what LLVM
# before 23 may give a wrong truth table. No kernel of ours may need one.
check_code() {
  local file found=0 count=0
  for file in "$1"/*.bin; do
    count=$((count + 1))
    if objdump -D -b binary -m i386:x86-64 "$file" | grep -E 'vpternlog.*\(.*\{%k'; then
      echo "in $file"
      found=1
    fi
  done
  echo "looked at $count pieces of code"
  [ "$count" -gt 0 ] && [ "$found" -eq 0 ]
}

command=$1
root=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2
case $command in
  fetch) fetch ;;
  run) run "$@" ;;
  check-code) check_code "$root" ;;
  *)
    echo "no command $command" >&2
    exit 2
    ;;
esac
