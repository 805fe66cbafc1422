#!/bin/bash
# All tests: `tests.sh PYTHON`, or some of them, as pytest's arguments choose: `tests.sh PYTHON -k icicle`.
#
# All of them are run by two processes side by side: those of screens, stores and exports wait most of their time, and
# together the whole takes two thirds. What the second one says is printed when the first is done.
set -uo pipefail
python=$1
shift
if [ $# -gt 0 ]; then exec "$python" -m pytest "$@"; fi

beside=(tests/tui tests/export tests/profile tests/store)
told=$(mktemp)
trap 'rm -f "$told"' EXIT
"$python" -m pytest -o cache_dir=.pytest_cache/beside "${beside[@]}" >"$told" 2>&1 &
second=$!
trap 'kill "$second" 2>/dev/null; exit 130' INT TERM
"$python" -m pytest "${beside[@]/#/--ignore=}"
one=$?
wait "$second"
other=$?
cat "$told"
if [ "$one" -ne 0 ]; then exit "$one"; fi
exit "$other"
