#!/bin/bash
# Builds the example filters, byte for byte the same wherever the checkout lies:
#   sdk/build.sh OUT        all of them into the folder OUT
#   sdk/build.sh --check    says whether aperture_tui/filters/ready/ holds just that
# The languages can be named behind it: `sdk/build.sh OUT rust c as`. Debian's compilers are used, since what they make
# is what is committed; `setup/wasm.sh` installs them.
set -euo pipefail
out=${1:-}
case "$out" in --check | /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")"
ready=../aperture_tui/filters/ready
rustc=/usr/bin/rustc
asc=../build/assemblyscript/node_modules/.bin/asc

fail() { printf 'sdk: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null || fail "no $1: setup/wasm.sh"; }

# rustc and not cargo: cargo names crates after the folder they lie in, and the names give the order in the module.
build_rust() {
  have $rustc; have wasm-ld
  local library flags name
  library=$(mktemp -d)
  flags=(--edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C panic=abort -C codegen-units=1
    -C strip=symbols --remap-path-prefix "$PWD=sdk")
  $rustc "${flags[@]}" --crate-name aperture_filter --crate-type rlib --out-dir "$library" \
    "$PWD/rust/aperture-filter/src/lib.rs"
  for name in rust/examples/*/; do
    name=$(basename "$name")
    $rustc "${flags[@]}" -C lto=fat --crate-name "$name" --crate-type cdylib -o "$1/$name.wasm" \
      --extern "aperture_filter=$library/libaperture_filter.rlib" "$PWD/rust/examples/$name/src/lib.rs"
  done
  rm -r "$library"
}

build_c() {
  have clang; have wasm-ld
  local source flags
  flags=(--target=wasm32 -std=c11 -Os -ffreestanding -nostdlib -Wall -Wextra -Werror -I c
    -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first)
  for source in c/examples/*.c; do
    clang "${flags[@]}" -o "$1/$(basename "$source" .c)_c.wasm" "$source"
  done
}

build_as() {
  have node
  [ -x $asc ] || fail "no AssemblyScript: setup/wasm.sh"
  local source
  for source in assemblyscript/examples/*.ts; do
    $asc "$source" --outFile "$1/$(basename "$source" .ts)_as.wasm" --runtime stub -O3 --shrinkLevel 1 --noColors
  done
}

[ $# -ge 1 ] || fail "usage: sdk/build.sh OUT|--check [rust|c|as...]"
shift
[ $# -ge 1 ] || set -- rust c as
if [ "$out" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -r "$out"' EXIT
  for language in "$@"; do "build_$language" "$out"; done
  for file in "$out"/*.wasm; do
    cmp -s "$file" "$ready/${file##*/}" || fail "${file##*/} is not what its source makes: sdk/build.sh $ready"
  done
else
  mkdir -p "$out"
  for language in "$@"; do "build_$language" "$out"; done
  chmod 644 "$out"/*.wasm
fi
