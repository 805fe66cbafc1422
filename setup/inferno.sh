#!/bin/bash
# Installs inferno, which draws the SVG flame graphs, with cargo into the user's own ~/.cargo/bin.
. "$(dirname "$0")/lib.sh"

version=0.12.8
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# `aperture export` needs the first, `aperture diff` both.
if command -v inferno-flamegraph >/dev/null && command -v inferno-diff-folded >/dev/null; then exit 0; fi
command -v cargo >/dev/null || fail "no cargo: inferno is not installed (get Rust, then \`make inferno\`)"
say "building inferno $version with cargo, about two minutes"
cargo install --quiet --locked --version "$version" inferno || fail "cargo could not build inferno $version: see above"
