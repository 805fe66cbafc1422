#!/bin/bash
# Runs a command as root: at once when this is root, else by sudo, keeping what the terminal needs. With SUDO= it is
# run as it is, for a user who holds CAP_BPF and CAP_PERFMON. `--or-not` first: where there is no sudo, as it is too.
. "$(dirname "$0")/lib.sh"

or_not=no
if [ "$1" = --or-not ]; then or_not=yes; shift; fi
if [ "$(id -u)" -eq 0 ] || [ -z "$SUDO" ]; then exec "$@"; fi
if ! can_be_root; then
  [ "$or_not" = yes ] || fail "needs root to load BPF programs, and there is no sudo: become root, then run make again"
  say "no root: what loads BPF programs is skipped"
  exec "$@"
fi

# Nothing owned by root may be left in the checkout: no bytecode, no caches.
kept=("PATH=$PATH" PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/tmp/aperture-hypothesis)
kept+=("PYTEST_ADDOPTS=${PYTEST_ADDOPTS:-} -p no:cacheprovider")
for name in TERM COLORTERM NO_COLOR LANG LC_ALL LC_CTYPE APERTURE_REQUIRE_BPF; do
  if [ -n "${!name:-}" ]; then kept+=("$name=${!name}"); fi
done
say "running as root with $SUDO: ${1#.venv/bin/}"
exec "$SUDO" env "${kept[@]}" "$@"
