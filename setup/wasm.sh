#!/bin/bash
# Installs what the example filters in sdk/ are built with: Debian's Rust, clang and lld, and AssemblyScript by npm, in
# build/. What cannot be had is said, and what needs it is skipped: the built filters are in the checkout.
. "$(dirname "$0")/lib.sh"

setup/system.sh try wasm

sources=sdk/assemblyscript
folder=build/assemblyscript
compiler=$folder/node_modules/.bin/asc
[ -x "$compiler" ] && cmp -s "$sources/package-lock.json" "$folder/package-lock.json" && exit

skip() { say "no AssemblyScript ($*): what needs it is skipped"; exit; }
command -v npm >/dev/null || skip "no npm: it comes with Node.js 20 or newer"
node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || skip "Node.js $(node --version) is older than 20"

say "installing AssemblyScript with npm"
rm -rf "$folder"
mkdir -p "$folder"
cp "$sources"/package.json "$sources"/package-lock.json "$folder"
if ! (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund >&2); then
  rm -rf "$folder"
  skip "npm could not install it"
fi
