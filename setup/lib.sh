# Sourced by the scripts beside it: how they speak, and how they become root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SUDO=${SUDO-sudo}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

no_python="Python 3.11 or newer is needed: \`apt-get install python3.11 python3.11-venv\`, or name one: make PYTHON=/path/to/python3.11 …"

# Run as root; ask can_be_root first.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else "$SUDO" "$@"; fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || { [ -n "$SUDO" ] && command -v "$SUDO" >/dev/null; }; }

# A Python of at least 3.11: $PYTHON, python3, or the newest numbered one.
suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && suitable "$candidate"; then command -v "$candidate"; return; fi
  done
  return 1
}
