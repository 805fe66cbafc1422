#!/bin/bash
# Installs the distribution's packages that are missing, and does nothing, quickly, when none is:
#   system.sh need python bcc     these, or it ends with one line that says what to do
#   system.sh try bcc tools       these if it can be; a line for each thing that is skipped without them
. "$(dirname "$0")/lib.sh"

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
known() { local package; for package in "$@"; do apt-cache show "$package" >/dev/null 2>&1 || return 1; done; }

# Its words matter only when it fails.
quietly() {
  local words status=0
  words=$(mktemp)
  "$@" >"$words" 2>&1 || { status=$?; cat "$words" >&2; }
  rm -f "$words"
  return $status
}

apt_install() {
  local options=(-y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120)
  say "installing with apt: $*"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@"
}

# A fresh machine has no package lists, an old one has stale ones: then a refresh mends it.
install_packages() {
  can_be_root || { say "needs root to install: \`apt-get install $*\`"; return 1; }
  if known "$@" && apt_install "$@"; then return; fi
  say "refreshing the package lists (apt-get update)"
  quietly as_root apt-get update -q || say "apt-get update failed; going on with the lists that are there"
  apt_install "$@"
}

# Each of these says which packages are missing. A Python of 3.11 or newer that can make a virtual environment:
missing_python() {
  local python
  [ -x .venv/bin/python ] && suitable .venv/bin/python && return
  if python=$(find_python); then
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    echo "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  elif command -v python3 >/dev/null; then
    echo python3.11 python3.11-venv # Ubuntu 22.04: its own python3 is 3.10, and it has this one beside it
  else
    echo python3 python3-venv
  fi
}

missing_bcc() {
  [ -f /usr/lib/python3/dist-packages/bcc/libbcc.py ] && installed python3-bpfcc && return
  python3 -c 'import bcc.libbcc' 2>/dev/null && return # built from source, or another distribution's
  echo python3-bpfcc
}

perf_package() {
  case "$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}")" in
    *ubuntu*) echo linux-tools-generic ;;
    *) echo linux-perf ;;
  esac
}

# command -> packages; what the tests compile their programs with, drive the screens with and compare with.
missing_tools() {
  local tool
  for tool in "gcc gcc libc6-dev" "g++ g++" "objdump binutils" "tmux tmux" "javac default-jdk-headless" \
    "perf $(perf_package)"; do
    command -v "${tool%% *}" >/dev/null || echo "${tool#* }"
  done
}

# what the pages of `aperture-top --web` are looked at in: 100 MB to download. Ubuntu has one as a snap alone.
missing_browser() {
  local name
  for name in chromium-headless-shell chromium google-chrome; do
    command -v "$name" >/dev/null && return
  done
  case "$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}")" in
    *ubuntu*) ;;
    *) echo chromium-headless-shell ;;
  esac
}

# what the benchmarks run beside ours
missing_peers() {
  command -v htop >/dev/null || echo htop
  command -v profile-bpfcc >/dev/null || echo bpfcc-tools
  command -v bpftrace >/dev/null || echo bpftrace
}

# what the example filters are built with: these very compilers, since what they make is compared byte for byte
missing_wasm() {
  [ -x /usr/bin/rustc ] || echo rustc
  [ -d /usr/lib/rustlib/wasm32-unknown-unknown ] || echo libstd-rust-dev-wasm32
  command -v wasm-ld >/dev/null || echo lld
  [ -x /usr/bin/cargo ] || echo cargo
  command -v clang >/dev/null || echo clang
}

missing() { for what in "$@"; do "missing_$what"; done; }

need() {
  local packages
  packages=$(missing "$@")
  [ -z "$packages" ] && return
  if has_apt; then
    # shellcheck disable=SC2086  # a list of words, here and below
    install_packages $packages || fail "needed, and not installed:" $packages
  else
    say "no apt here: install BCC for Python 3 as this distribution names it (\`.venv/bin/aperture doctor\`)"
  fi
  [ -x .venv/bin/python ] || find_python >/dev/null || fail "$no_python"
}

try() {
  local packages package
  packages=$(missing "$@")
  [ -z "$packages" ] && return
  if has_apt && can_be_root && ! install_packages $packages; then
    for package in $(missing "$@"); do apt_install "$package" || true; done
  fi
  for package in $(missing "$@"); do say "no $package: what needs it is skipped"; done
}

case "${1:-}" in
  need | try) "$@" ;;
  *) fail "usage: setup/system.sh need|try python|bcc|tools|browser|peers|wasm..." ;;
esac
