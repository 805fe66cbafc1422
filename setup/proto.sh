#!/bin/bash
# Writes the code of proto/ below the folder OUT (aperture_tui/wire/*_pb2.py and their stubs), with grpcio-tools' protoc.
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || fail "usage: proto.sh OUT"
# Files are named by where their code goes, since protoc names that after them.
protoc=(.venv/bin/python -m grpc_tools.protoc)
"${protoc[@]}" -I aperture_tui/wire/pprof.proto=proto/pprof/profile.proto \
	--python_out="$1" --pyi_out="$1" aperture_tui/wire/pprof.proto
"${protoc[@]}" -I aperture_tui/wire/fleet.proto=proto/aperture/v1/fleet.proto \
	--python_out="$1" --pyi_out="$1" --grpc_python_out="$1" aperture_tui/wire/fleet.proto
