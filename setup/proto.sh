#!/bin/bash
# Writes the code of proto/ below the folder OUT (aperture_tui/wire/*_pb2*.py and their stubs), with grpcio-tools' protoc:
# `proto.sh OUT`. `proto.sh --check` says whether what is committed is just that.
. "$(dirname "$0")/lib.sh"

# Files are named by where their code goes, since protoc names that after them.
generate() {
  local protoc=(.venv/bin/python -m grpc_tools.protoc --python_out="$1" --pyi_out="$1")
  "${protoc[@]}" -I aperture_tui/wire/pprof.proto=proto/pprof/profile.proto aperture_tui/wire/pprof.proto
  "${protoc[@]}" --grpc_python_out="$1" -I aperture_tui/wire/fleet.proto=proto/aperture/v1/fleet.proto \
    aperture_tui/wire/fleet.proto
}

[ $# -eq 1 ] || fail "usage: proto.sh OUT, or proto.sh --check"
if [ "$1" != --check ]; then
  generate "$1"
  exit
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
for file in "$fresh"/aperture_tui/wire/*; do
  cmp -s "$file" "aperture_tui/wire/${file##*/}" || fail "${file##*/} is not what protoc makes of proto/: make proto"
done
