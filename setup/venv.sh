#!/bin/bash
# Makes .venv with the locked Python packages and this checkout in it: `venv.sh` for running, `venv.sh dev` for tests
# as well. A stamp named by what it was made from tells when nothing is to be done.
. "$(dirname "$0")/lib.sh"

locks=(requirements.lock)
[ "${1:-}" = dev ] && locks+=(requirements-dev.lock)

# A venv whose interpreter has gone, or that another user made, is no use.
usable() { [ -x .venv/bin/python ] && suitable .venv/bin/python; }

create() {
  local python
  python=$(find_python) || fail "$no_python"
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv || fail "$python cannot make a virtual environment: apt-get install python3-venv"
}

# Hashes guard every download; compiling is left to one parallel pass at the end.
install() {
  local arguments=() lock
  for lock in "${locks[@]}"; do arguments+=(-r "$lock"); done
  say "installing Python packages: ${locks[*]}"
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile)
  "${pip[@]}" --require-hashes "${arguments[@]}" || fail "pip could not install ${locks[*]}: see above"
  "${pip[@]}" --no-deps --no-build-isolation --editable . || fail "pip could not install this checkout: see above"
}

# Where PYTHONDONTWRITEBYTECODE is set, or the program runs as another user, nothing else would write them.
compile() {
  .venv/bin/python -m compileall -q -j 0 "$@" >/dev/null || say "some modules could not be compiled; they still run"
}

usable || create
[ -w .venv ] || fail ".venv belongs to $(stat -c %U .venv): run as that user, or remove it"

key=$(cat "${locks[@]}" pyproject.toml | sha256sum | cut -c1-16)
stamp=.venv/.installed-$key
if [ ! -f "$stamp" ]; then
  install
  compile .venv/lib
  rm -f .venv/.installed-*
  touch "$stamp"
  # What the dev locks install includes the base: `make top` after `make test` has nothing to do.
  [ "${1:-}" = dev ] && touch ".venv/.installed-$(cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)"
fi
if [ ! -f .venv/.compiled ] || [ -n "$(find aperture_tui -name '*.py' -newer .venv/.compiled -print -quit)" ]; then
  touch .venv/.compiled
  compile aperture_tui
fi
